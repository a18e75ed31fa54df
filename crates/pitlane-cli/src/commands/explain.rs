//! `pitlane explain`: why a request is answered as it is.

use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use pitlane::explain::{Explanation, offline};
use pitlane::{Profile, Timestamp};
use serde::{Deserialize, Serialize};

use crate::admin::Admin;
use crate::arguments::{Explain, Layer, Place, ProfileName};
use crate::client::{Page, parse_header};
use crate::failure::Failure;
use crate::output::Output;
use crate::text;

/// What a node says.
#[derive(Serialize, Deserialize)]
struct Live {
    /// The status that the request is answered with.
    status: u16,
    explanations: Vec<Explanation>,
}

#[derive(Serialize)]
struct Asked {
    path: String,
    method: String,
    headers: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
struct Recorded {
    exchanges: Vec<Explained>,
    skipped: Vec<Skipped>,
}

#[derive(Serialize)]
struct Explained {
    method: String,
    url: String,
    status: u16,
    explanation: Explanation,
}

#[derive(Serialize)]
struct Skipped {
    place: String,
    why: String,
}

pub(crate) async fn run(
    place: &Place,
    output: &Output,
    arguments: &Explain,
) -> Result<(), Failure> {
    match (&arguments.offline, &arguments.url) {
        (Some(file), _) => recorded(output, file, &arguments.layer),
        (None, Some(url)) => live(place, output, arguments, url).await,
        (None, None) => Err(Failure::usage(
            "explain what? Name a URL, or --offline FILE",
        )),
    }
}

async fn live(
    place: &Place,
    output: &Output,
    arguments: &Explain,
    url: &str,
) -> Result<(), Failure> {
    let admin = Admin::open(place, output)?;
    let page = Page::parse(url).ok_or_else(|| {
        Failure::usage("what is to be explained is a path, such as /clubs, or an absolute URL")
    })?;
    let mut headers = serde_json::Map::new();
    if let Some(host) = page.host {
        headers.insert(header::HOST.to_string(), host.into());
    }
    for text in &arguments.headers {
        let (name, value) = parse_header(text)?;
        let value = value
            .to_str()
            .map_err(|_| Failure::usage("a --header is no text"))?;
        headers.insert(name.to_string(), value.into());
    }
    let asked = Asked {
        path: page.target,
        method: arguments.method.to_uppercase(),
        headers,
    };
    let body = serde_json::to_vec(&asked).map_err(io::Error::from)?;
    let request = Request::post("/api/explain").header(header::CONTENT_TYPE, "application/json");
    let live: Live = admin.ask(request, Full::new(Bytes::from(body))).await?;
    output.give(&live, |out| {
        writeln!(
            out,
            "{} {} is answered with {}",
            asked.method,
            text::harmless(&asked.path),
            live.status
        )?;
        if live.explanations.is_empty() {
            writeln!(out, "no cache layer saw the request")?;
        }
        for explanation in &live.explanations {
            writeln!(out)?;
            write!(out, "{}", shown(explanation))?;
        }
        Ok(())
    })
}

fn recorded(output: &Output, file: &Path, layer: &Layer) -> Result<(), Failure> {
    let text = read(file)?;
    let recording = offline::read(&text)?;
    let options = options(layer);
    let mut exchanges = Vec::new();
    for exchange in &recording.exchanges {
        exchanges.push(Explained {
            method: exchange.method().to_string(),
            url: exchange.uri().to_string(),
            status: exchange.status().as_u16(),
            explanation: offline::explain(exchange, &options)?,
        });
    }
    let skipped = recording.skipped.into_iter().map(|skipped| Skipped {
        place: skipped.place,
        why: skipped.why,
    });
    let document = Recorded {
        exchanges,
        skipped: skipped.collect(),
    };
    output.give(&document, |out| {
        for (number, explained) in document.exchanges.iter().enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            let Explained {
                method,
                url,
                status,
                ..
            } = explained;
            writeln!(out, "{method} {} answered {status}", text::harmless(url))?;
            write!(out, "{}", shown(&explained.explanation))?;
        }
        for skipped in &document.skipped {
            let (place, why) = (text::harmless(&skipped.place), text::harmless(&skipped.why));
            writeln!(out, "{place} was left out: {why}")?;
        }
        Ok(())
    })
}

fn shown(explanation: &Explanation) -> String {
    let mut text = text::harmless(&explanation.to_string());
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A file, or standard input.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let limit = offline::MOST_BYTES as u64 + 1;
    let mut text = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut text)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(limit).read_to_end(&mut text))
    };
    match read {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::usage(format!(
            "can't read {}: {error}",
            file.display()
        ))),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "for recordings that don't say when they were made"
)]
fn options(layer: &Layer) -> offline::Options {
    let profile = match layer.profile {
        ProfileName::Rfc => Profile::Rfc,
        ProfileName::Application => Profile::Application,
    };
    let mut options = offline::Options::new()
        .profile(profile)
        .received(Timestamp::from(SystemTime::now()));
    if let Some(ttl) = layer.ttl {
        options = options.ttl(ttl);
    }
    for cookie in &layer.harmless_cookies {
        options = options.add_harmless_cookie(cookie);
    }
    for name in &layer.key_headers {
        options = options.key_header(name.clone());
    }
    for status in &layer.statuses {
        options = options.add_status(*status);
    }
    options
}

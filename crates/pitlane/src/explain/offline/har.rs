//! HTTP Archives, version 1.2, as browsers and proxies save them.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    Content, Exchange, MOST_BYTES, MOST_EXCHANGES, MOST_FIELDS, Recording, Skipped,
    heads::version_of, instant, refused,
};
use crate::error::Error;

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: Option<String>,
    /// Milliseconds from the beginning to the end.
    time: Option<f64>,
    request: Asked,
    response: Answered,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    method: String,
    url: String,
    http_version: Option<String>,
    headers: Vec<Field>,
    post_data: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Answered {
    status: i64,
    headers: Vec<Field>,
    content: Option<Body>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Body {
    size: Option<i64>,
    text: Option<String>,
    encoding: Option<String>,
}

/// Reads every entry of an HTTP Archive. Those that are no request with its answer (blocked ones,
/// `data:` URLs, web sockets) are named apart.
///
/// # Errors
///
/// [`ErrorKind::Explain`](crate::ErrorKind::Explain) if it is none; the message names the place in
/// the document.
pub fn read_har(recording: &[u8]) -> Result<Recording, Error> {
    if recording.len() > MOST_BYTES {
        return Err(refused(format!(
            "a recording of more than {MOST_BYTES} bytes is not read"
        )));
    }
    let mut json = serde_json::Deserializer::from_slice(recording);
    let har: Har = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = error.path().to_string();
        refused(format!("{place}: {}", shown(error.inner())))
    })?;
    json.end()
        .map_err(|error| refused(format!("behind the end of the document: {}", shown(&error))))?;
    let entries = har.log.entries;
    if entries.len() > MOST_EXCHANGES {
        return Err(refused(format!(
            "log.entries: more than {MOST_EXCHANGES} of them are not read"
        )));
    }
    let mut read = Recording {
        exchanges: Vec::with_capacity(entries.len()),
        skipped: Vec::new(),
    };
    for (number, entry) in entries.into_iter().enumerate() {
        match entry.exchange() {
            Ok(exchange) => read.exchanges.push(exchange),
            Err((place, why)) => read.skipped.push(Skipped {
                place: format!("log.entries[{number}].{place}"),
                why,
            }),
        }
    }
    Ok(read)
}

/// What the parser says, and not what it has read: that may be a secret.
fn shown(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "the document ends in the middle",
        serde_json::error::Category::Data => {
            "something of another kind belongs here, or is missing"
        }
        _ => "that is no JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

type Wrong = (String, String);

impl Entry {
    fn exchange(self) -> Result<Exchange, Wrong> {
        let Self {
            request, response, ..
        } = self;
        let wrong = |place: &str, why: &str| (place.to_owned(), why.to_owned());
        let method = request.method.parse();
        let method = method.map_err(|_| wrong("request.method", "it is no method"))?;
        let uri: Uri = request
            .url
            .parse()
            .map_err(|_| wrong("request.url", "it is no URL of a request over HTTP"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("request.url", "it is no URL of a request over HTTP"));
        }
        let status = u16::try_from(response.status).ok();
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let why = "it is no status: nobody has answered the request";
        let status = status.ok_or_else(|| wrong("response.status", why))?;
        let version = request.http_version.as_deref().and_then(version_of);
        let mut headers = fields(&request.headers, "request")?;
        if let Some(host) = uri
            .authority()
            .filter(|_| !headers.contains_key(header::HOST))
            && let Ok(host) = HeaderValue::from_str(host.as_str())
        {
            headers.insert(header::HOST, host);
        }
        Ok(Exchange {
            method,
            uri,
            version: version.unwrap_or(http::Version::HTTP_11),
            request: headers,
            asks_with_body: request.post_data.is_some(),
            status,
            response: fields(&response.headers, "response")?,
            content: response.content.map_or(Content::Unknown, Body::content),
            received: received(self.started_date_time.as_deref(), self.time),
        })
    }
}

fn received(started: Option<&str>, time: Option<f64>) -> Option<pitlane_core::Timestamp> {
    let started = instant::parse(started?)?;
    let took = time.unwrap_or_default() / 1000.0;
    Some(started.plus(Duration::try_from_secs_f64(took).unwrap_or_default()))
}

/// The fields of a head; not those that HTTP/2 writes the first line with.
fn fields(recorded: &[Field], head: &str) -> Result<HeaderMap, Wrong> {
    let mut fields = HeaderMap::new();
    if recorded.len() > MOST_FIELDS {
        let why = format!("more than {MOST_FIELDS} of them are not read");
        return Err((format!("{head}.headers"), why));
    }
    let named = recorded.iter().enumerate();
    for (number, Field { name, value }) in named.filter(|(_, field)| !field.name.starts_with(':')) {
        let wrong = |part: &str, why: &str| {
            let place = format!("{head}.headers[{number}].{part}");
            (place, why.to_owned())
        };
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| wrong("name", "it is no name of a field"))?;
        // Where a field was there several times, browsers write its values on lines of one.
        for value in value.split('\n') {
            let value = HeaderValue::from_str(value.trim())
                .or_else(|_| HeaderValue::from_bytes(value.trim().as_bytes()))
                .map_err(|_| wrong("value", "it is no value of a field"))?;
            fields.append(&name, value);
        }
    }
    Ok(fields)
}

impl Body {
    /// What is binary isn't looked into.
    fn content(self) -> Content {
        match (self.text, self.encoding, self.size) {
            (Some(text), None, _) => Content::Text(Bytes::from(text)),
            (_, _, Some(size)) => u64::try_from(size).map_or(Content::Unknown, Content::Size),
            (Some(text), Some(_), None) => Content::Size(text.len() as u64 / 4 * 3),
            (None, _, None) => Content::Unknown,
        }
    }
}

//! Which pages are warmed: those of a file, of sitemaps, or those that were asked for most.

use std::cmp::Reverse;
use std::collections::{HashSet, VecDeque};
use std::io::{self, Read};
use std::path::Path;

use http::Request;
use http_body_util::Full;
use pitlane::stats::{FleetStats, TopKey};

use crate::arguments::{Place, Warm};
use crate::client::{Base, Client, Page};
use crate::failure::Failure;
use crate::session::{Log, Session};
use crate::sitemap;

/// No more pages are warmed in one run.
const MOST: usize = 200_000;
/// No list is longer, in bytes; that is also what sitemaps.org allows.
const LONGEST: usize = 50 << 20;
/// So many sitemaps of an index are read.
const SITEMAPS: usize = 200;

/// Pages, each once.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) pages: Vec<Page>,
    /// What of the list is none.
    pub(super) not_understood: u64,
    known: HashSet<Page>,
}

impl Wanted {
    fn add(&mut self, text: &str) {
        match Page::parse(text) {
            Some(page) if self.pages.len() < MOST => {
                if self.known.insert(page.clone()) {
                    self.pages.push(page);
                }
            }
            Some(_) => {}
            None => self.not_understood += 1,
        }
    }
}

pub(super) async fn wanted(
    place: &Place,
    arguments: &Warm,
    client: &Client,
    target: &Base,
) -> Result<Wanted, Failure> {
    match (&arguments.urls, &arguments.sitemap, arguments.popular) {
        (Some(file), ..) => listed(file),
        (_, Some(url), _) => mapped(url, client, target).await,
        (.., Some(count)) => popular(place, arguments, count).await,
        _ => Err(Failure::usage(
            "warm what? Name --urls, --sitemap or --popular",
        )),
    }
}

/// A path or a URL on each line; empty lines and those that begin with `#` are left out.
fn listed(file: &Path) -> Result<Wanted, Failure> {
    let mut text = String::new();
    let limit = LONGEST as u64;
    let read = if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(limit).read_to_string(&mut text))
    };
    if let Err(error) = read {
        return Err(Failure::usage(format!(
            "can't read {}: {error}",
            file.display()
        )));
    }
    let mut wanted = Wanted::default();
    let lines = text.lines().map(str::trim);
    for line in lines.filter(|line| !(line.is_empty() || line.starts_with('#'))) {
        wanted.add(line);
    }
    Ok(wanted)
}

/// The pages of a sitemap, or of those that an index names. All are asked of the target.
async fn mapped(url: &str, client: &Client, target: &Base) -> Result<Wanted, Failure> {
    let first = Page::parse(url)
        .ok_or_else(|| Failure::usage("--sitemap is a URL, or a path of the target"))?;
    let mut wanted = Wanted::default();
    let mut open = VecDeque::from([(first, true)]);
    let mut read = 0;
    while let Some((page, may_be_index)) = open.pop_front() {
        read += 1;
        let found = sitemap::read(&fetch(&page, client, target).await?);
        if found.is_index && may_be_index {
            for url in found.urls.iter().take(SITEMAPS) {
                match Page::parse(url) {
                    Some(page) => open.push_back((page, false)),
                    None => wanted.not_understood += 1,
                }
            }
        } else {
            found.urls.iter().for_each(|url| wanted.add(url));
        }
    }
    if wanted.pages.is_empty() {
        let all = if read == 1 {
            "the sitemap names"
        } else {
            "the sitemaps name"
        };
        return Err(Failure::failed(format!("{all} no page")));
    }
    Ok(wanted)
}

async fn fetch(page: &Page, client: &Client, target: &Base) -> Result<String, Failure> {
    let shown = crate::text::harmless(&page.shown());
    let failed = |why: &str| Failure::failed(format!("the sitemap {shown}: {why}"));
    let request: Option<Request<Full<_>>> = page.request(target, &[]);
    let request = request.ok_or_else(|| failed("it can't be asked for"))?;
    let answer = client
        .send(request, LONGEST)
        .await
        .map_err(|why| failed(&why))?;
    if !answer.status().is_success() {
        return Err(failed(&format!("it is answered with {}", answer.status())));
    }
    Ok(String::from_utf8_lossy(answer.body()).into_owned())
}

/// The pages that were asked for most, in all caches or those that are named.
async fn popular(place: &Place, arguments: &Warm, count: u32) -> Result<Wanted, Failure> {
    let session = Session::open(place, &arguments.caches, Log::Join).await?;
    let fleet = session.caches.fleet_stats().await;
    session.close().await;
    let names = &arguments.caches.names;
    let mut wanted = Wanted::default();
    for url in urls_of(&fleet?, names) {
        if wanted.pages.len() < usize::try_from(count).unwrap_or(usize::MAX) {
            wanted.add(&url);
        }
    }
    if wanted.pages.is_empty() {
        return Err(Failure::failed(
            "no server tells which pages are asked for most: Caches::keep_stats makes one do so",
        ));
    }
    Ok(wanted)
}

/// The URLs of the keys that were asked for most, the most first.
fn urls_of(fleet: &FleetStats, caches: &[String]) -> Vec<String> {
    let named = |name: &String| caches.is_empty() || caches.contains(name);
    let caches = fleet.caches.iter().filter(|cache| named(&cache.name));
    let mut keys: Vec<&TopKey> = caches.flat_map(|cache| &cache.top_by_hits).collect();
    keys.sort_by_key(|key| Reverse(key.count));
    keys.into_iter()
        .filter_map(|key| url_of(&key.name))
        .collect()
}

/// The URL of a key such as `GET //site.org/clubs [accept-language: de]`. What had to be escaped or
/// cut, and what is kept for one user, is left out.
fn url_of(name: &str) -> Option<String> {
    let rest = name.strip_prefix("GET ")?;
    let (url, beside) = rest.split_once(" [").map_or((rest, ""), |split| split);
    let personal = ["user ", "tenant ", "host: "]
        .iter()
        .any(|of| beside.starts_with(of))
        || beside.contains("dry run");
    let whole = !url.contains(['\\', '…', ' ']);
    (whole && !personal).then(|| match url.starts_with("//") {
        true => format!("http:{url}"),
        false => url.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        assert_eq!(url_of(name).as_deref(), expected, "{name}");
    }

    #[test]
    fn names_of_keys_are_read_back_as_urls() {
        check(
            "GET //site.org/clubs?page=2",
            Some("http://site.org/clubs?page=2"),
        );
        check(
            "GET //site.org/clubs [accept-language: de]",
            Some("http://site.org/clubs"),
        );
        check("GET /clubs", Some("/clubs"));
        check("GET //site.org/me [user 42]", None);
        check("GET //site.org/me [tenant acme]", None);
        check("GET //site.org/me [host: other.org]", None);
        check("GET //site.org/\\x1b", None);
        check("club:42", None);
        check("QUERY //site.org/search [body #12345678]", None);
    }

    #[test]
    fn each_page_is_wanted_once() {
        let mut wanted = Wanted::default();
        for text in ["/a", "/b", "/a", "nonsense", "http://h/a"] {
            wanted.add(text);
        }
        assert_eq!((wanted.pages.len(), wanted.not_understood), (3, 1));
    }
}

//! All pages of the site, as three visitors see them.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::{Answer, Client};
use crate::server::Server;

/// Searches with at most three letters have a tag of their own.
const SEARCHES: [&str; 8] = ["s", "spa", "nig", "ada", "zeb", "fer", "ze", "%20"];
/// Longer ones share it, and may be made again without need.
const LONG_SEARCHES: [&str; 3] = ["night", "zebras", "spa%20francorchamps"];

/// Pages by visitor and path, and what they looked like.
pub(crate) type Site = BTreeMap<String, Page>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) cache_status: String,
}

impl Page {
    pub(crate) fn is_hit(&self) -> bool {
        self.cache_status.starts_with("pitlane; hit; ")
    }

    /// Whether the cache has it from now on.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_hit() || self.cache_status.contains("; stored; ")
    }

    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        (self.status, &self.body) == (other.status, &other.body)
    }
}

/// Keeps its connections between crawls.
pub(crate) struct Crawler {
    visitors: Vec<(&'static str, Client, Vec<String>)>,
}

/// How many of the site's pages a crawl visits.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Extent {
    All,
    /// All kinds of pages, for the rows that tests change and for some that
    /// they leave alone.
    Some,
}

impl Crawler {
    /// `ada` owns club 1; `carla` manages it, owns club 3, and is no member
    /// of club 2.
    pub(crate) async fn new(server: &Server, extent: Extent) -> Self {
        let visit = |paths: Vec<String>| -> Vec<String> {
            let visited = |path: &String| extent == Extent::All || is_among_some(path);
            paths.into_iter().filter(visited).collect()
        };
        let (pages, api): (Vec<_>, Vec<_>) = public()
            .into_iter()
            .partition(|path| !path.starts_with("/api"));
        Self {
            visitors: vec![
                ("nobody", server.client().await, visit(pages)),
                ("nobody", server.client().await, visit(api)),
                ("ada", server.signed_in("ada").await, visit(personal())),
                ("carla", server.signed_in("carla").await, visit(personal())),
            ],
        }
    }

    pub(crate) async fn crawl(&mut self) -> Site {
        let mut site = Site::new();
        for (visitor, client, paths) in &mut self.visitors {
            for path in paths {
                let page = Page::from(client.get(path).await);
                site.insert(format!("{visitor} {path}"), page);
            }
        }
        site
    }
}

impl From<Answer> for Page {
    fn from(answer: Answer) -> Self {
        let tags = answer.tags("x-shown-tags");
        let cache_status = answer.header("cache-status").unwrap_or_default().to_owned();
        Self {
            status: answer.status,
            body: answer.body,
            tags,
            cache_status,
        }
    }
}

/// Every page that has no number, and those of a few rows.
fn is_among_some(path: &str) -> bool {
    const IDS: [&str; 16] = [
        "1", "2", "4", "8", "9", "10", "13", "16", "21", "25", "31", "101", "201", "220", "221",
        "320",
    ];
    let number = |segment: &&str| segment.bytes().all(|byte| byte.is_ascii_digit());
    let mut ids = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .filter(number);
    ids.all(|id| IDS.contains(&id))
}

/// Whether a page may be out of date by its tags although it isn't.
pub(crate) fn may_be_made_again(page: &str) -> bool {
    LONG_SEARCHES
        .iter()
        .any(|query| page.ends_with(&format!("search?q={query}")))
}

/// Everything for everybody: one id past the last of each kind too, for the
/// rows that tests create.
fn public() -> Vec<String> {
    let mut pages: Vec<String> = ["", "/clubs", "/events"].map(str::to_owned).into();
    pages.extend((1..=13).map(|id| format!("/clubs/{id}")));
    pages.extend((1..=25).map(|id| format!("/teams/{id}")));
    pages.extend((1..=31).map(|id| format!("/events/{id}")));
    pages.extend((1..=6).map(|id| format!("/series/{id}")));
    for (simulator, first) in [("iracing", 100), ("acc", 200), ("lmu", 300)] {
        pages.extend((1..=21).map(|id| format!("/drivers/{simulator}/{}", first + id)));
    }
    let searches = SEARCHES.iter().chain(&LONG_SEARCHES);
    pages.extend(searches.map(|query| format!("/search?q={query}")));
    let api = pages.iter().skip(1).map(|path| format!("/api{path}"));
    let members = (1..=13).map(|id| format!("/api/clubs/{id}/members"));
    let mut all: Vec<String> = api.chain(members).collect();
    all.extend(pages.into_iter().map(|path| {
        if path.is_empty() {
            "/".to_owned()
        } else {
            path
        }
    }));
    all.extend(["/about", "/contact", "/login", "/nowhere"].map(str::to_owned));
    all
}

/// What differs by visitor, and a few public pages because of the name in the
/// navigation.
fn personal() -> Vec<String> {
    let mut pages: Vec<String> = [
        "/",
        "/about",
        "/clubs/1",
        "/events/4",
        "/me",
        "/settings",
        "/api/me",
        "/nowhere",
    ]
    .map(str::to_owned)
    .into();
    pages.extend((1..=13).map(|id| format!("/clubs/{id}/manage")));
    pages
}

use std::{convert::Infallible, hint::black_box, sync::Arc};

use minijinja::{Environment, Value, context};
use pitlane::{Cache, Caches, Scope, fragment::Fragments};
use serde::Serialize;

use crate::{data::print, measure::Case};

/// A page of sections, and each section of rows: a results table, say.
const PAGE: &str = r#"<!doctype html><title>{{ name }}</title>
{% call cached("page", tags="page") %}
{% for section in sections %}
{% call cached("section", section.id, tags="section:" ~ section.id) %}
<section><h2>{{ section.name }}</h2>
{% for card in section.cards %}
{% call cached("card", card.id, tags="card:" ~ card.id) %}
<table>
{% for row in card.rows %}
<tr><td>{{ row.position }}</td><td><a href="/drivers/{{ row.driver }}">{{ row.name }}</a></td>
<td>{% if row.team %}{{ row.team }}{% else %}privateer{% endif %}</td><td>{{ row.lap }}</td></tr>
{% endfor %}
</table>
{% endcall %}
{% endfor %}
</section>
{% endcall %}
{% endfor %}
{% endcall %}"#;

#[derive(Serialize)]
struct Section {
    id: u32,
    name: String,
    cards: Vec<Card>,
}

#[derive(Serialize)]
struct Card {
    id: u32,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    position: u32,
    driver: u32,
    name: String,
    team: Option<&'static str>,
    lap: String,
}

/// 4 sections of 5 cards of 10 rows.
fn sections() -> Vec<Section> {
    let row = |position| Row {
        position,
        driver: 100 + position,
        name: format!("Driver <{position}>"),
        team: (position % 3 != 0).then_some("Night Shift"),
        lap: format!("1:{:02}.{:03}", position + 20, position * 37),
    };
    let card = |section: u32, card| Card {
        id: section * 10 + card,
        rows: (1..=10).map(row).collect(),
    };
    (1..=4)
        .map(|id| Section {
            id,
            name: format!("Section {id}"),
            cards: (1..=5).map(|number| card(id, number)).collect(),
        })
        .collect()
}

struct Site {
    environment: Environment<'static>,
    cache: Cache,
    data: Value,
}

impl Site {
    fn new(cache: &Cache, enabled: bool) -> Self {
        let mut environment = Environment::new();
        environment
            .add_template("page.html", PAGE)
            .expect("a template");
        let fragments = Fragments::new(cache).enabled(enabled);
        let _installed = fragments.install(&mut environment);
        let sections = Value::from(minijinja::value::Serde(sections()));
        Self {
            environment,
            cache: cache.clone(),
            data: context! { name => "A page", sections },
        }
    }

    fn page(&self) -> String {
        let page = self.environment.get_template("page.html").expect("a page");
        let data = self.data.clone();
        let scope = Scope::open(&self.cache);
        scope.sync(|| page.render(data)).expect("a text")
    }
}

pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = Arc::new({ runtime }.build().expect("a runtime"));
    let caches = Caches::builder().build().expect("caches");
    let cache = caches.get("default").expect("the cache");
    let text = Site::new(&cache, false).page();
    let size = text.len();
    println!("\na text of {size} bytes, in memory");
    print(&mut texts(&cache, text));
    println!("\na page of 4 sections of 5 cards of 10 rows, {size} bytes, by minijinja");
    let with = Arc::new(Site::new(&cache, true));
    let without = Site::new(&cache, false);
    let case = |name, work: Box<dyn FnMut()>| Case { name, work };
    let ended = |tag: &'static str| {
        let (site, caches, runtime) = (Arc::clone(&with), caches.clone(), Arc::clone(&runtime));
        Box::new(move || {
            drop(runtime.block_on(caches.invalidate([tag])));
            drop(black_box(site.page()));
        })
    };
    let site = Arc::clone(&with);
    print(&mut [
        case(
            "without fragments",
            Box::new(move || drop(black_box(without.page()))),
        ),
        case(
            "all in memory",
            Box::new(move || drop(black_box(site.page()))),
        ),
        case("the page ended: 4 sections in memory", ended("page")),
        case("one card ended, and what shows it", ended("card:23")),
        case("one section ended, and what shows it", ended("section:2")),
    ]);
}

fn texts(cache: &Cache, text: String) -> Vec<Case> {
    let fragment = cache.fragment("text").arg(42).tags(["club:42"]);
    let (cache, made) = (cache.clone(), text.clone());
    let stored = Scope::open(&cache);
    let of = move |fragment: pitlane::fragment::Fragment| {
        let Ok(text) = fragment.render(|| Ok::<_, Infallible>(made.clone()));
        text
    };
    drop(stored.sync(|| of(fragment.clone())));
    let (shown, scope) = (of.clone(), Scope::open(&cache));
    vec![
        Case {
            name: "a String, cloned",
            work: Box::new(move || drop(black_box(text.clone()))),
        },
        Case {
            name: "a fragment",
            work: Box::new(move || drop(black_box(of(fragment.clone())))),
        },
        Case {
            name: "a fragment, made anew, in a scope",
            work: Box::new(move || {
                let fragment = cache.fragment("text").arg(42).tags(["club:42"]);
                let text = scope.clone().sync(|| shown(fragment));
                drop(black_box(text));
            }),
        },
    ]
}

//! Fragments of minijinja templates.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use minijinja::{Environment, ErrorKind, Value, context};
use pitlane::{
    Cache, Invalidation, Key, Scope, depend_on,
    fragment::{Argument, Fragments},
};
use pitlane_testkit::Origin;
use tower::Layer;

use crate::drive::{Bench, FRESH, bench, get};

/// How often each body has been rendered.
#[derive(Clone, Default)]
struct Rendered(Arc<Mutex<BTreeMap<String, u32>>>);

impl Rendered {
    fn count(&self, name: String) -> u32 {
        let mut counts = self.0.lock().unwrap();
        let count = counts.entry(name).or_default();
        *count += 1;
        *count
    }

    /// What was rendered since the last time that somebody asked, and how often.
    fn take(&self) -> BTreeMap<String, u32> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Site {
    bench: Bench,
    environment: Environment<'static>,
    fragments: Fragments,
    rendered: Rendered,
}

impl Site {
    fn of(templates: &[(&'static str, &'static str)]) -> Self {
        Self::with(bench(), templates, Fragments::new)
    }

    fn with(
        bench: Bench,
        templates: &[(&'static str, &'static str)],
        fragments: impl FnOnce(&Cache) -> Fragments,
    ) -> Self {
        let (mut environment, rendered) = (Environment::new(), Rendered::default());
        for (name, source) in templates {
            environment.add_template(name, source).unwrap();
        }
        let counts = rendered.clone();
        environment.add_function("rendered", move |name: String| counts.count(name));
        let cache = bench.cache.clone();
        environment.add_function("depend_on", move |tag: String| {
            depend_on(&cache, [tag]);
            ""
        });
        let fragments = fragments(&bench.cache).install(&mut environment);
        Self {
            bench,
            environment,
            fragments,
            rendered,
        }
    }

    fn try_render(&self, template: &str, data: Value) -> Result<String, minijinja::Error> {
        let template = self.environment.get_template(template)?;
        Scope::open(&self.bench.cache).sync(|| template.render(data))
    }

    #[track_caller]
    fn render(&self, template: &str, data: Value) -> String {
        self.try_render(template, data).unwrap()
    }
}

const CARD: &str = "{% call cached('card', id) %}{{ rendered('card') }}{% endcall %}";

#[test]
fn a_body_is_rendered_for_each_argument_once() {
    let site = Site::of(&[("card.html", CARD)]);
    let ids = [
        Value::from(1),
        Value::from("1"),
        Value::from(1.0),
        Value::from(true),
        Value::from(()),
        Value::from(vec![1, 2]),
        Value::from(vec!["1,2"]),
        Value::from(u128::MAX),
        Value::from("a<b"),
        Value::from_safe_string("a<b".into()),
        Value::from_bytes(b"a<b".to_vec()),
        context! { a => 1 },
        context! { a => 2 },
        context! { a => "x".repeat(1000) },
    ];
    for _ in 0..2 {
        for (number, id) in ids.iter().enumerate() {
            let text = site.render("card.html", context! { id => id.clone() });
            assert_eq!(text, (number + 1).to_string(), "{id:?}");
        }
    }
}

#[test]
fn an_argument_that_tells_nothing_apart_keeps_nothing() {
    let named = "{% call cached('card', id, user=user) %}{{ rendered('card') }}{% endcall %}";
    let site = Site::of(&[("card.html", CARD), ("own.html", named)]);
    let iterator = || Value::make_one_shot_iterator([1, 2].into_iter());
    let huge = Value::from("x".repeat(100 << 10));
    for data in [
        context! { other => 1 },
        context! { id => iterator() },
        context! { id => vec![Value::UNDEFINED] },
        context! { id => huge },
    ] {
        let first = site.render("card.html", data.clone());
        assert_ne!(site.render("card.html", data.clone()), first, "{data:?}");
    }
    for user in [
        Value::UNDEFINED,
        Value::from(()),
        Value::from(""),
        Value::from(1.5),
    ] {
        let data = context! { id => 1, user => user.clone() };
        let first = site.render("own.html", data.clone());
        assert_ne!(site.render("own.html", data), first, "{user:?}");
    }
    let own = |user: Value| site.render("own.html", context! { id => 1, user });
    let (one, two) = (own(Value::from(1)), own(Value::from(2)));
    assert_ne!(one, two);
    assert_eq!((own(Value::from(1)), own(Value::from(2))), (one, two));
}

#[test]
fn templates_have_fragments_of_their_own_and_share_those_of_what_they_import() {
    let part = "{% macro card(id) %}{% call cached('card', id) %}\
                {{ rendered('card') }}{% endcall %}{% endmacro %}";
    let page = "{% import 'part.html' as part %}{{ part.card(1) }}";
    let site = Site::of(&[
        ("a.html", CARD),
        ("b.html", CARD),
        ("part.html", part),
        ("c.html", page),
        ("d.html", page),
    ]);
    let shown = |name: &str| site.render(&format!("{name}.html"), context! { id => 1 });
    for (name, expected) in [("a", "1"), ("b", "2"), ("c", "3"), ("d", "3"), ("a", "1")] {
        assert_eq!(shown(name), expected, "{name}");
    }
}

#[test]
fn an_edited_template_shows_nothing_that_was_rendered_before() {
    let bench = bench();
    let cache = bench.cache.clone();
    let part = "{% macro name(it) %}<b>{{ it }}</b>{% endmacro %}";
    let page = "{% import 'part.html' as part %}\
                {% call cached('card', 1) %}{{ part.name(it) }}{% endcall %}";
    let show = |part, page, version, it: &str| {
        let bench = Bench {
            caches: bench.caches.clone(),
            cache: cache.clone(),
            clock: bench.clock.clone(),
            layer: bench.layer.clone(),
        };
        let fragments = |cache: &Cache| Fragments::new(cache).version(version);
        let site = Site::with(
            bench,
            &[("part.html", part), ("page.html", page)],
            fragments,
        );
        site.render("page.html", context! { it })
    };
    let edited_part = "{% macro name(it) %}<i>{{ it }}</i>{% endmacro %}";
    let edited_page = "{% import 'part.html' as part %}\
                       {% call cached('card', 1) %}!{{ part.name(it) }}{% endcall %}";
    assert_eq!(show(part, page, 0, "one"), "<b>one</b>");
    assert_eq!(show(part, page, 0, "two"), "<b>one</b>");
    assert_eq!(show(edited_part, page, 0, "three"), "<i>three</i>");
    assert_eq!(show(part, edited_page, 0, "four"), "!<b>four</b>");
    assert_eq!(show(part, page, 1, "five"), "<b>five</b>");
    assert_eq!(show(part, page, 0, "six"), "<b>one</b>");
}

#[test]
fn a_text_is_escaped_once_and_found_only_where_it_was_escaped_alike() {
    let body = "{% call cached('name', 1) %}<b>{{ name }}</b>{% endcall %}";
    let both = "{% call cached('name', 1) %}<b>{{ name }}</b>{% endcall %}|\
                {% autoescape false %}{% call cached('name', 1) %}<b>{{ name }}</b>{% endcall %}\
                {% endautoescape %}";
    let site = Site::of(&[("a.html", body), ("a.txt", body), ("both.html", both)]);
    let shown = |template| site.render(template, context! { name => "<Ada>" });
    for _ in 0..2 {
        assert_eq!(shown("a.html"), "<b>&lt;Ada&gt;</b>");
        assert_eq!(shown("a.txt"), "<b><Ada></b>");
        assert_eq!(shown("both.html"), "<b>&lt;Ada&gt;</b>|<b><Ada></b>");
    }
}

#[test]
fn a_wrong_call_is_an_error_of_the_template() {
    for (call, kind) in [
        ("{{ cached('a') }}", ErrorKind::MissingArgument),
        (
            "{% call cached() %}{% endcall %}",
            ErrorKind::MissingArgument,
        ),
        (
            "{% call cached('a', tll=1) %}{% endcall %}",
            ErrorKind::TooManyArguments,
        ),
        (
            "{% call cached('a', ttl='1') %}{% endcall %}",
            ErrorKind::InvalidOperation,
        ),
        (
            "{% call cached('a', ttl=-1) %}{% endcall %}",
            ErrorKind::InvalidOperation,
        ),
        (
            "{% call cached('a', tags=1) %}{% endcall %}",
            ErrorKind::InvalidOperation,
        ),
        (
            "{% call cached('a', tags=[1]) %}{% endcall %}",
            ErrorKind::InvalidOperation,
        ),
        (
            "{% call cached(1) %}{% endcall %}",
            ErrorKind::InvalidOperation,
        ),
    ] {
        let site = Site::of(&[("a.html", call)]);
        let error = site.try_render("a.html", context! {}).unwrap_err();
        assert_eq!(error.kind(), kind, "{call}: {error}");
    }
}

#[tokio::test]
async fn options_say_how_long_for_whom_and_what_ends_it() {
    let call = "{% call cached('a', ttl=ttl, tags=tags, user=7, version=1) %}\
                {{ rendered('a') }}{% endcall %}";
    for (number, ttl) in [Value::from(60), Value::from(60.0), Value::from("1m")]
        .into_iter()
        .enumerate()
    {
        for (ending, tags) in [("x", Value::from("x")), ("y", Value::from(vec!["x", "y"]))] {
            let site = Site::of(&[("a.html", call)]);
            let data = context! { ttl => ttl.clone(), tags };
            let shown = || site.render("a.html", data.clone());
            assert_eq!((shown(), shown()), ("1".into(), "1".into()), "{number}");
            let _ = site.bench.caches.invalidate([ending]).await.unwrap();
            assert_eq!((shown(), shown()), ("2".into(), "2".into()), "{ending}");
            let _ = site.bench.caches.invalidate(["user:7"]).await.unwrap();
            assert_eq!((shown(), shown()), ("3".into(), "3".into()));
            site.bench.clock.advance(std::time::Duration::from_secs(60));
            assert_eq!(shown(), "4", "{ttl:?}");
        }
    }
}

#[test]
fn what_a_handler_names_is_what_the_template_keeps() {
    let own = "{% call cached('card', id, user=7) %}{{ rendered('card') }}{% endcall %}";
    let site = Site::of(&[("card.html", CARD), ("own.html", own)]);
    let rendered = || Err::<String, _>("not there");
    let card = || {
        let card = site.fragments.of(&site.environment, "card.html", "card");
        card.unwrap().arg(1)
    };
    assert_eq!(card().render(rendered), Err("not there"));
    let shown = site.render("card.html", context! { id => 1 });
    assert_eq!(card().render(rendered), Ok(shown));
    let own = || {
        let own = site.fragments.of(&site.environment, "own.html", "card");
        own.unwrap().arg("<b>")
    };
    let shown = site.render("own.html", context! { id => "<b>" });
    assert_eq!(own().user(7).render(rendered), Ok(shown));
    assert_eq!(own().render(rendered), Err("not there"));
    let none = site.fragments.of(&site.environment, "none.html", "card");
    assert_eq!(none.unwrap_err().kind(), ErrorKind::TemplateNotFound);
    // A long text is told by the same digest.
    let long = "x".repeat(500);
    let shown = site.render("card.html", context! { id => long.clone() });
    let card = site.fragments.of(&site.environment, "card.html", "card");
    let card = card.unwrap().arg(Argument::from(long));
    assert_eq!(card.render(rendered), Ok(shown));
}

#[test]
fn switched_off_nothing_is_kept() {
    let fragments = |cache: &Cache| Fragments::new(cache).enabled(false);
    let site = Site::with(bench(), &[("card.html", CARD)], fragments);
    assert_eq!(site.render("card.html", context! { id => 1 }), "1");
    assert_eq!(site.render("card.html", context! { id => 1 }), "2");
}

#[test]
fn a_template_that_the_environment_does_not_hold_keeps_nothing() {
    let site = Site::of(&[]);
    let show = || {
        let text = |source| site.environment.render_str(source, context! { id => 1 });
        Scope::open(&site.bench.cache).sync(|| text(CARD)).unwrap()
    };
    assert_eq!((show(), show()), ("1".to_owned(), "2".to_owned()));
}

#[test]
fn an_error_in_a_body_is_the_templates_and_not_kept() {
    let call = "{% call cached('a', 1) %}{{ rendered('a') }}{{ 1 / by }}{% endcall %}";
    let site = Site::of(&[("a.html", call)]);
    assert!(site.try_render("a.html", context! { by => "x" }).is_err());
    assert_eq!(site.render("a.html", context! { by => 1 }), "21.0");
    assert_eq!(site.render("a.html", context! { by => 2 }), "21.0");
}

const PAGE: &str = "{% call cached('page', tags='page') %}p{{ rendered('page') }}\
    {% for section in [1, 2] %}\
    {% call cached('section', section, tags='section:' ~ section) %} \
    s{{ rendered('section ' ~ section) }}\
    {% for card in [1, 2, 3] %}\
    {% call cached('card', section, card, tags='card:' ~ section ~ card) %} \
    c{{ rendered('card ' ~ section ~ card) }}{{ depend_on('row:' ~ section ~ card) }}\
    {% endcall %}{% endfor %}{% endcall %}{% endfor %}{% endcall %}";

#[track_caller]
fn check(site: &Site, expected: &[&str]) {
    let expected = expected.iter().map(|name| ((*name).to_owned(), 1));
    assert_eq!(site.rendered.take(), expected.collect());
}

#[tokio::test]
async fn of_three_levels_exactly_the_ancestors_of_what_was_edited_are_rendered_again() {
    let site = Site::of(&[("page.html", PAGE)]);
    let all = [
        "page",
        "section 1",
        "section 2",
        "card 11",
        "card 12",
        "card 13",
        "card 21",
        "card 22",
        "card 23",
    ];
    for (ending, rendered) in [
        ("nothing yet", &all[..]),
        ("card:12", &["page", "section 1", "card 12"]),
        // What the body named, and not the template.
        ("row:23", &["page", "section 2", "card 23"]),
        ("section:2", &["page", "section 2"]),
        ("page", &["page"]),
        ("something else", &[]),
    ] {
        let _ = site.bench.caches.invalidate([ending]).await.unwrap();
        let text = site.render("page.html", context! {});
        check(&site, rendered);
        assert_eq!(site.render("page.html", context! {}), text);
        check(&site, &[]);
    }
}

#[tokio::test]
async fn a_page_around_them_is_made_again_with_only_what_has_ended() {
    let site = Arc::new(Site::of(&[("page.html", PAGE)]));
    let shown = Arc::clone(&site);
    let pages = site.bench.layer.clone().layer(Origin::new(move |_, call| {
        let site = Arc::clone(&shown);
        async move {
            let page = site.environment.get_template("page.html").unwrap();
            let page = page.render(context! {}).unwrap();
            Origin::reply(FRESH, format!("{call} {page}"))
        }
    }));
    assert!(get(&pages, "/").await.text().starts_with("1 p1"));
    assert_eq!(site.rendered.take().len(), 9);
    for (call, ending) in [(2, "card:21"), (3, "row:21")] {
        assert!(get(&pages, "/").await.is_hit());
        check(&site, &[]);
        let _ = site.bench.caches.invalidate([ending]).await.unwrap();
        let page = get(&pages, "/").await;
        assert!(page.text().starts_with(&call.to_string()), "{ending}");
        check(&site, &["card 21", "page", "section 2"]);
    }
}

#[tokio::test]
async fn what_is_not_kept_ends_the_page_around_it_all_the_same() {
    const SHOWN: &str =
        "{% call cached('card', 1, other, tags='club:1') %}{{ rendered('card') }}{% endcall %}";
    let ended_by_key = Invalidation::default().add_key(&Key::new("card").child(1));
    for is_on in [false, true] {
        for ending in [Invalidation::tags(["club:1"]), ended_by_key.clone()] {
            let fragments = |cache: &Cache| Fragments::new(cache).enabled(is_on);
            let site = Arc::new(Site::with(bench(), &[("page.html", SHOWN)], fragments));
            let shown = Arc::clone(&site);
            let pages = site.bench.layer.clone().layer(Origin::new(move |_, _| {
                let page = shown.environment.get_template("page.html").unwrap();
                // What is undefined tells nothing apart.
                let page = page.render(context! {}).unwrap();
                async move { Origin::reply(FRESH, page) }
            }));
            assert_eq!(get(&pages, "/").await.text(), "1");
            assert!(get(&pages, "/").await.is_hit());
            let _ = site.bench.caches.publish(ending.clone()).await.unwrap();
            assert_eq!(get(&pages, "/").await.text(), "2", "{is_on} {ending:?}");
        }
    }
}

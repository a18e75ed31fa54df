//! What a collector of traces is told of each request.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Method;
use pitlane::{Profile, ResponseCacheLayer};
use pitlane_testkit::{Gate, Origin};
use tower::{Layer as _, ServiceExt};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Registry,
    layer::{Context, Layer, SubscriberExt},
    registry::LookupSpan,
};

use crate::drive::{FRESH, NO_STORE, ask, bench, bounded, get, poll_once, request, until};

/// One span, as a collector sees it.
#[derive(Clone, Debug, Default)]
struct Span {
    name: &'static str,
    fields: BTreeMap<&'static str, String>,
    parent: Option<&'static str>,
    follows: Vec<&'static str>,
    open: bool,
}

/// Keeps all that it is told.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<BTreeMap<u64, Span>>>);

impl Collector {
    /// Collects from this thread.
    fn start() -> (Self, DefaultGuard) {
        let collector = Self::default();
        let subscriber = Registry::default().with(collector.clone());
        (collector, tracing::subscriber::set_default(subscriber))
    }

    fn all(&self, name: &str) -> Vec<Span> {
        let spans = self.0.lock().unwrap();
        let named = spans.values().filter(|span| span.name == name);
        named.cloned().collect()
    }

    /// How the last request was answered, and why.
    fn last(&self) -> (String, String) {
        let last = self.all("pitlane.cache").pop().unwrap();
        let field = |name| last.fields.get(name).cloned().unwrap_or_default();
        (field("outcome"), field("reason"))
    }

    fn is_open(&self) -> bool {
        self.0.lock().unwrap().values().any(|span| span.open)
    }

    fn with(&self, id: &Id, change: impl FnOnce(&mut Span)) {
        let mut spans = self.0.lock().unwrap();
        change(spans.entry(id.into_u64()).or_default());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context
            .span(id)
            .and_then(|span| Some(span.parent()?.name()));
        // An id may be used again once its span is closed.
        let unused = {
            let mut spans = self.0.lock().unwrap();
            let old = spans.remove(&id.into_u64());
            let next = 1_000_000 + spans.len() as u64;
            old.map(|old| spans.insert(next, old))
        };
        drop(unused);
        self.with(id, |span| {
            span.name = attributes.metadata().name();
            span.parent = parent;
            span.open = true;
            attributes.record(&mut Fields(span));
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.with(id, |span| values.record(&mut Fields(span)));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let name = context.span(follows).map(|span| span.name());
        self.with(id, |span| span.follows.extend(name));
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.with(&id, |span| span.open = false);
    }
}

struct Fields<'a>(&'a mut Span);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let text = text.trim_matches('"').to_owned();
        self.0.fields.insert(field.name(), text);
    }
}

#[tokio::test]
async fn each_request_has_a_span_that_says_how_it_was_answered_and_why() {
    let (collector, _guard) = Collector::start();
    let bench = bench();
    let layer: ResponseCacheLayer = bench.layer.route_label(|_| Some("/clubs"));
    let service = layer.layer(Origin::counting(FRESH));
    get(&service, "/secret-path?token=SECRET").await;
    let told = collector.last();
    assert_eq!(told, ("miss".into(), "uri-miss".into()));
    get(&service, "/secret-path?token=SECRET").await;
    assert_eq!(collector.last(), ("hit".into(), "fresh".into()));
    ask(&service, Method::GET, "/", &[("cookie", "id=SECRET")]).await;
    assert_eq!(collector.last(), ("bypass".into(), "cookie".into()));

    let spans = collector.all("pitlane.cache");
    assert_eq!(spans.len(), 3);
    for span in &spans {
        assert_eq!(span.fields["cache"], "default");
        assert_eq!(span.fields["route"], "/clubs");
        assert_eq!(span.fields["otel.kind"], "internal");
        assert!(!span.fields.contains_key("otel.status_code"));
    }
    let fills = collector.all("pitlane.fill");
    assert_eq!(fills.len(), 1);
    assert_eq!(fills[0].parent, Some("pitlane.cache"));
    assert_eq!(fills[0].fields["reason"], "stored");
    assert!(!collector.is_open());
    let everything = format!("{:?}", collector.0.lock().unwrap());
    assert!(!everything.contains("SECRET") && !everything.contains("secret"));
}

#[tokio::test]
async fn a_stale_answer_has_a_renewal_that_follows_from_it() {
    let (collector, _guard) = Collector::start();
    let bench = bench();
    let origin = Origin::counting(&[("cache-control", "max-age=10, stale-while-revalidate=30")]);
    let service = bench.layer.layer(origin.clone());
    get(&service, "/").await;
    bench.clock.advance(Duration::from_secs(15));
    get(&service, "/").await;
    let told = collector.last();
    assert_eq!(told, ("stale".into(), "stale-while-revalidate".into()));
    until(|| bench.caches.background() == 0 && origin.calls() == 2).await;
    let refreshes = collector.all("pitlane.refresh");
    assert_eq!(refreshes.len(), 1);
    assert_eq!(refreshes[0].parent, None);
    assert_eq!(refreshes[0].follows, ["pitlane.cache"]);
    // Its computation is its own, and no request's.
    let fills = collector.all("pitlane.fill");
    assert_eq!(fills.len(), 2);
    assert_eq!(fills[1].parent, Some("pitlane.refresh"));
    assert_eq!(collector.all("pitlane.cache").len(), 2);
    assert!(!collector.is_open());
}

#[tokio::test]
async fn who_waits_for_another_is_told_so() {
    let (collector, _guard) = Collector::start();
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let service = bench.layer.layer(Origin::new(move |_, _| {
        let held = held.clone();
        async move {
            held.pass().await;
            Origin::reply(FRESH, "x")
        }
    }));
    let (mut first, mut second) = (get(&service, "/"), get(&service, "/"));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    gate.open(1);
    bounded(async { tokio::join!(first, second) }).await;
    let mut told: Vec<_> = collector
        .all("pitlane.cache")
        .iter()
        .map(|span| {
            (
                span.fields["outcome"].clone(),
                span.fields["reason"].clone(),
            )
        })
        .collect();
    told.sort();
    let expected = [("collapsed", "collapsed"), ("miss", "uri-miss")];
    let expected = expected.map(|(outcome, reason)| (outcome.into(), reason.into()));
    assert_eq!(told, expected);
    assert_eq!(collector.all("pitlane.fill").len(), 1);
}

#[tokio::test]
async fn what_fails_is_an_error_in_the_trace() {
    let (collector, _guard) = Collector::start();
    let bench = bench();
    let inner = tower::service_fn(|_: http::Request<_>| async {
        Err::<pitlane_testkit::Reply, _>("it failed")
    });
    let service = bench.layer.layer(inner);
    let request = request(Method::GET, "/", &[]);
    assert!(service.oneshot(request).await.is_err());
    assert_eq!(collector.last(), ("miss".into(), "failed".into()));
    let span = collector.all("pitlane.cache").remove(0);
    assert_eq!(span.fields["otel.status_code"], "ERROR");
    let fill = collector.all("pitlane.fill").remove(0);
    assert_eq!(fill.fields["reason"], "failed");
    assert!(!collector.is_open());
}

#[tokio::test]
async fn what_cannot_be_stored_says_why_in_both_spans() {
    let (collector, _guard) = Collector::start();
    let bench = bench();
    let layer: ResponseCacheLayer = bench.layer.profile(Profile::Rfc);
    let service = layer.layer(Origin::counting(NO_STORE));
    for _ in 0..2 {
        get(&service, "/").await;
        assert_eq!(collector.last(), ("miss".into(), "no-store".into()));
    }
    let fills = collector.all("pitlane.fill");
    assert_eq!(fills.len(), 2);
    assert!(fills.iter().all(|fill| fill.fields["reason"] == "no-store"));
    assert!(!collector.is_open());
}

/// The client is gone, and no span stays open.
#[tokio::test]
async fn a_request_that_is_dropped_leaves_no_span_open() {
    let (collector, _guard) = Collector::start();
    let bench = bench();
    let service = bench
        .layer
        .layer(Origin::new(|_, _| std::future::pending()));
    let mut left = get(&service, "/");
    assert!(poll_once(left.as_mut()).is_pending());
    assert!(collector.is_open());
    drop(left);
    assert!(!collector.is_open());
    assert_eq!(collector.last(), ("miss".into(), "abandoned".into()));
}

/// A layer inside has a span inside; each says what its own cache did.
#[tokio::test]
async fn layers_that_are_stacked_have_spans_that_are() {
    let (collector, _guard) = Collector::start();
    let (outer, inner) = (bench(), bench());
    let inner: ResponseCacheLayer = inner.layer.enabled(false);
    let service = outer.layer.layer(inner.layer(Origin::counting(FRESH)));
    get(&service, "/").await;
    let spans = collector.all("pitlane.cache");
    let told: Vec<_> = spans
        .iter()
        .map(|span| (span.parent, &*span.fields["reason"]))
        .collect();
    let inside = (Some("pitlane.fill"), "disabled");
    assert!(
        told.contains(&inside) && told.contains(&(None, "uri-miss")),
        "{told:?}"
    );
}

/// Another's span must not be taken for the layer's own.
#[tokio::test]
async fn a_span_around_the_layer_is_left_alone_when_the_layers_own_is_filtered() {
    let (collector, _guard) = {
        let collector = Collector::default();
        let mine = tracing_subscriber::filter::filter_fn(|data| data.target() != "pitlane");
        let subscriber = Registry::default().with(mine).with(collector.clone());
        (collector, tracing::subscriber::set_default(subscriber))
    };
    let bench = bench();
    let service = bench.layer.layer(Origin::counting(FRESH));
    let around = tracing::info_span!("http", outcome = "their own");
    tracing::Instrument::instrument(get(&service, "/"), around).await;
    let spans = collector.all("http");
    assert_eq!(spans[0].fields["outcome"], "their own");
    assert!(collector.all("pitlane.cache").is_empty());
}

//! A password is seen by nobody.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use pitlane_core::{BreakerState, RemoteStore};
use pitlane_redis::{CircuitBrokenRedis, Side};
use pitlane_testkit::RedisServer;
use secrecy::SecretString;
use tracing::{Event, Metadata, Subscriber, field::Visit, span};

use crate::support::{patient, soon_closed};

const SECRET: &str = "c4nary-s3cret";

/// Hears all that is said through `log` and `tracing`, however softly.
#[derive(Clone, Default)]
struct Ear {
    heard: Arc<AtomicUsize>,
    secrets: Arc<AtomicUsize>,
}

impl Ear {
    fn hear(&self, text: &str) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        let is_secret = text.contains(SECRET);
        self.secrets
            .fetch_add(usize::from(is_secret), Ordering::Relaxed);
    }
}

impl Visit for &Ear {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn fmt::Debug) {
        self.hear(&format!("{value:?}"));
    }
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut &*self);
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut &*self);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut &*self);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl log::Log for Ear {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.hear(&record.args().to_string());
    }

    fn flush(&self) {}
}

#[track_caller]
fn check(shown: &dyn fmt::Debug) {
    for text in [format!("{shown:?}"), format!("{shown:#?}")] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn a_password_never_appears_in_logs_errors_or_debug() {
    let (spoken, written) = (Ear::default(), Ear::default());
    log::set_boxed_logger(Box::new(written.clone())).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let _here = tracing::subscriber::set_default(spoken.clone());
    log::trace!("control: {SECRET}");
    tracing::trace!("control: {SECRET}");

    let server = RedisServer::builder().password(SECRET).start();
    let builder = CircuitBrokenRedis::builder(&server.url()).unwrap();
    check(&builder);
    let redis = builder
        .password(SecretString::from(SECRET))
        .build()
        .unwrap();
    soon_closed(&redis).await;
    let database = redis.database(0).unwrap();
    let dedicated = redis.dedicated(0);
    database.increment("n", 1).await.unwrap();
    check(&(&redis, &database, &dedicated));

    // The password is not ours any more, and then the server is gone.
    let mut cli = server.cli();
    cli.run(&["CONFIG", "SET", "requirepass", "another"])
        .unwrap();
    cli.run(&["CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal"])
        .unwrap();
    patient(async || {
        let error = database.get("key").await.err();
        check(&error);
        check(
            &error
                .as_ref()
                .and_then(Error::source)
                .map(ToString::to_string),
        );
        redis.state(Side::Read) == BreakerState::Open
    })
    .await;
    // Let some more attempts be refused, each with something to say.
    for _ in 0..100 {
        check(&database.get("key").await.err());
        tokio::time::sleep(std::time::Duration::from_millis(15)).await;
    }
    cli.run(&["CONFIG", "SET", "requirepass", SECRET]).unwrap();
    soon_closed(&redis).await;
    server.kill();
    patient(async || {
        check(&database.get("key").await.err());
        redis.state(Side::Read) == BreakerState::Open
    })
    .await;
    check(&(&redis, &database, &dedicated));
    redis.shutdown().await;

    log::set_max_level(log::LevelFilter::Off);
    for ear in [spoken, written] {
        assert!(ear.heard.load(Ordering::Relaxed) > 1, "nothing was said");
        assert_eq!(
            ear.secrets.load(Ordering::Relaxed),
            1,
            "all but the control"
        );
    }
}

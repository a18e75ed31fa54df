//! How things look: templates, the filters they use, and charts.

mod chart;
mod filters;
mod moment;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

pub(crate) use chart::{Chart, Line, Scale, Stretch, bar};
pub(crate) use filters::shown;

/// Every name ends in `.html`, which is what makes all values be escaped.
const TEMPLATES: &[(&str, &str)] = &[
    (
        "activity.html",
        include_str!("../../templates/activity.html"),
    ),
    ("base.html", include_str!("../../templates/base.html")),
    (
        "cache-rows.html",
        include_str!("../../templates/cache-rows.html"),
    ),
    ("cache.html", include_str!("../../templates/cache.html")),
    ("caches.html", include_str!("../../templates/caches.html")),
    ("clear.html", include_str!("../../templates/clear.html")),
    ("confirm.html", include_str!("../../templates/confirm.html")),
    ("done.html", include_str!("../../templates/done.html")),
    ("door.html", include_str!("../../templates/door.html")),
    ("entry.html", include_str!("../../templates/entry.html")),
    ("explain.html", include_str!("../../templates/explain.html")),
    ("health.html", include_str!("../../templates/health.html")),
    (
        "invalidate.html",
        include_str!("../../templates/invalidate.html"),
    ),
    (
        "invalidation-rows.html",
        include_str!("../../templates/invalidation-rows.html"),
    ),
    ("keys.html", include_str!("../../templates/keys.html")),
    ("nodes.html", include_str!("../../templates/nodes.html")),
    (
        "overview.html",
        include_str!("../../templates/overview.html"),
    ),
    ("parts.html", include_str!("../../templates/parts.html")),
    ("redis.html", include_str!("../../templates/redis.html")),
    ("refused.html", include_str!("../../templates/refused.html")),
    ("routes.html", include_str!("../../templates/routes.html")),
    ("sign-in.html", include_str!("../../templates/sign-in.html")),
];

/// All templates, compiled. A mistake in one shows in the tests that render every page, and at
/// run time as a failure of its page alone.
pub(crate) fn templates() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    filters::add(&mut environment);
    for (name, source) in TEMPLATES {
        if let Err(error) = environment.add_template(name, source) {
            tracing::error!(%error, "a template of the admin pages does not compile");
        }
    }
    environment
}

/// What templates may read of a value: all that JSON would have of it.
pub(crate) fn told(value: impl Serialize) -> Value {
    Value::from(Serde(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_compiles_and_escapes() {
        let all = templates();
        assert_eq!(all.templates().count(), TEMPLATES.len());
        for (name, _) in TEMPLATES {
            assert!(name.ends_with(".html"), "{name}");
        }
    }
}

use std::{fmt, time::Duration};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, State, Value,
    value::{Kwargs, Rest, ValueKind},
};

use super::{Fragment, argument::Argument, edition::Edition};
use crate::cache::Cache;

/// No argument is told by more than this, in bytes.
const MAX_ARGUMENT: usize = 64 << 10;

/// What minijinja templates keep their fragments with: `{% call cached("club_stats", club.id) %}`.
///
/// The body of the block is rendered when nothing is kept under its name, its arguments and its user,
/// and not otherwise. The name and all positional arguments make the key; these are named:
///
/// | argument | |
/// | --- | --- |
/// | `ttl` | how long, in seconds or as a text such as `"10m"` |
/// | `tags` | what ends it, beside the key: a text, or a list of them |
/// | `user` | whose it is. Without a value nothing is kept |
/// | `version` | another number is another fragment |
///
/// A fragment is found by templates of the same text only: that of its own template, of all that the
/// environment held when [`install`](Self::install) was called, and under the same form of escaping.
/// What filters, functions and globals do is told by [`version`](Self::version). A text that is rendered
/// under the name of a template that the environment holds (`render_named_str`: a preview of an edited
/// one, say) is taken for that template: give it another name, or none, and nothing of it is kept.
///
/// An argument that is undefined, or that is no plain value, tells nothing apart: such a body is rendered
/// every time. A mistake in the call itself is an error of the template.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use minijinja::{Environment, context};
/// use pitlane::{Scope, fragment::Fragments};
///
/// # let caches = pitlane::Caches::builder().build()?;
/// # let cache = caches.get("default")?;
/// let mut environment = Environment::new();
/// environment.add_template("club.html", r#"
///     {%- call cached("club_stats", club.id, ttl=300, tags=["club:" ~ club.id]) -%}
///         <b>{{ club.members }}</b>
///     {%- endcall -%}
/// "#)?;
/// Fragments::new(&cache).install(&mut environment);
///
/// let page = async |members: u32| {
///     let club = context! { id => 42, members };
///     environment.get_template("club.html")?.render(context! { club })
/// };
/// assert_eq!(Scope::open(&cache).run(page(7)).await?, "<b>7</b>");
/// assert_eq!(Scope::open(&cache).run(page(8)).await?, "<b>7</b>");
/// caches.invalidate(["club:42"]).await?;
/// assert_eq!(Scope::open(&cache).run(page(8)).await?, "<b>8</b>");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "templates know nothing of it before it is installed"]
pub struct Fragments {
    cache: Cache,
    ttl: Option<Duration>,
    version: u32,
    enabled: bool,
    edition: Edition,
}

impl Fragments {
    /// Fragments in this cache, with its own lifetime unless more is said.
    pub fn new(cache: &Cache) -> Self {
        Self {
            cache: cache.clone(),
            ttl: None,
            version: 0,
            enabled: true,
            edition: Edition::default(),
        }
    }

    /// How long a fragment is fresh that doesn't say it itself.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The version of what templates are rendered with: filters, functions, globals. A fragment that
    /// says one itself has both.
    pub const fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Whether anything is kept. Without, all bodies are rendered every time.
    pub const fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Adds the function `cached` to `environment`, which by now holds its templates: their texts are
    /// a part of where fragments are kept. Of templates that a loader brings later only the one that the
    /// fragment is written in counts, not what it imports; load them first, or count up
    /// [`version`](Self::version).
    pub fn install(mut self, environment: &mut Environment<'_>) -> Self {
        self.edition = Edition::of(environment, self.version);
        let this = self.clone();
        environment.add_function(
            "cached",
            move |state: &mut State, name: &str, arguments: Rest<Value>, options: Kwargs| {
                this.call(state, name, &arguments, &options)
            },
        );
        self
    }

    /// A fragment that the template called `template` has, to be [`prefetch`](super::prefetch)ed with
    /// the arguments that the template gives it.
    ///
    /// # Errors
    ///
    /// minijinja's, when it has no such template.
    pub fn of(
        &self,
        environment: &Environment<'_>,
        template: &str,
        name: &str,
    ) -> Result<Fragment, Error> {
        let template = environment.get_template(template)?;
        let escape = template.new_state().auto_escape().clone();
        Ok(self.fragment(environment, template.name(), &escape, name))
    }

    fn fragment(
        &self,
        environment: &Environment<'_>,
        template: &str,
        escape: &AutoEscape,
        name: &str,
    ) -> Fragment {
        let mut fragment = self.cache.fragment(name);
        match self.edition.home(environment, template, escape) {
            Some(home) => fragment.home = home,
            None => fragment.unkept = true,
        }
        fragment.ttl = self.ttl;
        fragment
    }

    fn call(
        &self,
        state: &mut State<'_, '_>,
        name: &str,
        arguments: &[Value],
        options: &Kwargs,
    ) -> Result<Value, Error> {
        let body: Value = options.get("caller").map_err(|_| {
            let message = "`cached` goes around a body: {% call cached(…) %}…{% endcall %}";
            Error::new(ErrorKind::MissingArgument, message)
        })?;
        let escape = state.auto_escape().clone();
        let fragment = self.fragment(state.env(), state.name(), &escape, name);
        let mut fragment = with_options(fragment, options)?;
        for value in arguments {
            match argument(value) {
                Some(argument) => fragment = fragment.arg(argument),
                None => fragment.unkept = true,
            }
        }
        fragment.unkept |= !self.enabled;
        let text = fragment.render(|| {
            let rendered = body.call(state, &[])?;
            Ok::<_, Error>(
                rendered
                    .as_str()
                    .map_or_else(|| rendered.to_string(), Into::into),
            )
        })?;
        // It was escaped when it was rendered, under the form that is part of where it is kept.
        Ok(match escape {
            AutoEscape::None => Value::from(text),
            _ => Value::from_safe_string(text),
        })
    }
}

fn with_options(mut fragment: Fragment, options: &Kwargs) -> Result<Fragment, Error> {
    if let Some(ttl) = options.get::<Option<Value>>("ttl")? {
        fragment = fragment.ttl(duration(&ttl)?);
    }
    if let Some(tags) = options.get::<Option<Value>>("tags")? {
        fragment = fragment.tags(texts(&tags)?);
    }
    if let Some(version) = options.get::<Option<u32>>("version")? {
        fragment = fragment.version(version);
    }
    if options.has("user") {
        let user: Value = options.get("user")?;
        match user_id(&user) {
            Some(user) => fragment = fragment.user(user),
            None => fragment.unkept = true,
        }
    }
    options.assert_all_used()?;
    Ok(fragment)
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// Seconds, or a text with a unit.
fn duration(value: &Value) -> Result<Duration, Error> {
    if let Some(text) = value.as_str() {
        let parsed = crate::parse_duration(text);
        return parsed
            .map_err(|error| wrong("`ttl` of `cached` is no duration").with_source(error));
    }
    let seconds = f64::try_from(value.clone()).ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration
        .ok_or_else(|| wrong("`ttl` of `cached` is a number of seconds, or a text such as \"10m\""))
}

fn texts(value: &Value) -> Result<Vec<String>, Error> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let texts = match (value.kind(), text(value)) {
        (_, Some(text)) => Some(vec![text]),
        (ValueKind::Seq | ValueKind::Iterable, _) => {
            value.try_iter()?.map(|tag| text(&tag)).collect()
        }
        _ => None,
    };
    texts.ok_or_else(|| wrong("`tags` of `cached` is a text or a list of texts"))
}

/// Only what names somebody: no name would make one fragment of all who have none.
fn user_id(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::String => value.as_str().filter(|id| !id.is_empty()).map(Into::into),
        ValueKind::Number if value.is_integer() => Some(value.to_string()),
        _ => None,
    }
}

/// A value as a key tells it; `None` for what has no text that tells it from others.
fn argument(value: &Value) -> Option<Argument> {
    let mut text = String::new();
    write(value, &mut text)?;
    Some(Argument::of(text))
}

fn write(value: &Value, to: &mut String) -> Option<()> {
    match value.kind() {
        ValueKind::None => to.push_str("none"),
        ValueKind::Bool => to.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number if value.is_integer() => to.push_str(&value.to_string()),
        ValueKind::Number => Argument::fraction(f64::try_from(value.clone()).ok()?, to),
        ValueKind::String => {
            // What is not escaped looks different.
            if value.is_safe() {
                to.push('s');
            }
            Argument::quote(value.as_str()?, to);
        }
        ValueKind::Bytes => {
            to.push('b');
            Argument::quote(&value.as_bytes()?.escape_ascii().to_string(), to);
        }
        ValueKind::Seq => write_all(value, to)?,
        ValueKind::Map => write_map(value, to)?,
        _ => return None,
    }
    (to.len() <= MAX_ARGUMENT).then_some(())
}

fn write_all(value: &Value, to: &mut String) -> Option<()> {
    to.push_str(if value.is_tuple() { "t[" } else { "[" });
    for item in value.try_iter().ok()? {
        write(&item, to)?;
        to.push(',');
    }
    to.push(']');
    Some(())
}

/// In the order of the keys' texts: two maps that are equal are the same argument.
fn write_map(value: &Value, to: &mut String) -> Option<()> {
    let (mut entries, mut length) = (Vec::new(), 0);
    for key in value.try_iter().ok()? {
        let mut entry = String::new();
        write(&key, &mut entry)?;
        entry.push(':');
        write(&value.get_item(&key).ok()?, &mut entry)?;
        length += entry.len();
        if length > MAX_ARGUMENT {
            return None;
        }
        entries.push(entry);
    }
    entries.sort_unstable();
    to.push('{');
    for entry in entries {
        to.push_str(&entry);
        to.push(',');
    }
    to.push('}');
    Some(())
}

impl fmt::Debug for Fragments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fragments")
            .field("cache", &self.cache.name())
            .field("ttl", &self.ttl)
            .field("version", &self.version)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

use proc_macro2::{Span, TokenStream};
use syn::{
    Error, Expr, Ident, LitInt, LitStr, Result, Token, Type, bracketed,
    ext::IdentExt,
    parenthesized,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

use crate::template::Template;

/// What stands between the parentheses of `#[cached(…)]`.
pub(crate) struct Options {
    pub(crate) caches: Expr,
    pub(crate) cache: LitStr,
    pub(crate) key: Template,
    pub(crate) tags: Vec<Template>,
    pub(crate) user: Option<Template>,
    /// Names of the setters, and milliseconds.
    pub(crate) durations: Vec<(Ident, u64)>,
    pub(crate) negative: Option<u64>,
    pub(crate) version: Option<LitInt>,
    pub(crate) codec: Option<Type>,
    pub(crate) skip: Vec<Ident>,
    pub(crate) lock: Option<Lock>,
}

/// What stands between the parentheses of `lock(…)`.
pub(crate) struct Lock {
    /// The name of the function that makes a `Locking`.
    pub(crate) late: Ident,
    /// Names of its setters, and milliseconds.
    pub(crate) durations: Vec<(Ident, u64)>,
}

#[derive(Default)]
struct Given {
    caches: Option<Expr>,
    cache: Option<LitStr>,
    key: Option<Template>,
    tags: Option<Vec<Template>>,
    user: Option<Template>,
    durations: Vec<(Ident, u64)>,
    negative: Option<u64>,
    version: Option<LitInt>,
    codec: Option<Type>,
    skip: Option<Vec<Ident>>,
    lock: Option<Lock>,
}

impl Options {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let given = Given::parse.parse2(tokens)?;
        let missing = |name: &str, example: &str| {
            let message = format!(
                "`{name}` is missing: say `{name} = {example}`{}",
                more(name)
            );
            Error::new(Span::call_site(), message)
        };
        Ok(Self {
            caches: given.caches.ok_or_else(|| missing("caches", "&caches"))?,
            cache: given.cache.ok_or_else(|| missing("cache", "\"query\""))?,
            key: given
                .key
                .ok_or_else(|| missing("key", "\"club:{club_id}:members\""))?,
            tags: given.tags.unwrap_or_default(),
            user: given.user,
            durations: given.durations,
            negative: given.negative,
            version: given.version,
            codec: given.codec,
            skip: given.skip.unwrap_or_default(),
            lock: given.lock,
        })
    }
}

fn more(name: &str) -> &'static str {
    if name == "caches" {
        "; there is no global registry"
    } else {
        ""
    }
}

impl Given {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut given = Self::default();
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            given.take(&name, input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(given)
    }

    fn take(&mut self, name: &Ident, input: ParseStream<'_>) -> Result<()> {
        if name == "skip" {
            let list;
            parenthesized!(list in input);
            let list = list.parse_terminated(Ident::parse_any, Token![,])?;
            return once(&mut self.skip, name, list.into_iter().collect());
        }
        if name == "lock" {
            let list;
            parenthesized!(list in input);
            return once(&mut self.lock, name, Lock::parse(name, &list)?);
        }
        input.parse::<Token![=]>()?;
        match name.to_string().as_str() {
            "caches" => once(&mut self.caches, name, input.parse()?),
            "cache" => once(&mut self.cache, name, input.parse()?),
            "key" => once(&mut self.key, name, input.parse()?),
            "user" => once(&mut self.user, name, input.parse()?),
            "version" => once(&mut self.version, name, input.parse()?),
            "codec" => once(&mut self.codec, name, input.parse()?),
            "negative" => once(&mut self.negative, name, duration(&input.parse()?)?),
            "tags" => {
                let list;
                bracketed!(list in input);
                let list = Punctuated::<Template, Token![,]>::parse_terminated(&list)?;
                once(&mut self.tags, name, list.into_iter().collect())
            }
            "ttl"
            | "stale_while_revalidate"
            | "stale_if_error"
            | "soft_timeout"
            | "hard_timeout" => push_once(&mut self.durations, name, input),
            _ => Err(Error::new(
                name.span(),
                "unknown option; there are `caches`, `cache`, `key`, `tags`, `ttl`, \
                 `stale_while_revalidate`, `stale_if_error`, `soft_timeout`, `hard_timeout`, \
                 `negative`, `user`, `version`, `codec`, `skip(…)` and `lock(…)`",
            )),
        }
    }
}

impl Lock {
    fn parse(name: &Ident, input: ParseStream<'_>) -> Result<Self> {
        let mut late = None;
        let mut durations = Vec::new();
        while !input.is_empty() {
            let option: Ident = input.parse()?;
            match option.to_string().as_str() {
                "or_compute" | "or_error" => {
                    if late.is_some() {
                        let message = "one of `or_compute` and `or_error`, not both";
                        return Err(Error::new(option.span(), message));
                    }
                    late = Some(option);
                }
                "lease" | "wait" => {
                    input.parse::<Token![=]>()?;
                    push_once(&mut durations, &option, input)?;
                }
                _ => {
                    let message = "unknown option; there are `or_compute`, `or_error`, `lease` \
                                   and `wait`";
                    return Err(Error::new(option.span(), message));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let late = late.ok_or_else(|| {
            let message = "say what is to happen when there is no turn: `lock(or_compute)` \
                           computes without one, `lock(or_error)` is an error";
            Error::new(name.span(), message)
        })?;
        Ok(Self { late, durations })
    }
}

fn push_once(
    durations: &mut Vec<(Ident, u64)>,
    name: &Ident,
    input: ParseStream<'_>,
) -> Result<()> {
    if durations.iter().any(|(there, _)| there == name) {
        return Err(twice(name));
    }
    durations.push((name.clone(), duration(&input.parse()?)?));
    Ok(())
}

impl Parse for Template {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        Self::of(&input.parse()?)
    }
}

fn once<T>(slot: &mut Option<T>, name: &Ident, value: T) -> Result<()> {
    match slot.replace(value) {
        Some(_) => Err(twice(name)),
        None => Ok(()),
    }
}

fn twice(name: &Ident) -> Error {
    Error::new(name.span(), format!("`{name}` is there twice"))
}

/// A whole number and its unit, in milliseconds.
fn duration(text: &LitStr) -> Result<u64> {
    let value = text.value();
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = value.split_at(digits);
    let millis = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let number = number.parse::<u64>().ok();
    let duration = number.zip(millis).and_then(|(n, unit)| n.checked_mul(unit));
    duration.ok_or_else(|| {
        let message = format!(
            "`{value}` is no duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`, as \"10m\""
        );
        Error::new(text.span(), message)
    })
}

//! As much of PromQL as dashboards and alerts here use: what is named, not what is computed.
//! `promtool` reads the rest.

/// What a query names.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) selectors: Vec<Selector>,
    /// Labels after `by`, `without` and `on`.
    pub(crate) grouped: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    pub(crate) matchers: Vec<Matcher>,
}

#[derive(Debug)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    /// The alternatives; none where a variable of the dashboard stands.
    pub(crate) values: Vec<String>,
}

/// Words that are no metric.
const WORDS: [&str; 17] = [
    "sum",
    "min",
    "max",
    "avg",
    "count",
    "topk",
    "rate",
    "increase",
    "absent",
    "min_over_time",
    "histogram_quantile",
    "offset",
    "and",
    "or",
    "unless",
    "bool",
    "clamp_min",
];
const GROUPING: [&str; 3] = ["by", "without", "on"];

impl Query {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut query = Self::default();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            rest = if first.is_ascii_alphabetic() {
                query.word(rest)?
            } else if first == '[' {
                after(rest, ']')?
            } else if first.is_ascii_digit() {
                // A number, or a time.
                rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.')
            } else if "(){}+-*/<>=!,".contains(first) && first != '{' {
                &rest[1..]
            } else {
                return Err(format!("{first:?} in {text}"));
            }
            .trim_start();
        }
        Ok(query)
    }

    fn word<'a>(&mut self, text: &'a str) -> Result<&'a str, String> {
        let end = text
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        let rest = rest.trim_start();
        if GROUPING.contains(&word) {
            let (inside, rest) = inside(rest, '(', ')')?;
            self.grouped
                .extend(inside.split(',').map(|label| label.trim().to_owned()));
            return Ok(rest);
        }
        if WORDS.contains(&word) {
            return Ok(rest);
        }
        if !word.contains('_') || rest.starts_with('(') {
            return Err(format!(
                "{word} is no metric, and no word of PromQL known here"
            ));
        }
        let mut selector = Selector {
            metric: word.to_owned(),
            matchers: Vec::new(),
        };
        let mut rest = rest;
        if rest.starts_with('{') {
            let (all, behind) = inside(rest, '{', '}')?;
            let all = all
                .split("\",")
                .map(str::trim)
                .filter(|one| !one.is_empty());
            selector.matchers = all.map(matcher).collect::<Result<_, _>>()?;
            rest = behind;
        }
        self.selectors.push(selector);
        Ok(rest)
    }
}

fn matcher(text: &str) -> Result<Matcher, String> {
    let wrong = || format!("{text} is no matcher");
    let (name, value) = text.split_once('"').ok_or_else(wrong)?;
    let value = value.trim_end_matches('"');
    let name = name.trim_end();
    let label = ["=~", "!~", "!=", "="]
        .iter()
        .find_map(|sign| name.strip_suffix(sign));
    let values = value.split('|').map(str::to_owned);
    Ok(Matcher {
        label: label.ok_or_else(wrong)?.trim().to_owned(),
        values: values.filter(|value| !value.starts_with('$')).collect(),
    })
}

fn inside(text: &str, open: char, close: char) -> Result<(&str, &str), String> {
    let wrong = || format!("no {open}…{close} in {text}");
    let inner = text.strip_prefix(open).ok_or_else(wrong)?;
    inner.split_once(close).ok_or_else(wrong)
}

fn after(text: &str, end: char) -> Result<&str, String> {
    let (_, rest) = text.split_once(end).ok_or(format!("no {end} in {text}"))?;
    Ok(rest)
}

//! The stories of `tests/scenarios/*.toml`, with everything that depends on the time put in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
    time::{Duration, SystemTime},
};

use pitlane::{Profile, parse_duration};
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use super::{
    expect::{Expect, check_item},
    text::{Message, Wrong, expand, start},
};

/// Who can tell a story.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(super) enum Way {
    /// A small cache made of nothing but the policy's functions.
    Policy,
    /// The layer over a service in this process.
    Layer,
    /// The reverse proxy between sockets.
    Socket,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Policy, Self::Layer, Self::Socket];
}

#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) name: String,
    /// File and line.
    pub(super) place: String,
    pub(super) profiles: &'static [Profile],
    /// Who can't tell it, and why.
    pub(super) skips: BTreeMap<Way, String>,
    pub(super) settings: Settings,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    /// From one.
    pub(super) number: usize,
    pub(super) line: usize,
    pub(super) advance: Duration,
    pub(super) request: Message,
    pub(super) origin: Reply,
    pub(super) sees: Vec<String>,
    pub(super) expect: Expect,
    pub(super) calls: usize,
}

/// What the origin does when it is asked.
#[derive(Clone, Debug, Default)]
pub(super) enum Reply {
    /// It must not be asked.
    #[default]
    Nothing,
    /// It breaks the connection.
    Refusal,
    Answer(Message),
}

impl Reply {
    /// Whether it says that more is to come than comes.
    pub(super) fn is_cut(&self) -> bool {
        let Self::Answer(answer) = self else {
            return false;
        };
        let length = answer.field("content-length");
        let length = length.and_then(|length| length.parse::<usize>().ok());
        length.is_some_and(|length| length > answer.body.as_ref().map_or(0, String::len))
    }
}

/// What the operator sets beyond the profile.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) ttl: Option<Span>,
    pub(super) stale_while_revalidate: Option<Span>,
    pub(super) stale_if_error: Option<Span>,
    pub(super) max_stale: Option<Span>,
    pub(super) targets: Vec<String>,
    pub(super) cache_status_key: bool,
    pub(super) strip_tags: bool,
    pub(super) status: Vec<u16>,
    pub(super) store_redirects: bool,
    pub(super) store_empty: bool,
    pub(super) key_header: Vec<String>,
    pub(super) harmless_cookie: Vec<String>,
}

/// A duration as people write it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Self).map_err(D::Error::custom)
    }
}

/// All stories of all files, by file and place.
///
/// # Errors
///
/// Everything that is wrong with them, each with file, scenario, step and line.
pub(super) fn all() -> Result<Vec<Story>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{folder:?}: {error}"))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let paths: BTreeSet<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    let (mut stories, mut wrong) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
        match parse(&name, &text) {
            Ok(more) => stories.extend(more),
            Err(error) => wrong.push(error),
        }
    }
    let mut names = BTreeSet::new();
    let twice = stories.iter().filter(|story| !names.insert(&story.name));
    wrong.extend(twice.map(|story| format!("{}: another story has this name", story.title())));
    match wrong.is_empty() {
        true => Ok(stories),
        false => Err(wrong.join("\n")),
    }
}

impl Story {
    pub(super) fn title(&self) -> String {
        format!("{} ({})", self.name, self.place)
    }
}

/// The stories of one file.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Story>, String> {
    let source = Source { file, text };
    let document: Document = toml::from_str(text).map_err(|error| {
        let at = error.span().unwrap_or_default().start;
        source.error(at, error.message())
    })?;
    let stories = document.scenario.into_iter();
    stories.map(|scenario| source.story(scenario)).collect()
}

/// A file's text, to say where in it something is wrong.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn story(self, scenario: Scenario) -> Result<Story, String> {
        let at = scenario.name.span().start;
        let wrong = |message: &str| self.error(at, message);
        let name = scenario.name.into_inner();
        let is_fact = !name.is_empty()
            && name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if !is_fact {
            return Err(wrong("a name is written in small letters, digits and `_`"));
        }
        if scenario.skip.values().any(|reason| reason.len() < 10) {
            return Err(wrong("a way is skipped for a reason"));
        }
        if scenario.skip.len() == Way::ALL.len() {
            return Err(wrong("nobody tells this story"));
        }
        if scenario.step.is_empty() {
            return Err(wrong("a story without a step"));
        }
        let mut now = start();
        let mut steps = Vec::new();
        for (number, step) in (1..).zip(scenario.step) {
            let step = self.step(number, &step, now)?;
            now += step.advance;
            steps.push(step);
        }
        Ok(Story {
            name,
            place: format!("{}:{}", self.file, self.line(at)),
            profiles: scenario.profile.profiles(),
            skips: scenario.skip,
            settings: scenario.layer,
            steps,
        })
    }

    fn step(self, number: usize, step: &StepTable, now: SystemTime) -> Result<Step, String> {
        let at = step.request.span().start;
        let advance = step.advance.map_or(Duration::ZERO, |span| span.0);
        let now = now + advance;
        let request = self.read(&step.request, now, Message::parse)?;
        if !request.word(2).starts_with("HTTP/") {
            return Err(self.error(at, "a request begins with `METHOD target HTTP/1.1`"));
        }
        let request = request.with_host();
        let request = match request.body {
            Some(_) => request.with_length(),
            None => request,
        };
        let origin = match &step.origin {
            None => Reply::Nothing,
            Some(text) if text.get_ref() == "refuse" => Reply::Refusal,
            Some(text) => Reply::Answer(self.read(text, now, answer)?),
        };
        let sees = step.origin_sees.iter();
        let sees = sees.map(|item| self.read(item, now, |text| Ok(text.to_owned())));
        let sees: Vec<_> = sees.collect::<Result<_, _>>()?;
        let asked = usize::from(!matches!(origin, Reply::Nothing));
        let calls = step.calls.unwrap_or(asked);
        if !sees.is_empty() && calls == 0 {
            return Err(self.error(at, "the origin sees nothing where it isn't asked"));
        }
        if let Some(error) = sees.iter().find_map(|item| check_item(item).err()) {
            return Err(self.error(at, &error));
        }
        Ok(Step {
            number,
            line: self.line(at),
            advance,
            request,
            origin,
            sees,
            expect: self.read(&step.expect, now, Expect::parse)?,
            calls,
        })
    }

    fn read<T>(
        self,
        text: &Spanned<String>,
        now: SystemTime,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Result<T, String> {
        let parsed = expand(text.get_ref(), now).and_then(|text| parse(&text));
        parsed.map_err(|wrong| {
            let Wrong { line, message } = wrong;
            // A text in triple quotes begins on the line behind them.
            let at = text.span().start;
            let behind = self.text.get(at..).unwrap_or_default();
            let first = usize::from(behind.starts_with("\"\"\"\n") || behind.starts_with("'''\n"));
            let lines = behind.split_inclusive('\n').take(line + first);
            self.error(at + lines.map(str::len).sum::<usize>(), &message)
        })
    }

    /// What is wrong at a byte of the text.
    fn error(self, at: usize, message: &str) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        // The line may itself be the name that is wrong.
        let end = self.text.get(at..).unwrap_or_default();
        let end = at + end.find('\n').unwrap_or(end.len());
        let through = self.text.get(..end).unwrap_or(self.text);
        let (_, scenario) = through
            .rsplit_once("[[scenario]]")
            .unwrap_or(("", "no scenario"));
        let name = scenario.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == "name").then(|| value.trim().trim_matches('"'))
        });
        let steps = scenario.matches("[[scenario.step]]").count();
        let line = before.matches('\n').count() + 1;
        let name = name.unwrap_or("without a name");
        format!(
            "{}, scenario {name}, step {steps}, line {line}: {message}",
            self.file
        )
    }

    fn line(self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }
}

fn answer(text: &str) -> Result<Message, Wrong> {
    let answer = Message::parse(text)?;
    let status = answer.word(1).parse::<u16>();
    if answer.word(0) != "HTTP/1.1" || status.is_err() {
        return Err(Wrong::new(0, "an answer begins with `HTTP/1.1 STATUS`"));
    }
    answer.headers().map_err(|message| Wrong::new(0, message))?;
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    scenario: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: Spanned<String>,
    profile: Profiles,
    #[serde(default)]
    skip: BTreeMap<Way, String>,
    #[serde(default)]
    layer: Settings,
    #[serde(default)]
    step: Vec<StepTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepTable {
    advance: Option<Span>,
    request: Spanned<String>,
    origin: Option<Spanned<String>>,
    #[serde(default)]
    origin_sees: Vec<Spanned<String>>,
    expect: Spanned<String>,
    calls: Option<usize>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Profiles {
    Rfc,
    Application,
    Both,
}

impl Profiles {
    const fn profiles(self) -> &'static [Profile] {
        match self {
            Self::Rfc => &[Profile::Rfc],
            Self::Application => &[Profile::Application],
            Self::Both => &[Profile::Rfc, Profile::Application],
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "policy",
            Self::Layer => "layer",
            Self::Socket => "socket",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORY: &str = r#"
[[scenario]]
name = "first"
profile = "both"
[[scenario.step]]
request = "GET / HTTP/1.1"
expect = "200"

[[scenario]]
name = "second"
profile = "rfc"
skip = { policy = "because of a test" }
[[scenario.step]]
request = "GET / HTTP/1.1"
expect = "200"
[[scenario.step]]
advance = "61s"
request = """
GET /a HTTP/1.1
Accept: {now}
"""
origin = """
HTTP/1.1 200 OK
"""
expect = """
200
Age: 0
"""
"#;

    #[test]
    fn a_story_is_read_with_its_times() {
        let stories = parse("file.toml", STORY).unwrap();
        let [first, second] = &*stories else {
            panic!("{stories:?}");
        };
        assert_eq!(first.profiles.len(), 2);
        assert_eq!(second.title(), "second (file.toml:10)");
        assert!(second.skips.contains_key(&Way::Policy));
        let step = &second.steps[1];
        assert_eq!((step.number, step.line, step.calls), (2, 18, 1));
        let accept = step.request.field("accept");
        assert_eq!(accept, Some("Sun, 06 Nov 2033 08:50:38 GMT"));
        assert_eq!(step.request.field("host"), Some("site.example"));
    }

    #[track_caller]
    fn check(from: &str, to: &str, expected: &str) {
        let text = STORY.replacen(from, to, 1);
        let error = parse("file.toml", &text).unwrap_err();
        assert!(error.contains(expected), "{from} -> {to}: {error}");
        assert!(error.starts_with("file.toml, scenario "), "{error}");
    }

    #[test]
    fn what_is_wrong_is_told_with_file_scenario_step_and_line() {
        check(
            "profile = \"rfc\"",
            "profil = \"rfc\"",
            "scenario second, step 0, line 11: unknown field",
        );
        check(
            "advance = \"61s\"",
            "advance = \"61\"",
            "scenario second, step 2, line 17: ",
        );
        check(
            "advance =",
            "advanced =",
            "scenario second, step 2, line 17: unknown field",
        );
        check(
            "Accept: {now}",
            "Accept",
            "scenario second, step 2, line 20: a field line without",
        );
        check(
            "Accept: {now}",
            "Accept: {then}",
            "scenario second, step 2, line 20: {then} is no",
        );
        check("Age: 0", "Age", "scenario second, step 2, line 27: ");
        check(
            "HTTP/1.1 200 OK",
            "200 OK",
            "scenario second, step 2, line 23: an answer begins",
        );
        check("expect = \"200\"", "", "missing field `expect`");
        check(
            "because of a test",
            "",
            "scenario second, step 0, line 10: a way is skipped",
        );
        check("policy = ", "police = ", "unknown variant");
        check("\"second\"", "\"second story\"", "line 10: a name");
    }
}

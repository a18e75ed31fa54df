//! Stories of HTTP caching (`tests/scenarios/*.toml`), told in three ways.
//!
//! The way `policy` is a cache of nothing but the policy's functions: what it can tell, the policy
//! alone decides. The way `layer` is the response cache itself, in this process. The way `socket`
//! is the reverse proxy with a client and an origin on real connections, where requests are sent
//! as they are written. In all three the clock stands still but for the steps that move it.

mod expect;
mod layer;
mod policy;
mod script;
mod socket;
mod story;
mod text;

use std::{fmt::Write as _, time::Duration};

use pitlane::Profile;

use self::{
    expect::{Came, check_seen},
    layer::InProcess,
    policy::Policed,
    script::Script,
    socket::Proxied,
    story::{Step, Story, Way},
    text::Message,
};

/// Longer than a step takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// One cache that lives through one story.
trait Teller: Sized {
    const WAY: Way;

    async fn begin(story: &Story, profile: Profile, origin: Script) -> Self;

    fn advance(&mut self, by: Duration);

    /// The answer to a request; an error where there is none.
    async fn ask(&mut self, request: &Message) -> Result<Came, String>;

    /// Waits until nothing of the last request is still under way.
    async fn settle(&mut self) -> Result<(), String>;
}

/// Tells all stories and reports everything that went otherwise than they say.
async fn tell_all<T: Teller>() {
    let stories = story::all().unwrap_or_else(|wrong| panic!("{wrong}"));
    let (mut told, mut reports) = (0, Vec::new());
    for story in &stories {
        if story.skips.contains_key(&T::WAY) {
            continue;
        }
        for profile in story.profiles {
            told += 1;
            reports.extend(tell::<T>(story, *profile).await.err());
        }
    }
    assert!(
        reports.is_empty(),
        "{} of {told} stories went otherwise:\n\n{}",
        reports.len(),
        reports.join("\n")
    );
    // What is never told proves nothing.
    assert!(told >= 15, "only {told} stories");
}

async fn tell<T: Teller>(story: &Story, profile: Profile) -> Result<(), String> {
    let script = Script::default();
    let mut teller = T::begin(story, profile, script.clone()).await;
    for step in &story.steps {
        script.begin(step.origin.clone());
        teller.advance(step.advance);
        let answer = tokio::time::timeout(PATIENCE, teller.ask(&step.request)).await;
        let answer = answer.unwrap_or_else(|_| Err("no answer within 30 s".to_owned()));
        let settled = teller.settle().await;
        let wrong = differences(step, &answer, settled, &script);
        if !wrong.is_empty() {
            let way = T::WAY;
            let mut report = format!(
                "scenario {}, way {way}, profile {profile:?}, step {} (line {}):\n",
                story.title(),
                step.number,
                step.line
            );
            for wrong in wrong {
                let _ = writeln!(report, "  {wrong}");
            }
            describe(&answer, &script, &mut report);
            return Err(report);
        }
    }
    Ok(())
}

fn differences(
    step: &Step,
    answer: &Result<Came, String>,
    settled: Result<(), String>,
    script: &Script,
) -> Vec<String> {
    let mut wrong = match answer {
        Ok(came) => step.expect.check(came, step.origin.is_cut()),
        Err(error) => vec![error.clone()],
    };
    wrong.extend(settled.err());
    let seen = script.seen();
    if seen.len() != step.calls {
        wrong.push(format!(
            "expected the origin to be asked {} times, but it was asked {} times",
            step.calls,
            seen.len()
        ));
    }
    wrong.extend(check_seen(&step.sees, &seen));
    wrong
}

fn describe(answer: &Result<Came, String>, script: &Script, report: &mut String) {
    let mut indented = |title: &str, text: &str| {
        let _ = writeln!(report, "  {title}");
        for line in text.lines() {
            let _ = writeln!(report, "    {line}");
        }
    };
    if let Ok(came) = answer {
        indented("what came:", &came.describe());
    }
    for seen in script.seen() {
        indented("the origin saw:", &seen.describe());
    }
}

#[tokio::test]
async fn every_story_goes_so_with_the_policy_alone() {
    tell_all::<Policed>().await;
}

#[tokio::test]
async fn every_story_goes_so_with_the_layer() {
    tell_all::<InProcess>().await;
}

#[tokio::test]
async fn every_story_goes_so_between_sockets() {
    tell_all::<Proxied>().await;
}

#[test]
fn every_story_is_told_and_a_way_that_cannot_says_why() {
    let stories = story::all().unwrap_or_else(|wrong| panic!("{wrong}"));
    let runs: usize = stories.iter().map(|story| story.profiles.len()).sum();
    for way in Way::ALL {
        let skipped = |story: &&Story| story.skips.contains_key(&way);
        let skipped: Vec<_> = stories.iter().filter(skipped).collect();
        let left: usize = skipped.iter().map(|story| story.profiles.len()).sum();
        eprintln!(
            "{way}: {} of {} stories, {} of {runs} runs",
            stories.len() - skipped.len(),
            stories.len(),
            runs - left
        );
        for story in &skipped {
            let reason = story.skips.get(&way).map_or("", String::as_str);
            eprintln!("  not {}: {reason}", story.name);
        }
        // A way that skips most of them shows little.
        assert!(skipped.len() * 3 <= stories.len(), "{way} skips too much");
    }
}

/// A runner that never finds anything wrong would prove nothing.
#[tokio::test]
async fn a_story_that_goes_otherwise_is_reported() {
    let text = r#"
[[scenario]]
name = "wrong"
profile = "rfc"
[[scenario.step]]
request = "GET /a HTTP/1.1"
origin = """
HTTP/1.1 200 OK
Cache-Control: max-age=60

hello
"""
origin_sees = ["GET /b", "!Host"]
expect = """
201
ETag: "x"

bye
"""
calls = 2
"#;
    let stories = story::parse("file.toml", text).unwrap();
    for story in &stories {
        let profile = Profile::Rfc;
        let reports = [
            tell::<Policed>(story, profile).await,
            tell::<InProcess>(story, profile).await,
            tell::<Proxied>(story, profile).await,
        ];
        for (report, way) in reports.into_iter().zip(Way::ALL) {
            let report = report.unwrap_err();
            for part in [
                "scenario wrong (file.toml:3)",
                &format!("way {way}"),
                "profile Rfc",
                "step 1 (line 6)",
                "expected 201, but it is 200",
                "expected etag",
                "expected the body \"bye\", but it is \"hello\"",
                "asked 2 times, but it was asked 1 times",
                "to see \"GET /b\", not \"GET /a\"",
                "at the origin: expected host to be absent",
                "cache-control: max-age=60",
                "host: ",
            ] {
                assert!(report.contains(part), "{part:?} is not in:\n{report}");
            }
        }
    }
}

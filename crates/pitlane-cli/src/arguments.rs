//! What can be said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use secrecy::SecretString;

/// Looks into caches of Pitlane, checks them, and ends what is in them.
///
/// Every command is a short-lived node of its own: it talks to Redis, and joins the log that all
/// nodes follow. It exits with 0 when it did what it was asked, with 1 when it failed, and with 2
/// when what it was asked makes no sense.
///
/// The password for Redis is taken from the environment, PITLANE_REDIS_PASSWORD.
#[derive(Debug, Parser)]
#[command(name = "pitlane", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the caches are, and how the result is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where")]
pub(crate) struct Place {
    /// The configuration of the servers: pitlane.toml. PITLANE_CONFIG stands in for it.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where Redis is, as in redis://127.0.0.1:6379/2; wins over the configuration.
    /// PITLANE_REDIS_URL stands in for it.
    #[arg(long, global = true, value_name = "URL", value_parser = secret)]
    pub(crate) redis: Option<SecretString>,
    /// What the names of everything in Redis begin with; `pitlane` unless configured.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// The database of the invalidation log, where neither configured nor that of the URL.
    #[arg(long, global = true, value_name = "NUMBER")]
    pub(crate) log_database: Option<u8>,
    /// Where a running node has its admin API, as in http://127.0.0.1:3000/admin/cache.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) admin: Option<String>,
    /// The file with the token for the admin API.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Writes one JSON document to standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "clap wants a result")]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(text.to_owned().into())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Empties caches: all of them, or those named.
    Clear(Clear),
    /// Checks each cache: reach, write, read, delete, tag, lease and log.
    Test(Caches),
    /// Lists what caches hold in Redis.
    Keys(Keys),
    /// Shows one entry: its headers, its tags, and whether a hit would use it.
    Inspect(Inspect),
    /// Ends everything that carries a tag, lies below a key, or is at a URL.
    Invalidate(Invalidate),
    /// Shows hits, misses and what else servers count, per cache, per server and in all.
    Stats(Stats),
    /// Fills caches: asks a server for pages before visitors do.
    Warm(Warm),
    /// Says why a request is answered as it is, and what to change.
    Explain(Explain),
    /// Shows what all servers do, as it changes; q ends it.
    Top(Top),
    /// Writes a script that completes commands for a shell.
    Completions(Completions),
    /// Writes the manual page of the command, or of one of its commands.
    Man(Man),
}

/// Which caches are meant.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Caches {
    /// A cache, by its name; all that are configured unless said. May be given several times.
    #[arg(long = "cache", value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// The caches are stores, such as sessions: needed only without a configuration.
    #[arg(long)]
    pub(crate) store: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Clear {
    #[command(flatten)]
    pub(crate) caches: Caches,
    /// Goes on without a question.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Counts what would be cleared, and clears nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Leaves it to expiry to give the memory in Redis back.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    pub(crate) caches: Caches,
    /// Only keys that begin like this: `club:42`, `/clubs`, `//site.org/clubs`.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) prefix: String,
    /// How many keys are listed of each cache.
    #[arg(long, value_name = "COUNT", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A name as `pitlane keys` shows it, a URL, a path, a data key, or a key in Redis.
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) caches: Caches,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct Invalidate {
    /// Everything that carries this tag. May be given several times, as the others.
    #[arg(long = "tag", value_name = "TAG", group = "what")]
    pub(crate) tags: Vec<String>,
    /// A data key, such as club:42, and everything below it.
    #[arg(long = "key", value_name = "KEY", group = "what")]
    pub(crate) keys: Vec<String>,
    /// A URL and everything below it, in whole segments; or a data key, as --key.
    #[arg(long = "prefix", value_name = "PREFIX", group = "what")]
    pub(crate) prefixes: Vec<String>,
    /// An absolute URL, with all its variants.
    #[arg(long = "url", value_name = "URL", group = "what")]
    pub(crate) urls: Vec<String>,
    /// Makes entries stale rather than unusable.
    #[arg(long)]
    pub(crate) soft: bool,
    /// Counts what would end, and ends nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    #[command(flatten)]
    pub(crate) caches: Caches,
    /// Shows them again every two seconds, until Ctrl-C.
    #[arg(long, conflicts_with = "json")]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(crate) struct Warm {
    #[command(flatten)]
    pub(crate) caches: Caches,
    /// The pages in this file: a path or a URL on each line. `-` is standard input.
    #[arg(long, value_name = "FILE", group = "which")]
    pub(crate) urls: Option<PathBuf>,
    /// The pages of this sitemap, or index of sitemaps: a URL, or a path of the target.
    #[arg(long, value_name = "URL", group = "which")]
    pub(crate) sitemap: Option<String>,
    /// The pages that were asked for most, as many as this, as the servers' stats have them.
    #[arg(long, value_name = "COUNT", group = "which",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) popular: Option<u32>,
    /// The server that is asked, as in http://127.0.0.1:3000. URLs keep their hosts as a header.
    #[arg(long, value_name = "URL")]
    pub(crate) target: String,
    /// A header of every request, as in `Accept-Language: de`.
    #[arg(long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    /// How many requests are on their way at once.
    #[arg(long, value_name = "COUNT", default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) concurrency: u32,
    /// How many requests begin in a second, at most.
    #[arg(long, value_name = "COUNT", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A path of the node that --admin names, or a URL: then its host is asked for.
    #[arg(required_unless_present = "offline")]
    pub(crate) url: Option<String>,
    /// A header of the request, as in `Cookie: theme=dark`.
    #[arg(long = "header", value_name = "HEADER", conflicts_with = "offline")]
    pub(crate) headers: Vec<String>,
    /// The method: GET or HEAD.
    #[arg(long, default_value = "GET", conflicts_with = "offline")]
    pub(crate) method: String,
    /// Explains a recording: a HAR, or the header blocks of a request and its answer. `-` is
    /// standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub(crate) offline: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) layer: Layer,
}

/// The layer that a recording goes through.
#[derive(Debug, Args)]
#[command(next_help_heading = "The layer of a recording")]
pub(crate) struct Layer {
    /// What HTTP allows is decided by: `rfc` or `application`.
    #[arg(long, default_value = "application", requires = "offline")]
    pub(crate) profile: ProfileName,
    /// How long an answer is fresh that doesn't say, as in 15m.
    #[arg(long, value_name = "DURATION", requires = "offline", value_parser = pitlane::parse_duration)]
    pub(crate) ttl: Option<Duration>,
    /// A cookie that doesn't make its sender somebody; a name may end in `*`.
    #[arg(long = "harmless-cookie", value_name = "NAME", requires = "offline")]
    pub(crate) harmless_cookies: Vec<String>,
    /// A request header that is part of the key.
    #[arg(long = "key-header", value_name = "NAME", requires = "offline")]
    pub(crate) key_headers: Vec<http::HeaderName>,
    /// Another status than 200 that is stored.
    #[arg(long = "status", value_name = "CODE", requires = "offline")]
    pub(crate) statuses: Vec<http::StatusCode>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum ProfileName {
    Rfc,
    Application,
}

#[derive(Debug, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) caches: Caches,
    /// How often it is looked, as in 2s.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = pitlane::parse_duration)]
    pub(crate) every: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Such as `clear`, for pitlane-clear(1).
    pub(crate) command: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap::CommandFactory;

    use super::*;

    /// Behind this line nothing is written by hand.
    const MARK: &str = "<!-- From here on `cargo test -p pitlane-cli --bin pitlane reference` \
                        compares every line with the command. -->\n";

    #[test]
    fn the_reference_has_the_help_of_every_command() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
        let page = fs::read_to_string(&path).unwrap();
        let (by_hand, made) = page.split_once(MARK).expect("the mark");
        let expected = reference();
        if std::env::var_os("WRITE_REFERENCE").is_some() {
            fs::write(&path, format!("{by_hand}{MARK}{expected}")).unwrap();
        } else {
            assert!(
                made == expected,
                "docs/reference/cli.md is not what `pitlane help` says; WRITE_REFERENCE=1 writes it"
            );
        }
    }

    fn reference() -> String {
        let mut all = Arguments::command().term_width(90);
        all.build();
        let mut page = String::new();
        for command in all.get_subcommands().filter(|one| one.get_name() != "help") {
            // What all of them take is said once, by hand.
            let mut command = command.clone();
            let global: Vec<_> = command
                .get_arguments()
                .map(|one| one.get_id().clone())
                .collect();
            for id in global {
                command = command.mut_arg(&id, |one| {
                    let is_common = one.is_global_set() || one.get_id() == "help";
                    one.hide(is_common).hide_long_help(is_common)
                });
            }
            let help = command.term_width(90).render_long_help().to_string();
            let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
            let name = command_name(&lines);
            page += &format!("\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim());
        }
        page
    }

    /// From its own usage, so that the headings say what is typed.
    fn command_name(lines: &[&str]) -> String {
        let usage = lines.iter().find_map(|line| line.strip_prefix("Usage: "));
        let words = usage.unwrap_or_default().split(' ');
        let typed = words.take_while(|word| word.starts_with(char::is_lowercase));
        typed.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_command_line_makes_sense() {
        Arguments::command().debug_assert();
    }
}

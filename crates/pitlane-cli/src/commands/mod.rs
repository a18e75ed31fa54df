//! One module for each command.

mod clear;
mod explain;
mod inspect;
mod invalidate;
mod keys;
mod shell;
mod stats;
mod test;
mod top;
mod warm;

use std::future::Future;

use crate::arguments::{Arguments, Caches, Command, Place};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::{Log, Session};

pub(crate) async fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let place = &arguments.place;
    match &arguments.command {
        Command::Clear(clear) => {
            within(place, &clear.caches, Log::Join, |session| {
                clear::run(session, output, clear)
            })
            .await
        }
        Command::Test(caches) => {
            within(place, caches, Log::Begin, |session| {
                test::run(session, output)
            })
            .await
        }
        Command::Keys(keys) => {
            within(place, &keys.caches, Log::Join, |session| {
                keys::run(session, output, keys)
            })
            .await
        }
        Command::Inspect(inspect) => {
            within(place, &inspect.caches, Log::Join, |session| {
                inspect::run(session, output, &inspect.key)
            })
            .await
        }
        Command::Invalidate(invalidate) => {
            within(place, &Caches::default(), Log::Join, |session| {
                invalidate::run(session, output, invalidate)
            })
            .await
        }
        Command::Stats(stats) => {
            within(place, &stats.caches, Log::Join, |session| {
                stats::run(session, output, stats)
            })
            .await
        }
        Command::Top(top) => {
            within(place, &top.caches, Log::Join, |session| {
                top::run(session, top)
            })
            .await
        }
        Command::Warm(warm) => alone(warm::run(place, output, warm)).await,
        Command::Explain(explain) => alone(explain::run(place, output, explain)).await,
        Command::Completions(completions) => shell::complete(output, completions.shell),
        Command::Man(man) => shell::manual(output, man.command.as_deref()),
    }
}

/// Runs a command within a session. Ctrl-C ends it, and even then nothing is half done: what was
/// begun is owed to the log, and the session pays that before it ends.
async fn within<'a, F>(
    place: &Place,
    caches: &Caches,
    log: Log,
    work: impl FnOnce(std::rc::Rc<Session>) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + 'a,
{
    let session = tokio::select! {
        session = Session::open(place, caches, log) => std::rc::Rc::new(session?),
        _ = tokio::signal::ctrl_c() => return Err(Failure::interrupted()),
    };
    let result = tokio::select! {
        result = work(std::rc::Rc::clone(&session)) => result,
        _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
    };
    let paid = session.close().await;
    if result.is_ok() && !paid {
        return Err(Failure::failed(
            "Redis went away before the log had everything: do it again",
        ));
    }
    result
}

/// Runs a command that asks nothing of Redis, or little.
async fn alone(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
    }
}

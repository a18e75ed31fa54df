//! One module for each command.

mod clear;
mod inspect;
mod invalidate;
mod keys;
mod shell;
mod test;

use std::future::Future;

use crate::arguments::{Arguments, Caches, Command, Place};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

pub(crate) async fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let place = &arguments.place;
    match &arguments.command {
        Command::Clear(clear) => {
            within(place, &clear.caches, |session| {
                clear::run(session, output, clear)
            })
            .await
        }
        Command::Test(caches) => within(place, caches, |session| test::run(session, output)).await,
        Command::Keys(keys) => {
            within(place, &keys.caches, |session| {
                keys::run(session, output, keys)
            })
            .await
        }
        Command::Inspect(inspect) => {
            within(place, &inspect.caches, |session| {
                inspect::run(session, output, &inspect.key)
            })
            .await
        }
        Command::Invalidate(invalidate) => {
            within(place, &Caches::default(), |session| {
                invalidate::run(session, output, invalidate)
            })
            .await
        }
        Command::Completions(completions) => shell::complete(output, completions.shell),
        Command::Man => shell::manual(output),
    }
}

/// Runs a command within a session. Ctrl-C ends it, and even then nothing is half done: what was
/// begun is owed to the log, and the session pays that before it ends.
async fn within<'a, F>(
    place: &Place,
    caches: &Caches,
    work: impl FnOnce(std::rc::Rc<Session>) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + 'a,
{
    let interrupted = || Failure::interrupted("interrupted");
    let session = tokio::select! {
        session = Session::open(place, caches) => std::rc::Rc::new(session?),
        _ = tokio::signal::ctrl_c() => return Err(interrupted()),
    };
    let result = tokio::select! {
        result = work(std::rc::Rc::clone(&session)) => result,
        _ = tokio::signal::ctrl_c() => Err(interrupted()),
    };
    let paid = session.close().await;
    if result.is_ok() && !paid {
        return Err(Failure::failed(
            "Redis went away before the log had everything: do it again",
        ));
    }
    result
}

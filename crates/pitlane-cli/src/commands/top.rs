//! `pitlane top`: what all servers do, as it changes.

mod screen;

use std::io::{self, IsTerminal};
use std::rc::Rc;
use std::time::Duration;

use pitlane::stats::FleetStats;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use tokio::time::{Instant, sleep};

use crate::arguments::Top;
use crate::commands::stats;
use crate::failure::Failure;
use crate::session::Session;
use screen::Screen;

/// How often it is looked whether a key was pressed.
const LOOK: Duration = Duration::from_millis(50);
/// Servers tell their numbers every few seconds: to ask more often shows nothing more.
const LEAST: Duration = Duration::from_millis(250);

pub(crate) async fn run(session: Rc<Session>, arguments: &Top) -> Result<(), Failure> {
    if !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
        return Err(Failure::usage(
            "top needs a terminal; `pitlane stats`, with --json or --watch, needs none",
        ));
    }
    let mut terminal = ratatui::try_init()?;
    let _restored = Restored;
    watch(&session, arguments, &mut terminal).await
}

/// Puts the terminal back, whoever ends the command and how.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

async fn watch(
    session: &Session,
    arguments: &Top,
    terminal: &mut ratatui::DefaultTerminal,
) -> Result<(), Failure> {
    let every = arguments.every.max(LEAST);
    let mut screen = Screen::default();
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            match look(session, arguments).await {
                Ok(fleet) => screen.show(fleet),
                Err(failure) => screen.trouble(&failure),
            }
            next = Instant::now() + every;
            terminal.draw(|frame| screen.draw(frame))?;
        }
        while event::poll(Duration::ZERO)? {
            match event::read()? {
                Event::Key(key) if is_end(key) => return Ok(()),
                Event::Resize(..) => {
                    terminal.draw(|frame| screen.draw(frame))?;
                }
                _ => {}
            }
        }
        sleep(LOOK).await;
    }
}

/// A terminal that tells all keys tells Ctrl-C as one of them.
fn is_end(key: event::KeyEvent) -> bool {
    let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

async fn look(session: &Session, arguments: &Top) -> Result<FleetStats, Failure> {
    stats::read(session, &arguments.caches.names).await
}

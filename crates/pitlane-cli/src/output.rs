//! Everything that goes to standard output: tables and lines for people, or one JSON document.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::failure::Failure;
use crate::text;

pub(crate) struct Output {
    json: bool,
    /// The document is out: a failure after it is told on standard error alone.
    written: Cell<bool>,
}

#[derive(Serialize)]
struct Trouble<'a> {
    error: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    kind: &'a str,
    message: String,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self {
            json,
            written: Cell::new(false),
        }
    }

    /// The one document, where JSON is wanted; what `show` writes for people otherwise.
    pub(crate) fn give<T: Serialize>(
        &self,
        document: &T,
        show: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        if self.json {
            self.written.set(true);
            serde_json::to_writer_pretty(&mut out, document).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            show(&mut out)?;
        }
        Ok(out.flush()?)
    }

    /// Bytes that somebody made already, such as a man page.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// Tells on standard error what is going on, beside the result.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{}", text::harmless(text));
    }

    /// Tells what went wrong.
    pub(crate) fn failed(&self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        let message = failure.to_string();
        self.note(&format!("pitlane: {message}"));
        if self.json && !self.written.replace(true) {
            let kind = failure.kind();
            let error = Told { kind, message };
            let mut out = io::stdout().lock();
            let _ = serde_json::to_writer_pretty(&mut out, &Trouble { error });
            let _ = writeln!(out);
        }
    }
}

/// A table without lines, as wide as what is in it: it can be cut and searched by other programs.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// Asks, and takes nothing but a clear yes for one.
pub(crate) async fn confirm(question: String) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "nobody is there to be asked: say --yes to go on without a question",
        ));
    }
    let ask = move || {
        let mut error = io::stderr();
        write!(error, "{question} [y/N] ")?;
        error.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok::<_, io::Error>(matches!(&*answer.trim().to_lowercase(), "y" | "yes"))
    };
    let answer = tokio::task::spawn_blocking(ask).await;
    answer
        .map_err(|error| Failure::failed(error.to_string()))?
        .map_err(Failure::from)
}

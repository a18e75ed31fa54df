//! The operations of the script as typed calls.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use fred::interfaces::{KeysInterface, LuaInterface, StreamsInterface};
use fred::types::Value;
use pitlane_core::{Incarnation, LogId, Logged, Record, TagId, Watermark};

use super::link::random;
use super::script::{Script, name, text};
use super::wire::{self, Answer};
use crate::{Database, Failure, FailureKind, Side};

/// What the log's keys are called. The braces are literal: in a Cluster they put the three into
/// one slot.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) log: String,
    pub(super) last: String,
    pub(super) tail: String,
}

impl Names {
    pub(super) fn of(namespace: &str) -> Self {
        let name = |part| format!("{{{namespace}}}:{part}");
        Self {
            log: name("log"),
            last: name("last"),
            tail: name("tail"),
        }
    }

    fn keys(&self) -> Vec<String> {
        vec![self.log.clone(), self.last.clone(), self.tail.clone()]
    }
}

/// Asks the log. Knows nothing of what the answers mean.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) database: Database,
    pub(super) names: Names,
    pub(super) max_length: u64,
    /// The script that was used last.
    script: Mutex<Option<Script>>,
}

/// Why a call brought nothing.
#[derive(Debug)]
pub(super) enum Refused {
    /// The log is whole and of another incarnation.
    Other(Life),
    /// This incarnation is over: the log is not whole, or the server is another process.
    Over,
    /// No answer, or one that says no.
    Failed(Failure),
}

/// A life of the log, and which ones it followed, latest first, as far as that is remembered.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) incarnation: Incarnation,
    pub(super) older: Vec<Incarnation>,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        if failure.kind() == FailureKind::NoScript {
            Self::Over
        } else {
            Self::Failed(failure)
        }
    }
}

/// The tail as the server has it, with the server's clock in milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub(super) tail: Watermark,
    pub(super) time: u64,
}

/// Records after some position.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) checked: Checked,
    /// The oldest record that the stream has.
    pub(super) first: LogId,
    /// The nonce of the record at the position after which was read, if the stream has it.
    pub(super) known: Option<u64>,
    pub(super) records: Vec<Logged>,
}

/// What the hash has for some tags: last hard and last soft position.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) incarnation: Incarnation,
    pub(super) floor: LogId,
    pub(super) tags: Vec<(TagId, LogId, LogId)>,
}

impl Calls {
    pub(super) fn new(database: Database, names: Names, max_length: u64) -> Self {
        Self {
            database,
            names,
            // The stream must never become empty.
            max_length: max_length.max(1),
            script: Mutex::new(None),
        }
    }

    /// Which incarnation the log claims to have: only a hint, which the script has to confirm.
    pub(super) async fn hint(&self) -> Result<Option<Incarnation>, Failure> {
        let tail = self.names.tail.clone();
        let read = move |client: fred::clients::Client| async move {
            client.get::<Option<Bytes>, _>(tail).await
        };
        let text = match self.database.run(Side::Read, "log.hint", read).await {
            // Somebody put something else there, and the script will put it right.
            Err(failure) if failure.kind() == FailureKind::WrongType => None,
            read => read?,
        };
        Ok(text
            .and_then(|text| wire::tail(&text))
            .map(|tail| tail.incarnation()))
    }

    /// The tail alone. `None` when it is missing.
    pub(super) async fn tail(
        &self,
        incarnation: Incarnation,
    ) -> Result<Option<Watermark>, Refused> {
        let asked = vec!["t".into()];
        let value = self.run(incarnation, "log.tail", asked).await?;
        if value.is_null() {
            return Ok(None);
        }
        let text = wire::bytes(value).and_then(|text| wire::tail(&text));
        text.map(Some).ok_or_else(nonsense)
    }

    /// Checks the whole log and repairs its tail.
    pub(super) async fn check(&self, incarnation: Incarnation) -> Result<Checked, Refused> {
        let asked = vec!["j".into()];
        let value = self.run(incarnation, "log.check", asked).await?;
        checked(value)
    }

    /// Appends a record. Returns it as it stands in the log.
    pub(super) async fn append(
        &self,
        incarnation: Incarnation,
        nonce: u64,
        record: Record,
    ) -> Result<Logged, Refused> {
        let mut arguments: Vec<Value> = vec![
            "a".into(),
            wire::nonce_name(nonce).into(),
            Value::Bytes(record.encode().into()),
            self.max_length.to_string().into(),
        ];
        for mark in record.marks() {
            let sign = if mark.soft { b's' } else { b'h' };
            arguments.push(field(sign, mark.tag));
        }
        let value = self.run(incarnation, "log.append", arguments).await?;
        let (at, mut rest) = whole(value)?;
        let previous = rest.next().and_then(wire::bytes);
        let previous = previous.and_then(|text| wire::nonce(&text));
        Ok(Logged {
            at,
            previous: previous.ok_or_else(nonsense)?,
            record,
        })
    }

    /// Reads at most `count` records after `after`.
    pub(super) async fn records(
        &self,
        incarnation: Incarnation,
        after: LogId,
        count: u32,
    ) -> Result<Batch, Refused> {
        let arguments = vec![
            "c".into(),
            after.to_string().into(),
            count.to_string().into(),
        ];
        let value = self.run(incarnation, "log.records", arguments);
        let (tail, mut rest) = whole(value.await?)?;
        let time = rest.next().and_then(wire::time).ok_or_else(nonsense)?;
        let first = rest.next().and_then(wire::bytes);
        let first = first
            .and_then(|text| wire::id(&text))
            .ok_or_else(nonsense)?;
        let known = rest.next().and_then(wire::bytes).ok_or_else(nonsense)?;
        let records = rest.next().and_then(wire::array).ok_or_else(nonsense)?;
        // A record that can't be read is left out, and so are those behind it: the gap shows.
        let records = records.into_iter().map_while(wire::logged).collect();
        Ok(Batch {
            checked: Checked { tail, time },
            first,
            known: wire::nonce(&known),
            records,
        })
    }

    /// The last records, latest first. It asks the stream itself: nothing is decided by what
    /// comes back.
    pub(super) async fn recent(&self, limit: u32) -> Result<Vec<Logged>, Failure> {
        let key = self.names.log.clone();
        let read = move |client: fred::clients::Client| async move {
            let count = Some(u64::from(limit));
            client
                .xrevrange::<Value, _, _, _>(key, "+", "-", count)
                .await
        };
        let entries = self.database.run(Side::Read, "log.recent", read).await?;
        let entries = wire::array(entries).unwrap_or_default();
        Ok(entries.into_iter().filter_map(wire::logged).collect())
    }

    /// Asks the hash for tags.
    pub(super) async fn rows(
        &self,
        incarnation: Incarnation,
        tags: &[TagId],
    ) -> Result<Rows, Refused> {
        let mut arguments: Vec<Value> = vec!["l".into()];
        let number = |tag: &TagId| Value::Bytes(Bytes::copy_from_slice(&tag.to_bytes()));
        arguments.extend(tags.iter().map(number));
        let value = self.run(incarnation, "log.look", arguments).await?;
        let (tail, mut rest) = whole(value)?;
        let floor = rest.next().and_then(wire::bytes);
        let floor = floor
            .and_then(|text| wire::id(&text))
            .ok_or_else(nonsense)?;
        let values = rest.next().and_then(wire::array).ok_or_else(nonsense)?;
        if values.len() != 2 * tags.len() {
            return Err(nonsense());
        }
        let mut ids = values.into_iter().map(|value| {
            let text = wire::bytes(value)?;
            if text.is_empty() {
                return Some(LogId::ZERO);
            }
            wire::id(&text)
        });
        let mut next = || ids.next().flatten();
        let rows = tags.iter().map(|tag| Some((*tag, next()?, next()?)));
        let tags = rows.collect::<Option<_>>().ok_or_else(nonsense)?;
        Ok(Rows {
            incarnation: tail.incarnation(),
            floor,
            tags,
        })
    }

    /// Lets the hash forget those of `fields` that are not later than `cutoff`.
    pub(super) async fn forget(
        &self,
        incarnation: Incarnation,
        cutoff: LogId,
        fields: Vec<Bytes>,
    ) -> Result<u64, Refused> {
        let mut arguments: Vec<Value> = vec!["x".into(), cutoff.to_string().into()];
        arguments.extend(fields.into_iter().map(Value::Bytes));
        let value = self.run(incarnation, "log.forget", arguments);
        let (_, mut rest) = whole(value.await?)?;
        let gone = rest.next().and_then(wire::bytes);
        let gone = gone.and_then(|text| str::from_utf8(&text).ok()?.parse().ok());
        gone.ok_or_else(nonsense)
    }

    /// Begins the incarnation `fresh` in place of `expected`, or of whatever is there. Sends the
    /// text of the script, which nobody does for an incarnation that exists. `known` is the one
    /// that the node followed before.
    pub(super) async fn renew(
        &self,
        fresh: Incarnation,
        expected: Expected,
        known: Option<Incarnation>,
    ) -> Result<Checked, Refused> {
        let expected = match expected {
            Expected::Nothing => String::new(),
            Expected::This(incarnation) => name(incarnation),
            Expected::Whatever => "*".to_owned(),
        };
        let keys = self.names.keys();
        let nonce = wire::nonce_name(random());
        let known = known.map_or_else(String::new, name);
        let arguments = vec!["r".to_owned(), expected, nonce, known];
        let send = move |client: fred::clients::Client| async move {
            client
                .eval::<Value, _, _, _>(text(fresh), keys, arguments)
                .await
        };
        checked(self.database.run(Side::Read, "log.renew", send).await?)
    }

    async fn run(
        &self,
        incarnation: Incarnation,
        operation: &'static str,
        arguments: Vec<Value>,
    ) -> Result<Value, Refused> {
        let digest = self.digest(incarnation);
        let keys = self.names.keys();
        let send = move |client: fred::clients::Client| async move {
            client
                .evalsha::<Value, _, _, _>(&*digest, keys, arguments)
                .await
        };
        // On the side of reads: an append must not depend on whether memory is full.
        Ok(self.database.run(Side::Read, operation, send).await?)
    }

    fn digest(&self, incarnation: Incarnation) -> std::sync::Arc<str> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        match &*script {
            Some(script) if script.incarnation == incarnation => script.digest.clone(),
            _ => script.insert(Script::of(incarnation)).digest.clone(),
        }
    }
}

/// What a renewal takes the place of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// A log that is not there.
    Nothing,
    /// This incarnation, and no other.
    This(Incarnation),
    /// Any.
    Whatever,
}

fn field(sign: u8, tag: TagId) -> Value {
    let mut field = Vec::with_capacity(17);
    field.push(sign);
    field.extend_from_slice(&tag.to_bytes());
    Value::Bytes(field.into())
}

fn checked(value: Value) -> Result<Checked, Refused> {
    let (tail, mut rest) = whole(value)?;
    let time = rest.next().and_then(wire::time).ok_or_else(nonsense)?;
    Ok(Checked { tail, time })
}

fn whole(value: Value) -> Result<(Watermark, std::vec::IntoIter<Value>), Refused> {
    match wire::answer(value).ok_or_else(nonsense)? {
        Answer::Ok { tail, rest } => Ok((tail, rest.into_iter())),
        Answer::Other(life) => Err(Refused::Other(life)),
        Answer::Broken => Err(Refused::Over),
    }
}

fn nonsense() -> Refused {
    Refused::Failed(FailureKind::Protocol.into())
}

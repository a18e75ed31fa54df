//! Where nodes tell each other their numbers.
//!
//! Beside the log, in its slot: one value for each node, which expires, and a hash of those that
//! there may be, which saves looking through all keys.

use std::{fmt, time::Duration};

use pitlane_redis::{
    Database, Failure, Side,
    fred::{
        clients::Client,
        error::Error as RedisError,
        interfaces::ClientLike,
        types::{ClusterHash, CustomCommand, Value},
    },
};

use crate::cache::Caches;

/// How many nodes are looked at; a list that is longer was not written by nodes.
const MAX_NODES: usize = 1024;
/// How much is read for one question, in bytes.
const MAX_TOGETHER: usize = 32 << 20;
/// How many values one question asks for.
const TOGETHER: usize = 16;
/// A node that has told nothing for so long is taken off the list.
const FORGOTTEN: Duration = Duration::from_secs(2 * 3600 + 600);
/// How long one question may take. It is not a request's time.
const LIMIT: Duration = Duration::from_millis(500);

/// The namespace of a registry, and the database of its log.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) namespace: Box<str>,
    pub(crate) database: u8,
}

/// The nodes of a namespace.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) database: Database,
    list: String,
    prefix: String,
}

impl Nodes {
    /// `None` without Redis.
    pub(super) fn of(caches: &Caches) -> Option<Self> {
        let place = caches.shared.node.place.as_ref()?;
        let namespace = &place.namespace;
        Some(Self {
            database: caches.redis()?.database(place.database).ok()?,
            list: format!("{{{namespace}}}:nodes"),
            prefix: format!("{{{namespace}}}:node:"),
        })
    }

    fn key(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    /// Tells a node's numbers, for as long as they are worth something.
    pub(super) async fn put(
        &self,
        id: &str,
        snapshot: Vec<u8>,
        life: Duration,
        now: u64,
    ) -> Result<(), Trouble> {
        let (key, list, id) = (self.key(id), self.list.clone(), id.to_owned());
        let life = life.as_millis().to_string();
        let set = vec![
            key.into(),
            Value::Bytes(snapshot.into()),
            "PX".into(),
            life.into(),
        ];
        let ended = 3 * FORGOTTEN.as_millis();
        let expire = vec![list.as_str().into(), ended.to_string().into()];
        let list = vec![list.into(), id.into(), now.to_string().into()];
        let put = |client: Client| async move {
            send(&client, "SET", set).await?;
            let listed = send(&client, "HSET", list).await?;
            // After the last node nobody prunes the list. A user of an older version's rules may
            // not say so, and has told its numbers all the same.
            permitted(send(&client, "PEXPIRE", expire).await)?;
            Ok(listed)
        };
        self.run(Side::Write, put).await.map(drop)
    }

    pub(super) async fn remove(&self, id: &str) -> Result<(), Trouble> {
        let key = vec![self.key(id).into()];
        let field = vec![self.list.as_str().into(), id.into()];
        let remove = |client: Client| async move {
            send(&client, "UNLINK", key).await?;
            send(&client, "HDEL", field).await
        };
        self.run(Side::Write, remove).await.map(drop)
    }

    /// Takes those off the list that were not heard of for long.
    pub(super) async fn prune(&self, now: u64) -> Result<(), Trouble> {
        let limit = u64::try_from(FORGOTTEN.as_millis()).unwrap_or(u64::MAX);
        let is_gone = |told: &str| {
            let told: Option<u64> = told.parse().ok();
            told.is_none_or(|told| now.abs_diff(told) > limit)
        };
        let listed = self.listed().await?.into_iter();
        let gone = listed
            .filter(|(_, told)| is_gone(told))
            .map(|(id, _)| id.into());
        let fields: Vec<Value> = std::iter::once(self.list.as_str().into())
            .chain(gone)
            .collect();
        if fields.len() < 2 {
            return Ok(());
        }
        let remove = |client: Client| async move { send(&client, "HDEL", fields).await };
        self.run(Side::Write, remove).await.map(drop)
    }

    /// Reads what all nodes have told that were heard of lately, and says which of them it did not
    /// come to because the others have told too much.
    pub(super) async fn each(
        &self,
        mut read: impl FnMut(&str, Vec<u8>),
    ) -> Result<Vec<String>, Trouble> {
        let mut ids: Vec<String> = self.listed().await?.into_iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        // A hash that is being resized may show a field twice.
        ids.dedup();
        let (mut unread, mut length) = (Vec::new(), 0_usize);
        for ids in ids.chunks(TOGETHER) {
            if length >= MAX_TOGETHER {
                unread.extend_from_slice(ids);
                continue;
            }
            let keys = ids.iter().map(|id| self.key(id).into()).collect();
            let get = |client: Client| async move { send(&client, "MGET", keys).await };
            let values = self.run(Side::Read, get).await?.into_array();
            for (id, value) in ids.iter().zip(values) {
                if let Some(bytes) = bytes(value) {
                    length = length.saturating_add(bytes.len());
                    read(id, bytes);
                }
            }
            // Reading takes its time, and others wait for this thread.
            tokio::task::yield_now().await;
        }
        Ok(unread)
    }

    /// The nodes that there may be, and when they were last heard of.
    async fn listed(&self) -> Result<Vec<(String, String)>, Trouble> {
        let mut listed = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            // `HGETALL` would have no bound.
            let page = vec![
                self.list.as_str().into(),
                cursor.into(),
                "COUNT".into(),
                "256".into(),
            ];
            let look = |client: Client| async move { send(&client, "HSCAN", page).await };
            let page = self.run(Side::Read, look).await?;
            let (next, fields) = page.convert::<(String, Vec<Value>)>()?;
            listed.extend(fields.chunks_exact(2).filter_map(|pair| match pair {
                [id, told] => Some((id.as_string()?, told.as_string()?)),
                _ => None,
            }));
            if next == "0" || listed.len() >= MAX_NODES {
                listed.truncate(MAX_NODES);
                return Ok(listed);
            }
            cursor = next;
        }
    }

    /// Through the circuit. That something is not permitted says nothing of how Redis is: it must
    /// not open the circuit for all that is.
    async fn run<F>(&self, side: Side, call: impl FnOnce(Client) -> F) -> Result<Value, Trouble>
    where
        F: Future<Output = Result<Value, RedisError>>,
    {
        let call = |client| async move { permitted(call(client).await) };
        let answer = self.database.run_within(side, "nodes", LIMIT, call);
        // The client library's futures are deep, and these are rare.
        let answer = Box::pin(answer).await?;
        answer.ok_or(Trouble::NotPermitted)
    }
}

/// Why the numbers were not told, or not read.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The Redis user may not.
    NotPermitted,
    Failed(Failure),
    /// The answer has another shape.
    Shape(RedisError),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        Self::Shape(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str("the Redis user may not do that"),
            Self::Failed(failure) => failure.fmt(f),
            Self::Shape(_) => f.write_str("Redis answered something that makes no sense"),
        }
    }
}

impl std::error::Error for Trouble {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotPermitted => None,
            Self::Failed(failure) => Some(failure),
            Self::Shape(error) => Some(error),
        }
    }
}

/// `None` for what the user may not do.
pub(super) fn permitted<T>(answer: Result<T, RedisError>) -> Result<Option<T>, RedisError> {
    match answer {
        Err(error) if error.details().starts_with("NOPERM") => Ok(None),
        answer => answer.map(Some),
    }
}

async fn send(client: &Client, name: &'static str, words: Vec<Value>) -> Result<Value, RedisError> {
    let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
    client.custom(command, words).await
}

/// What a value holds, if it is text.
fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Some(bytes.into()),
        Value::String(text) => Some(text.as_bytes().to_vec()),
        _ => None,
    }
}

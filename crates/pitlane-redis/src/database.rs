use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use fred::{
    clients::{Client, Pipeline},
    error::{Error as RedisError, ErrorKind},
    interfaces::{ClientLike, KeysInterface, LuaInterface},
    types::{Expiration, SetOptions, Value},
};
use pitlane_core::{Condition, RemoteFuture, RemoteStore, StoreError};

use crate::{
    circuit::Side,
    client::Owner,
    connection::{Connection, LONGEST_CALL},
    failure::{Failure, FailureKind},
    lease,
};

/// Sets or removes a value if it is still the expected one.
const EXCHANGE: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
if ARGV[2] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) \
else redis.call('DEL', KEYS[1]) end \
return 1";

/// How many keys the server looks at in one step of a walk.
const SCAN_COUNT: u32 = 500;

/// One database of a [`CircuitBrokenRedis`](crate::CircuitBrokenRedis). Cheap to clone.
#[derive(Clone)]
pub struct Database {
    owner: Arc<Owner>,
    connection: Arc<Connection>,
}

impl Database {
    pub(crate) fn new(owner: Arc<Owner>, connection: Arc<Connection>) -> Self {
        Self { owner, connection }
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.connection.database
    }

    /// Sends any commands through the circuit: `call` gets the library's client and has one
    /// budget for all it does. `name` says in the logs what it was.
    ///
    /// A missing key is an error to types that can't be absent: ask for an `Option`. Commands
    /// that block belong on [`dedicated`](crate::CircuitBrokenRedis::dedicated) connections.
    ///
    /// # Errors
    ///
    /// The kinds of [`FailureKind`]. After [`FailureKind::TimedOut`] and
    /// [`FailureKind::Unreachable`] a command may still have been, or be, carried out.
    pub async fn run<T, C, F>(&self, side: Side, name: &'static str, call: C) -> Result<T, Failure>
    where
        C: FnOnce(Client) -> F,
        F: Future<Output = Result<T, RedisError>>,
    {
        let budget = self.owner.shared().budget;
        self.run_within(side, name, budget, call).await
    }

    /// [`run`](Self::run) with another limit than the budget, at most ten seconds: for scripts
    /// that take longer. While a script runs, Redis answers nobody.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn run_within<T, C, F>(
        &self,
        side: Side,
        name: &'static str,
        budget: Duration,
        call: C,
    ) -> Result<T, Failure>
    where
        C: FnOnce(Client) -> F,
        F: Future<Output = Result<T, RedisError>>,
    {
        let client = &self.connection.client;
        let send = || async move {
            // What options do for single commands: the library would wait for a connection.
            if !client.is_connected() {
                return Err(RedisError::new_canceled());
            }
            call(client.clone()).await
        };
        let budget = budget.min(LONGEST_CALL);
        self.call(side, name, budget, send).await
    }

    async fn call<T, F>(
        &self,
        side: Side,
        name: &'static str,
        budget: Duration,
        send: impl FnOnce() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let shared = self.owner.shared();
        shared
            .call(&self.connection, side, name, budget, send)
            .await
    }

    /// One of the commands whose answers have a known shape. An answer of another shape belongs
    /// to another question: then nothing on this connection can be believed any more.
    async fn command<T, F>(
        &self,
        side: Side,
        name: &'static str,
        send: impl FnOnce() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let shared = self.owner.shared();
        let result = self.call(side, name, shared.budget, send).await;
        if result.as_ref().is_err_and(Failure::is_of_another_shape) {
            self.connection.mistrust();
            shared.circuit.work.notify_one();
        }
        result.map_err(StoreError::from)
    }
}

impl RemoteStore for Database {
    fn connections(&self) -> u64 {
        self.connection.made()
    }

    fn get<'a>(&'a self, key: &'a str) -> RemoteFuture<'a, Option<Bytes>> {
        let commands = &self.connection.commands;
        let send = move || async move { text(commands.get::<Value, _>(key).await?) };
        Box::pin(self.command(Side::Read, "get", send))
    }

    fn get_many<'a>(&'a self, keys: &'a [&'a str]) -> RemoteFuture<'a, Vec<Option<Bytes>>> {
        let commands = &self.connection.commands;
        Box::pin(async move {
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            let send = || async {
                match commands.mget::<Value, _>(keys.to_vec()).await? {
                    Value::Array(values) if values.len() == keys.len() => {
                        values.into_iter().map(text).collect()
                    }
                    _ => Err(other_shape()),
                }
            };
            self.command(Side::Read, "get_many", send).await
        })
    }

    fn set<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
        condition: Condition,
    ) -> RemoteFuture<'a, bool> {
        let commands = &self.connection.commands;
        Box::pin(async move {
            let bounds = &self.owner.shared().bounds;
            let value = bounds
                .charge(value)
                .ok_or_else(|| Failure::new(FailureKind::Overloaded))?;
            let expires = (ttl < Duration::MAX).then(|| Expiration::PX(whole_millis(ttl)));
            let options = match condition {
                Condition::Always => None,
                Condition::IfAbsent => Some(SetOptions::NX),
                Condition::IfPresent => Some(SetOptions::XX),
            };
            let send = || commands.set::<Option<()>, _, _>(key, value, expires, options, false);
            let stored = self.command(Side::Write, "set", send).await?;
            Ok(stored.is_some())
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> RemoteFuture<'a, bool> {
        let commands = &self.connection.commands;
        Box::pin(async move {
            let send = || commands.del::<u64, _>(key);
            Ok(self.command(Side::Write, "delete", send).await? > 0)
        })
    }

    fn exchange<'a>(
        &'a self,
        key: &'a str,
        expected: Bytes,
        value: Option<Bytes>,
        ttl: Duration,
    ) -> RemoteFuture<'a, bool> {
        let client = &self.connection.client;
        Box::pin(async move {
            let mut arguments = vec![Value::Bytes(expected)];
            if let Some(value) = value {
                arguments.push(Value::Bytes(value));
                arguments.push(whole_millis(ttl).to_string().into());
            }
            let send = || async move {
                // What options do for single commands.
                if !client.is_connected() {
                    return Err(RedisError::new_canceled());
                }
                client
                    .eval::<i64, _, _, _>(EXCHANGE, vec![key], arguments)
                    .await
            };
            Ok(self.command(Side::Write, "exchange", send).await? > 0)
        })
    }

    fn increment<'a>(&'a self, key: &'a str, by: u32) -> RemoteFuture<'a, u64> {
        let commands = &self.connection.commands;
        Box::pin(async move {
            let send = || commands.incr_by::<i64, _>(key, i64::from(by));
            let sum = self.command(Side::Write, "increment", send).await?;
            u64::try_from(sum).map_err(|_| Failure::new(FailureKind::WrongType).into())
        })
    }

    fn lease<'a>(
        &'a self,
        key: &'a str,
        counter: &'a str,
        token: Bytes,
        ttl: Duration,
    ) -> RemoteFuture<'a, Option<u64>> {
        let ttl = whole_millis(ttl);
        Box::pin(async move {
            let client = &self.connection.client;
            let send = || lease::take(client, [key, counter], token, ttl);
            self.command(Side::Write, "lease", send).await
        })
    }

    fn scan<'a>(&'a self, prefix: &'a str, cursor: u64) -> RemoteFuture<'a, (u64, Vec<String>)> {
        let commands = &self.connection.commands;
        Box::pin(async move {
            let pattern = format!("{}*", escaped(prefix));
            let count = Some(SCAN_COUNT);
            let send = || {
                commands.scan_page::<(u64, Vec<Bytes>), _, _>(
                    cursor.to_string(),
                    pattern,
                    count,
                    None,
                )
            };
            let (next, keys) = self.command(Side::Read, "scan", send).await?;
            // A key that is no text is none of ours.
            let keys = keys.into_iter().map(Vec::from).map(String::from_utf8);
            Ok((next, keys.filter_map(Result::ok).collect()))
        })
    }

    fn peek<'a>(&'a self, keys: &'a [String], length: u32) -> RemoteFuture<'a, Vec<Bytes>> {
        let commands = &self.connection.commands;
        Box::pin(async move {
            let Some(last) = length.checked_sub(1).filter(|_| !keys.is_empty()) else {
                return Ok(vec![Bytes::new(); keys.len()]);
            };
            let last = usize::try_from(last).unwrap_or(usize::MAX);
            let send = || async move {
                let pipeline = Pipeline::from(commands.clone());
                for key in keys {
                    let _: Value = pipeline.getrange(key, 0, last).await?;
                }
                pipeline.all::<Vec<Bytes>>().await
            };
            self.command(Side::Read, "peek", send).await
        })
    }

    fn unlink<'a>(&'a self, keys: &'a [String]) -> RemoteFuture<'a, u64> {
        let commands = &self.connection.commands;
        Box::pin(async move {
            if keys.is_empty() {
                return Ok(0);
            }
            let send = || commands.unlink(keys.to_vec());
            self.command(Side::Write, "unlink", send).await
        })
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("server", &self.owner.shared().server)
            .field("number", &self.number())
            .finish_non_exhaustive()
    }
}

/// Text and nothing else: the library would turn a number into its digits.
fn text(value: Value) -> Result<Option<Bytes>, RedisError> {
    match value {
        Value::Null => Ok(None),
        Value::Bytes(bytes) => Ok(Some(bytes)),
        Value::String(text) => Ok(Some(text.into_inner())),
        _ => Err(other_shape()),
    }
}

pub(crate) fn other_shape() -> RedisError {
    RedisError::new(ErrorKind::Parse, "an answer of another shape")
}

/// Redis refuses an expiry of zero.
fn whole_millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// The pattern that only this text matches.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_at_least_a_millisecond() {
        assert_eq!(whole_millis(Duration::ZERO), 1);
        assert_eq!(whole_millis(Duration::from_micros(1_999)), 1);
        assert_eq!(whole_millis(Duration::from_secs(2)), 2_000);
        assert_eq!(whole_millis(Duration::MAX), i64::MAX);
    }

    #[test]
    fn patterns_are_escaped() {
        assert_eq!(escaped("a:{b}:"), "a:{b}:");
        assert_eq!(escaped("a*?[b]^\\"), "a\\*\\?\\[b\\]\\^\\\\");
    }
}

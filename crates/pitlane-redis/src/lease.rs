//! Leases: what somebody has for a while, whatever becomes of them.

use bytes::Bytes;
use fred::{
    clients::Client,
    error::Error as RedisError,
    interfaces::{ClientLike, LuaInterface},
    types::Value,
};

use crate::database::other_shape;

/// Takes a lease unless somebody else has it, and numbers it.
///
/// The number is one more than the last, and not less than the server's time in microseconds: a
/// server that has lost its data, or some of it in a failover, goes on above what it had given out,
/// unless its clock was set back. Both stay exact in the floating-point numbers of a script.
///
/// The one who has the lease takes it again: an answer that was lost is asked for once more.
const TAKE: &str = "\
local held = redis.call('GET', KEYS[1]) \
if held and held ~= ARGV[1] then return 0 end \
local now = redis.call('TIME') \
local least = now[1] * 1000000 + now[2] \
local number = math.max((tonumber(redis.call('GET', KEYS[2])) or 0) + 1, least) \
redis.call('SET', KEYS[2], string.format('%.0f', number)) \
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) \
return number";

/// The number of the lease, or `None` where somebody else has it.
pub(crate) async fn take(
    client: &Client,
    keys: [&str; 2],
    token: Bytes,
    millis: i64,
) -> Result<Option<u64>, RedisError> {
    // What options do for single commands.
    if !client.is_connected() {
        return Err(RedisError::new_canceled());
    }
    let arguments = vec![Value::Bytes(token), millis.to_string().into()];
    match client
        .eval::<Value, _, _, _>(TAKE, keys.to_vec(), arguments)
        .await?
    {
        Value::Integer(0) => Ok(None),
        Value::Integer(number) => u64::try_from(number).map(Some).map_err(|_| other_shape()),
        _ => Err(other_shape()),
    }
}

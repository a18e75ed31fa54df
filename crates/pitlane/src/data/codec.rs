use std::{error, fmt};

use serde::{Serialize, de::DeserializeOwned};

/// How values become bytes and come back.
///
/// Bytes may come from Redis, and are claims: `decode` must not panic whatever they are. One that
/// fails is a miss.
pub trait Codec: Send + Sync + 'static {
    /// What tells this form from others. Another name is another form: nothing that was stored
    /// under an old one is found.
    const NAME: &'static str;

    /// Writes a value.
    ///
    /// # Errors
    ///
    /// When the value has no such form. It is handed to its caller, and not stored.
    fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError>;

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// When the bytes are no value of that type, or more than one.
    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError>;
}

/// Compact, fast, and not self-describing (the `postcard` wire format): a type whose fields change
/// needs another [`version`](super::Data::version). Not for types that contain themselves: bytes in
/// Redis would decide how deep the reader goes. [`Json`] has a limit.
#[derive(Clone, Copy, Debug)]
pub struct Postcard;

/// Readable with any tool, and slower.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Codec for Postcard {
    const NAME: &'static str = "postcard 1";

    fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
        postcard::to_stdvec(value).map_err(CodecError::new)
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        match postcard::take_from_bytes(bytes).map_err(CodecError::new)? {
            (value, []) => Ok(value),
            _ => Err(CodecError::new("bytes are left over")),
        }
    }
}

impl Codec for Json {
    const NAME: &'static str = "json";

    fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
        serde_json::to_vec(value).map_err(CodecError::new)
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(CodecError::new)
    }
}

/// Why a value could not be written or read. It shows nothing of the value.
#[derive(Debug)]
pub struct CodecError(Box<dyn error::Error + Send + Sync>);

impl CodecError {
    /// An error of a codec of one's own.
    pub fn new(source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

impl CodecError {
    /// A value that has no such form is its owner's to know of, not a failure of the cache.
    pub(super) fn tell(&self) {
        tracing::warn!(error = %self, "a value could not be stored");
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value has another form than its codec's")
    }
}

impl error::Error for CodecError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.0)
    }
}

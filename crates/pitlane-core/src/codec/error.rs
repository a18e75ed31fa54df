use std::{error::Error, fmt};

/// Why an entry can't be made into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct EncodeError {
    kind: EncodeErrorKind,
}

impl EncodeError {
    /// What is wrong with the entry.
    #[must_use]
    pub const fn kind(&self) -> EncodeErrorKind {
        self.kind
    }

    pub(super) const fn too_large() -> Self {
        let kind = EncodeErrorKind::TooLarge;
        Self { kind }
    }
}

/// What is wrong with an entry that should leave the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// A part of it is 4 GiB long or more.
    #[error("a part of the entry is too long for a frame")]
    TooLarge,
}

/// Why bytes are no entry. To a reader of a cache it is a miss.
#[derive(Debug)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl DecodeError {
    /// What is wrong with the bytes.
    #[must_use]
    pub const fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    pub(super) fn new(
        kind: DecodeErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }
}

impl From<DecodeErrorKind> for DecodeError {
    fn from(kind: DecodeErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What is wrong with bytes that should be an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// They don't begin like an entry of a cache.
    #[error("the bytes are no frame")]
    NotOurs,
    /// A frame of a version that this build doesn't read.
    #[error("the frame is of another version")]
    Version,
    /// There are fewer bytes than the frame has.
    #[error("the frame is cut short")]
    Truncated,
    /// There are more bytes than the frame has.
    #[error("something follows the frame")]
    Trailing,
    /// They are not the bytes that were written.
    #[error("the checksum is wrong")]
    Checksum,
    /// The body is longer than the reader takes.
    #[error("the body is over the limit")]
    TooLarge,
    /// The body is compressed in a way that this build doesn't read.
    #[error("the body is compressed in a way that this build can't read")]
    Unsupported,
    /// The body does not expand to what the frame says.
    #[error("the compressed body is broken")]
    Compression,
    /// The tags don't fit the room that they are said to take, or are of an unknown kind.
    #[error("the tags are broken")]
    Tag,
    /// A tag's name is no UTF-8.
    #[error("the name of a tag is no text")]
    Text,
}

impl DecodeErrorKind {
    /// The name used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotOurs => "not-ours",
            Self::Version => "version",
            Self::Truncated => "truncated",
            Self::Trailing => "trailing",
            Self::Checksum => "checksum",
            Self::TooLarge => "too-large",
            Self::Unsupported => "unsupported",
            Self::Compression => "compression",
            Self::Tag => "tag",
            Self::Text => "text",
        }
    }

    /// Whether the bytes are damaged, so that nobody can read them and they are best removed.
    /// Others are fine for another build or another configuration: they are left alone.
    #[must_use]
    pub const fn is_corrupt(self) -> bool {
        !matches!(self, Self::Version | Self::TooLarge | Self::Unsupported)
    }
}

use std::{error, fmt};

type Source = Box<dyn error::Error + Send + Sync>;

/// What Pitlane itself can fail with. A response never fails because of the cache.
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Source>,
}

/// What kind of failure an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is wrong; the message says what and, for a file, on which line.
    Configuration,
    /// A configuration file can't be read.
    File,
    /// No cache has that name.
    UnknownCache,
    /// A text is no absolute URL.
    Url,
    /// Redis did not do what it was asked.
    Redis,
    /// A request can't be explained, or a recording of one can't be read; the message says why and
    /// where.
    Explain,
    /// A text is no cursor that a page of keys ended with.
    Cursor,
    /// No rule says what a change of that type of row ends.
    UnknownModel,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

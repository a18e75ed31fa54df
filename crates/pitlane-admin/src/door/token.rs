//! The secret that opens the door.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// A shorter secret might be guessed.
const MIN: usize = 32;
/// A longer file is not a token.
const MAX: usize = 4096;

/// A secret of at least 32 bytes. It comes from a file or from the environment, never from a
/// command line that other users of the machine can see, and it is never shown.
#[derive(Clone, Debug)]
pub struct AdminToken(SecretString);

impl AdminToken {
    /// Reads the first line of a file, without the white space around it. Nothing may follow.
    ///
    /// # Errors
    ///
    /// [`AdminTokenError`] when the file can't be read, or holds no token.
    pub fn from_file(path: &Path) -> Result<Self, AdminTokenError> {
        let place = || path.display().to_string();
        let mut text = Vec::new();
        // One byte too many is enough to see that it is too long, whatever the file is.
        File::open(path)
            .and_then(|file| file.take(MAX as u64 + 1).read_to_end(&mut text))
            .map_err(|error| AdminTokenError::unreadable(place(), error))?;
        Self::read(&text).map_err(|kind| AdminTokenError::new(place(), kind))
    }

    /// Reads a variable of the environment, such as `PITLANE_ADMIN_TOKEN`.
    ///
    /// # Errors
    ///
    /// [`AdminTokenError`] when it is not set, or holds no token.
    pub fn from_env(name: &str) -> Result<Self, AdminTokenError> {
        let place = || format!("the variable {name}");
        let Some(value) = std::env::var_os(name) else {
            let missing = io::Error::new(io::ErrorKind::NotFound, "it is not set");
            return Err(AdminTokenError::unreadable(place(), missing));
        };
        Self::read(value.as_encoded_bytes()).map_err(|kind| AdminTokenError::new(place(), kind))
    }

    /// Makes a new file that holds a new random token, for its owner's eyes alone (mode 0600).
    ///
    /// # Errors
    ///
    /// [`AdminTokenError`] when there is a file already, or it can't be written.
    pub fn create_file(path: &Path) -> Result<Self, AdminTokenError> {
        let failed = |error| AdminTokenError::unreadable(path.display().to_string(), error);
        let mut bytes = [0; MIN];
        getrandom::fill(&mut bytes).map_err(|error| failed(io::Error::other(error)))?;
        let text = blake3::Hash::from_bytes(bytes).to_hex();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        file.write_all(format!("{text}\n").as_bytes())
            .map_err(failed)?;
        Ok(Self(text.as_str().to_owned().into()))
    }

    fn read(text: &[u8]) -> Result<Self, AdminTokenErrorKind> {
        if text.len() > MAX {
            return Err(AdminTokenErrorKind::TooLong);
        }
        let token = text.trim_ascii();
        if token.len() < MIN {
            return Err(AdminTokenErrorKind::TooShort {
                length: token.len(),
            });
        }
        match str::from_utf8(token) {
            Ok(token) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self(token.to_owned().into()))
            }
            _ => Err(AdminTokenErrorKind::Unsendable),
        }
    }

    /// Whether the one Authorization header is `Bearer` and this token.
    pub(crate) fn is_borne_by(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        bearer(value.as_bytes()).is_some_and(|token| self.is(token))
    }

    /// In a time that does not depend on how much of it is right; that its length is wrong shows.
    pub(crate) fn is(&self, token: &[u8]) -> bool {
        self.0.expose_secret().as_bytes().ct_eq(token).into()
    }
}

/// The scheme's name has no letter case (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    scheme
        .eq_ignore_ascii_case(SCHEME)
        .then(|| token.trim_ascii_start())
}

/// Why there is no token. It never shows what was found in its place.
#[derive(Debug)]
pub struct AdminTokenError {
    place: String,
    kind: AdminTokenErrorKind,
    source: Option<io::Error>,
}

/// What is wrong with a token, or with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdminTokenErrorKind {
    /// The file is missing, not for us, or there already; or the variable is not set.
    Unreadable,
    /// Shorter than 32 bytes: too easy to guess.
    TooShort {
        /// How many bytes are there, without the white space around them.
        length: usize,
    },
    /// More than 4096 bytes.
    TooLong,
    /// A header could not carry it.
    Unsendable,
}

impl AdminTokenError {
    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> AdminTokenErrorKind {
        self.kind
    }

    const fn new(place: String, kind: AdminTokenErrorKind) -> Self {
        Self {
            place,
            kind,
            source: None,
        }
    }

    const fn unreadable(place: String, source: io::Error) -> Self {
        Self {
            place,
            kind: AdminTokenErrorKind::Unreadable,
            source: Some(source),
        }
    }
}

impl fmt::Display for AdminTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, source, .. } = self;
        match (self.kind, source) {
            (AdminTokenErrorKind::Unreadable, Some(source)) => {
                write!(f, "cannot read the admin token from {place}: {source}")
            }
            (AdminTokenErrorKind::Unreadable, None) => {
                write!(f, "cannot read the admin token from {place}")
            }
            (AdminTokenErrorKind::TooShort { length }, _) => write!(
                f,
                "the admin token in {place} has {length} bytes, and must have at least {MIN}"
            ),
            (AdminTokenErrorKind::TooLong, _) => {
                write!(f, "the admin token in {place} is longer than {MAX} bytes")
            }
            (AdminTokenErrorKind::Unsendable, _) => write!(
                f,
                "the admin token in {place} must be one line of ASCII letters, digits and signs"
            ),
        }
    }
}

impl std::error::Error for AdminTokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[track_caller]
    fn check(values: &[&str], expected: bool) {
        let token = AdminToken::read(TOKEN.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        assert_eq!(token.is_borne_by(&headers), expected, "{values:?}");
    }

    #[test]
    fn one_bearer_header_with_the_whole_token_opens() {
        let right = format!("Bearer {TOKEN}");
        check(&[&right], true);
        check(&[&right.to_lowercase()], true);
        check(&[], false);
        check(&[&right, &right], false);
        check(&[TOKEN], false);
        check(&["Bearer"], false);
        check(&["Bearer "], false);
        check(&[&format!("Basic {TOKEN}")], false);
        check(&[&format!("{right}0")], false);
        check(&[right.strip_suffix('f').unwrap()], false);
        check(&[&format!("Bearer {}", TOKEN.to_uppercase())], false);
    }

    #[test]
    fn debug_shows_no_token() {
        let token = AdminToken::read(TOKEN.as_bytes()).unwrap();
        assert!(!format!("{token:?}").contains("0123"));
    }

    #[test]
    fn a_variable_that_holds_no_token_is_named_and_not_shown() {
        let error = AdminToken::from_env("PITLANE_NO_SUCH_VARIABLE").unwrap_err();
        assert_eq!(error.kind(), AdminTokenErrorKind::Unreadable);
        assert!(
            error
                .to_string()
                .contains("the variable PITLANE_NO_SUCH_VARIABLE")
        );
        assert!(std::error::Error::source(&error).is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_for_its_owner_alone_and_never_replaces_another() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("pitlane-admin-new-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let made = AdminToken::create_file(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = AdminToken::from_file(&path).unwrap();
        assert!(made.is(read.0.expose_secret().as_bytes()));
        assert!(AdminToken::create_file(&path).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}

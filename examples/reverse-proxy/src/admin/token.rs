//! The secret that opens the API.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// A shorter secret might be guessed.
const MIN: usize = 32;
/// A longer file is not a token.
const MAX: usize = 4096;

/// A secret of at least 32 bytes. It is never shown.
#[derive(Clone, Debug)]
pub struct AdminToken(SecretString);

impl AdminToken {
    /// Reads the first line of a file, without the white space around it. Nothing may follow.
    ///
    /// # Errors
    ///
    /// [`AdminTokenError`] when the file can't be read, or holds no token.
    pub fn from_file(path: &Path) -> Result<Self, AdminTokenError> {
        let mut text = Vec::new();
        // One byte too many is enough to see that it is too long, whatever the file is.
        File::open(path)
            .and_then(|file| file.take(MAX as u64 + 1).read_to_end(&mut text))
            .map_err(|source| AdminTokenError::Unreadable {
                path: path.to_owned(),
                source,
            })?;
        let path = || path.to_owned();
        if text.len() > MAX {
            return Err(AdminTokenError::TooLong { path: path() });
        }
        let token = text.trim_ascii();
        if token.len() < MIN {
            let length = token.len();
            return Err(AdminTokenError::TooShort {
                path: path(),
                length,
            });
        }
        match str::from_utf8(token) {
            Ok(token) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self(token.to_owned().into()))
            }
            _ => Err(AdminTokenError::Unsendable { path: path() }),
        }
    }

    /// Whether the one Authorization header is `Bearer` and this token.
    pub(super) fn is_borne_by(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        bearer(value.as_bytes()).is_some_and(|token| self.is(token))
    }

    /// In a time that does not depend on how much of it is right; that its length is wrong shows.
    fn is(&self, token: &[u8]) -> bool {
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

/// Why a file gives no token. No variant shows what is in the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminTokenError {
    /// The file is missing, or not for us.
    #[error("cannot read the admin token from {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Too easy to guess.
    #[error(
        "the admin token in {} has {length} bytes, and must have at least {MIN}",
        path.display()
    )]
    TooShort {
        /// Which file.
        path: PathBuf,
        /// How many bytes are there, without the white space around them.
        length: usize,
    },
    /// More than 4096 bytes.
    #[error("the admin token in {} is longer than {MAX} bytes", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// A header could not carry it.
    #[error("the admin token in {} must be one line of ASCII letters, digits and signs", path.display())]
    Unsendable {
        /// Which file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[track_caller]
    fn check(values: &[&str], expected: bool) {
        let token = AdminToken(TOKEN.to_owned().into());
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
        let token = AdminToken(TOKEN.to_owned().into());
        assert!(!format!("{token:?}").contains("0123"));
    }
}

//! A request's head and its answer's, as text.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

use super::{Content, Exchange, MOST_BYTES, MOST_FIELDS, Recording, refused};
use crate::error::Error;

/// Reads a request's head, an empty line, and its answer's head. What follows another empty line
/// is the answer's body.
///
/// # Errors
///
/// [`ErrorKind::Explain`](crate::ErrorKind::Explain); the message names the line.
pub fn read_heads(recording: &[u8]) -> Result<Recording, Error> {
    if recording.len() > MOST_BYTES {
        return Err(refused(format!(
            "a recording of more than {MOST_BYTES} bytes is not read"
        )));
    }
    let mut lines = Lines {
        rest: recording,
        number: 0,
    };
    let (method, uri, version) = lines.request_line()?;
    let request = lines.fields()?;
    let status = lines.status_line()?;
    let response = lines.fields()?;
    let content = match lines.rest {
        [] => Content::Unknown,
        body => Content::Text(Bytes::copy_from_slice(body)),
    };
    let exchange = Exchange {
        method,
        uri,
        version,
        request,
        asks_with_body: false,
        status,
        response,
        content,
        received: None,
    };
    Ok(Recording {
        exchanges: vec![exchange],
        skipped: Vec::new(),
    })
}

struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let (line, rest) = match end.and_then(|end| self.rest.split_at_checked(end)) {
            Some((line, rest)) => (line, rest.get(1..).unwrap_or_default()),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        self.number += 1;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// The first line of a head, behind as many empty ones as there are.
    fn first(&mut self, what: &str) -> Result<&'a str, Error> {
        loop {
            let Some(line) = self.next() else {
                let number = self.number + 1;
                return Err(refused(format!(
                    "line {number}: {what} is missing; a recording is a request's head, an empty \
                     line, and its response's head"
                )));
            };
            if !line.is_empty() {
                return std::str::from_utf8(line)
                    .map_err(|_| self.wrong(&format!("{what} is no text")));
            }
        }
    }

    fn request_line(&mut self) -> Result<(Method, Uri, Version), Error> {
        let line = self.first("the request line")?;
        let mut words = line.split_ascii_whitespace();
        let (method, target, version) = (words.next(), words.next(), words.next());
        let (Some(method), Some(target), None) = (method, target, words.next()) else {
            return Err(self.wrong("a request line is a method, a target and a version"));
        };
        let method = method
            .parse()
            .map_err(|_| self.wrong("that is no method"))?;
        let uri = target
            .parse()
            .map_err(|_| self.wrong("that is no target"))?;
        let version = match version {
            None => Some(Version::HTTP_11),
            Some(version) => version_of(version),
        };
        let version = version.ok_or_else(|| self.wrong("that is no version of HTTP"))?;
        Ok((method, uri, version))
    }

    fn status_line(&mut self) -> Result<StatusCode, Error> {
        let line = self.first("the status line")?;
        let mut words = line.split_ascii_whitespace();
        let version = words.next().and_then(version_of);
        let status = words.next().and_then(|status| status.parse().ok());
        version.and(status).ok_or_else(|| {
            self.wrong("a status line is a version and a status, as HTTP/1.1 200 OK")
        })
    }

    /// The fields up to an empty line or the end.
    fn fields(&mut self) -> Result<HeaderMap, Error> {
        let mut fields = HeaderMap::new();
        while let Some(line) = self.next().filter(|line| !line.is_empty()) {
            let colon = line.iter().position(|byte| *byte == b':');
            let Some((name, value)) = colon.and_then(|colon| line.split_at_checked(colon)) else {
                return Err(self.wrong("a field has a colon behind its name"));
            };
            let name = HeaderName::from_bytes(name)
                .map_err(|_| self.wrong("that is no name of a field"))?;
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let value = HeaderValue::from_bytes(value)
                .map_err(|_| self.wrong("that is no value of a field"))?;
            if fields.len() == MOST_FIELDS {
                let message = format!("a head of more than {MOST_FIELDS} fields is not read");
                return Err(self.wrong(&message));
            }
            fields.append(name, value);
        }
        Ok(fields)
    }

    /// What is wrong with the line that was read last. Not the line: it may hold a secret.
    fn wrong(&self, what: &str) -> Error {
        refused(format!("line {}: {what}", self.number))
    }
}

pub(super) fn version_of(text: &str) -> Option<Version> {
    match text.to_ascii_lowercase().as_str() {
        "http/0.9" => Some(Version::HTTP_09),
        "http/1.0" => Some(Version::HTTP_10),
        "http/1.1" => Some(Version::HTTP_11),
        "http/2" | "http/2.0" | "h2" => Some(Version::HTTP_2),
        "http/3" | "http/3.0" | "h3" => Some(Version::HTTP_3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(text: &[u8], expected: &str) {
        let error = read_heads(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("SECRET"), "{error}");
    }

    #[test]
    fn what_is_no_pair_of_heads_is_refused_with_its_line() {
        check_refused(b"", "line 1: the request line is missing");
        check_refused(b"\n\n", "line 3: the request line is missing");
        check_refused(b"GET\n", "line 1: a request line is");
        check_refused(b"GET / HTTP/1.1 x\n", "line 1: a request line is");
        check_refused(b"G(T /\n", "line 1: that is no method");
        check_refused(b"GET /\x01\n", "line 1: that is no target");
        check_refused(b"GET / HTTP/9\n", "line 1: that is no version");
        check_refused(b"GET /\nhost SECRET\n", "line 2: a field has a colon");
        check_refused(b"GET /\nho st: SECRET\n", "line 2: that is no name");
        check_refused(b"GET /\n host: SECRET\n", "line 2: that is no name");
        check_refused(b"GET /\na: SECRET\x01\n", "line 2: that is no value");
        check_refused(b"GET /\na: b\n", "line 3: the status line is missing");
        check_refused(b"GET /\na: b\n\nHTTP/1.1 OK\n", "line 4: a status line is");
        check_refused(b"GET /\n\n200 OK\n", "line 3: a status line is");
        check_refused(b"\xff /\n", "line 1: the request line is no text");
        let many = format!("GET /\n{}", "a: b\n".repeat(MOST_FIELDS + 1));
        check_refused(many.as_bytes(), "line 1002: a head of more than 1000");
    }

    #[test]
    fn lines_end_as_they_like_and_a_body_may_follow() {
        let text = b"\r\nGET http://a.org/x?y HTTP/2\r\nA: b:c \r\n\r\n\nHTTP/2 404\nc:\n\nbody\n";
        let exchange = read_heads(text).unwrap().exchanges.remove(0);
        assert_eq!(exchange.uri, "http://a.org/x?y");
        assert_eq!(exchange.version, Version::HTTP_2);
        assert_eq!(exchange.request["a"], "b:c");
        assert_eq!(exchange.status, 404);
        assert_eq!(exchange.response["c"], "");
        assert!(matches!(exchange.content, Content::Text(text) if text == "body\n"));
    }
}

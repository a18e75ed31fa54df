//! The keys of answers.

use super::{
    BODY, KeyKind, Name, SAID, SWAPS, TRIAL, Url, after_scheme, clean, digest, hex, option, origin,
    part, shown, take,
};

/// The key of an answer, as `response/key.rs` writes it. Of one that is cut, or can't be read to
/// its end, nothing is shown but what is known to be no secret.
pub(super) fn response(bits: u8, mut rest: &[u8], key: &[u8]) -> Name {
    let mut read = Reading::default();
    let whole = read.all(bits, &mut rest).is_some();
    if !whole {
        read.beside.push(format!("… {}", digest(key)));
    }
    if bits & TRIAL != 0 {
        read.beside.push("dry run".to_owned());
    }
    let mut base = format!("{} ", read.method.as_deref().unwrap_or("GET"));
    if !read.host.is_empty() {
        base.push_str("//");
        base.push_str(&clean(read.host));
    }
    base.push_str(&clean(&read.target));
    let text = if read.beside.is_empty() {
        base.clone()
    } else {
        format!("{base} [{}]", read.beside.join(", "))
    };
    Name {
        kind: KeyKind::Response,
        text,
        base,
        url: whole.then(|| Url {
            host: read.host.to_vec(),
            target: read.target,
        }),
    }
}

/// What was read of the key of an answer.
#[derive(Default)]
struct Reading<'a> {
    method: Option<String>,
    host: &'a [u8],
    /// Path and query.
    target: Vec<u8>,
    /// What else tells the answer from others.
    beside: Vec<String>,
}

impl<'a> Reading<'a> {
    fn all(&mut self, bits: u8, rest: &mut &'a [u8]) -> Option<()> {
        let [_old_version] = take(rest)?;
        self.target.extend_from_slice(part(rest)?);
        if let Some(query) = option(rest)? {
            self.target.push(b'?');
            self.target.extend_from_slice(query);
        }
        let [who] = take(rest)?;
        for (bit, what) in [(1, "user"), (2, "tenant")] {
            if who & bit != 0 {
                self.beside.push(format!("{what} {}", clean(part(rest)?)));
            }
        }
        self.host = after_scheme(origin(rest)?);
        if let Some(host) = option(rest)? {
            self.beside.push(format!("host: {}", clean(host)));
        }
        let mut parts = Vec::new();
        while !rest.is_empty() {
            parts.push(part(rest)?);
        }
        if bits & (BODY | SAID | SWAPS) == 0 {
            self.headers(&parts);
        } else {
            self.parts(bits, &parts);
        }
        Some(())
    }

    fn headers(&mut self, mut parts: &[&[u8]]) {
        while let [name, rest @ ..] = parts {
            // What selects a variant stands behind this word.
            if *name == b"vary" && rest.len() % 2 == 0 {
                parts = rest;
                continue;
            }
            let [value, rest @ ..] = rest else {
                self.beside.push(clean(name));
                return;
            };
            let value = shown(name, value);
            self.beside.push(format!("{}: {value}", clean(name)));
            parts = rest;
        }
    }

    /// Where there is more than headers, nothing says where these end: each part is shown by
    /// itself, and what stands behind the name of a secret as if it were one.
    fn parts(&mut self, bits: u8, parts: &[&[u8]]) {
        let mut before: &[u8] = b"";
        for (number, part) in parts.iter().enumerate() {
            let next = parts.get(number + 1).filter(|next| next.len() == 32);
            let is_method = !part.is_empty() && part.iter().all(u8::is_ascii_uppercase);
            if bits & BODY != 0 && part.len() == 32 && self.method.is_some() {
                self.beside.push(format!("body {}", hex(part)));
            } else if bits & BODY != 0 && self.method.is_none() && is_method && next.is_some() {
                self.method = Some(clean(part));
            } else if !part.is_empty() {
                self.beside.push(shown(before, part));
            }
            before = part;
        }
    }
}

//! Encoded forms of an entry: made once, kept with it, and never on the way of an answer.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    thread,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pitlane_policy::{ResponseDirectives, encoding};

use super::{content::is_text, layer::Settings, lookup::response_of};
use crate::cache::Entry;

/// Less isn't worth it: it fits one packet anyway.
const LEAST: usize = 1 << 10;
/// What ends a strong entity tag of an encoded form, before the closing quote.
const MARK: &str = "--pitlane-";

/// Digests of the content as it was sent: a coding would make them wrong.
pub(crate) static DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// A content coding that entries are kept in beside their own form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// `br` (RFC 7932), at quality 9.
    Brotli,
    /// `gzip` (RFC 1952), at level 9.
    Gzip,
    /// `zstd` (RFC 8878), at level 15, with a window that clients have to support (RFC 9659).
    Zstd,
}

impl Encoding {
    /// The name of the coding.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    #[cfg(feature = "encodings")]
    fn encode(self, body: &[u8]) -> io::Result<Vec<u8>> {
        use std::io::Write;

        let mut out = Vec::with_capacity(body.len() / 3);
        match self {
            Self::Brotli => {
                let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 9, 22);
                encoder.write_all(body)?;
                encoder.flush()?;
            }
            Self::Gzip => {
                let level = flate2::Compression::best();
                let mut encoder = flate2::write::GzEncoder::new(&mut out, level);
                encoder.write_all(body)?;
                encoder.finish()?;
            }
            Self::Zstd => {
                let mut encoder = zstd::Encoder::new(&mut out, 15)?;
                // RFC 9659: no more than 8 MiB of memory on the other side.
                encoder.window_log(23)?;
                encoder.set_pledged_src_size(Some(body.len() as u64))?;
                encoder.write_all(body)?;
                encoder.finish()?;
            }
        }
        Ok(out)
    }

    /// Without the feature nothing is ever to be encoded.
    #[cfg(not(feature = "encodings"))]
    fn encode(self, _: &[u8]) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What there is of an entry beside its own form.
#[derive(Debug, Default)]
pub(crate) struct Forms {
    /// One of the numbers below.
    state: AtomicU8,
    made: OnceLock<Box<Made>>,
}

/// Nobody has looked.
const UNKNOWN: u8 = 0;
/// They are being made, or are there.
const BEGUN: u8 = 1;
/// There will be none.
const NEVER: u8 = 2;

#[derive(Debug)]
struct Made {
    /// The head of the entry's own form, which is one of several now.
    plain: HeaderMap,
    coded: Box<[Form]>,
}

/// One form of an entry.
#[derive(Debug)]
pub(crate) struct Form {
    encoding: Encoding,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// How an entry is shown to a client.
pub(crate) enum Shown<'a> {
    /// As it is: it has no other form, and will have none.
    Plain,
    /// As it is, though there may be other forms. Their head may not be there yet.
    Own(Option<&'a HeaderMap>),
    Coded(&'a Form),
}

impl Forms {
    /// The form for a client that sends `accept`. A part is always one of the entry's own form.
    pub(crate) fn show(&self, own: &HeaderMap, accept: &HeaderMap) -> Shown<'_> {
        let Some(made) = self.made.get() else {
            return match self.state.load(Ordering::Relaxed) {
                BEGUN => Shown::Own(None),
                UNKNOWN if is_eligible(own) => Shown::Own(None),
                _ => Shown::Plain,
            };
        };
        if accept.contains_key(header::RANGE) || made.coded.is_empty() {
            return Shown::Own(Some(&made.plain));
        }
        let best = with_names(&made.coded, |names| encoding::best(accept, names));
        match best.and_then(|best| made.coded.get(best)) {
            Some(form) => Shown::Coded(form),
            None => Shown::Own(Some(&made.plain)),
        }
    }

    /// The forms that are ready, and how long the body is in each.
    #[cfg(feature = "manage")]
    pub(crate) fn ready(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let coded = self.made.get().into_iter().flat_map(|made| &made.coded);
        coded.map(|form| (form.encoding.as_str(), form.body.len() as u64))
    }

    /// What the forms take in memory, in bytes, beside the entry's own.
    pub(crate) fn weight(&self) -> usize {
        self.made.get().map_or(0, |made| {
            let coded = made
                .coded
                .iter()
                .map(|form| (&form.headers, form.body.len()));
            let heads = coded.chain([(&made.plain, 0)]);
            // A copied value shares its text.
            let of = |(head, body): (&HeaderMap, usize)| head.capacity() * 112 + body + 96;
            heads.map(of).sum()
        })
    }
}

/// A copy of an entry's head begins anew.
impl Clone for Forms {
    fn clone(&self) -> Self {
        Self::default()
    }
}

fn with_names<T>(coded: &[Form], work: impl FnOnce(&[&str]) -> T) -> T {
    match coded {
        [a] => work(&[a.encoding.as_str()]),
        [a, b] => work(&[a.encoding.as_str(), b.encoding.as_str()]),
        _ => {
            let names: Vec<&str> = coded.iter().map(|form| form.encoding.as_str()).collect();
            work(&names)
        }
    }
}

/// Whether answers with this head may come in several codings. How long they are doesn't count,
/// so that the head of a stream can tell.
pub(crate) fn is_eligible(headers: &HeaderMap) -> bool {
    is_text(headers)
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_RANGE)
        && !DIGESTS.iter().any(|digest| headers.contains_key(digest))
        && !ResponseDirectives::from_headers(headers).no_transform
}

/// Says on an answer that its form depends on the client.
pub(crate) fn add_vary(headers: &mut HeaderMap) {
    let vary = pitlane_policy::Vary::parse(headers);
    if !vary.contains(&header::ACCEPT_ENCODING) {
        let value = HeaderValue::from_static("Accept-Encoding");
        headers.append(header::VARY, value);
    }
}

/// Has an entry's forms made in the background, for a client that would take one, unless that was
/// begun already. Where too many are being made, a later hit begins.
pub(crate) fn begin(settings: &Settings, entry: &Arc<Entry>, accept: &HeaderMap) {
    let Some(stored) = response_of(entry) else {
        return;
    };
    let state = &stored.forms().state;
    // Where memory keeps no entries, forms have nowhere to be.
    let kept = settings.cache.tier().holds_entries();
    if state.load(Ordering::Relaxed) != UNKNOWN || !kept {
        return;
    }
    if !is_eligible(stored.headers()) {
        return state.store(NEVER, Ordering::Relaxed);
    }
    let wanted = encoding::best(accept, &["br", "gzip", "zstd"]).is_some();
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    let Some(turn) = wanted.then(Turn::take).flatten() else {
        return;
    };
    if state.swap(BEGUN, Ordering::Relaxed) != UNKNOWN {
        return;
    }
    let (cache, encodings) = (settings.cache.clone(), settings.encodings.clone());
    let entry = Arc::clone(entry);
    runtime.spawn_blocking(move || {
        let Some(stored) = response_of(&entry) else {
            return;
        };
        let made = make(stored.headers(), stored.body(), &encodings);
        let digest = cache.digest(&entry.key);
        // Under the tier's lock, so that what it counts is what there is.
        cache.tier().grow(digest, &entry, || {
            let _ = stored.forms().made.set(Box::new(made));
        });
        drop(turn);
    });
}

fn make(own: &HeaderMap, body: &Bytes, encodings: &[Encoding]) -> Made {
    let mut plain = own.clone();
    add_vary(&mut plain);
    let worth = body.len() >= LEAST;
    let encodings = encodings.iter().copied().filter(|_| worth);
    let coded = encodings.filter_map(|encoding| {
        let coded = encoding.encode(body);
        let coded = coded.inspect_err(|error| {
            tracing::warn!(%error, coding = encoding.as_str(), "a body could not be encoded");
        });
        let coded = coded.ok().filter(|coded| coded.len() < body.len())?;
        Some(Form {
            encoding,
            headers: head_of(&plain, encoding, coded.len()),
            // What was too much room for it goes.
            body: coded.into_boxed_slice().into(),
        })
    });
    Made {
        coded: coded.collect(),
        plain,
    }
}

fn head_of(plain: &HeaderMap, encoding: Encoding, length: usize) -> HeaderMap {
    let mut headers = plain.clone();
    // Parts are cut from the entry's own form.
    headers.remove(header::ACCEPT_RANGES);
    let coding = HeaderValue::from_static(encoding.as_str());
    headers.insert(header::CONTENT_ENCODING, coding);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(tag) = headers
        .get(header::ETAG)
        .and_then(|tag| marked(tag, encoding))
    {
        headers.insert(header::ETAG, tag);
    }
    headers
}

/// A strong tag names one sequence of bytes (RFC 9110 §8.8.1), so that each form has its own. A
/// weak one may stand for all of them.
fn marked(tag: &HeaderValue, encoding: Encoding) -> Option<HeaderValue> {
    let opaque = tag.as_bytes().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let coding = encoding.as_str().as_bytes();
    let marked = [b"\"", opaque, MARK.as_bytes(), coding, b"\""].concat();
    HeaderValue::from_bytes(&marked).ok()
}

/// Gives a request's conditions the tags that the inner service knows: it never saw those of the
/// encoded forms.
pub(crate) fn unmark(headers: &mut HeaderMap) {
    // Not If-Range: a part of the plain form is no part of an encoded one.
    for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
        let lines: Vec<_> = headers.get_all(&name).iter().map(without_marks).collect();
        if lines.iter().all(Option::is_none) {
            continue;
        }
        let there: Vec<_> = headers.get_all(&name).iter().cloned().collect();
        headers.remove(&name);
        for (line, there) in lines.into_iter().zip(there) {
            headers.append(&name, line.unwrap_or(there));
        }
    }
}

/// `None` for a line without marks.
fn without_marks(line: &HeaderValue) -> Option<HeaderValue> {
    let text = line.to_str().ok().filter(|text| text.contains(MARK))?;
    let encodings = [Encoding::Brotli, Encoding::Gzip, Encoding::Zstd];
    let plain = encodings.iter().fold(text.to_owned(), |text, encoding| {
        text.replace(&format!("{MARK}{}\"", encoding.as_str()), "\"")
    });
    HeaderValue::from_str(&plain).ok()
}

/// One of the few encodings that run at once: they are work for processors.
struct Turn;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

impl Turn {
    fn take() -> Option<Self> {
        let most = thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        let turn = Self;
        // It gives back on drop whether or not it was within the bound.
        (RUNNING.fetch_add(1, Ordering::AcqRel) < most).then_some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    }
}

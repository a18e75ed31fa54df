//! Blocks of bytes, compressed and read back with contexts that each thread keeps.

use std::cell::Cell;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Up to this length compressing costs more time than it saves on the wire, in bytes.
const NOT_WORTH_IT: usize = 1024;

/// Inputs from this length on need the larger table of lz4, in bytes.
const LARGE: usize = u16::MAX as usize;

/// A thread keeps its output buffer for the next block unless it has grown past this, in bytes.
const KEPT: usize = 1 << 20;

/// How bodies are compressed before they leave the process.
///
/// Only bodies over 1 KiB are, and only those that become smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// By lz4, which is quick.
    #[default]
    Lz4,
    /// By zstd, which is thorough. A build without the feature `zstd` can't read it: to such a
    /// process the entry is a miss.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// How a stored block came to be, as far as this build can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Stored = 0,
    Lz4 = 1,
    #[cfg(feature = "zstd")]
    Zstd = 2,
}

impl Method {
    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Stored),
            1 => Some(Self::Lz4),
            #[cfg(feature = "zstd")]
            2 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Hands `then` what is to be stored for `body`: a smaller block, or the body as it is.
pub(crate) fn compressed<R>(
    body: &[u8],
    compression: Compression,
    then: impl FnOnce(Method, &[u8]) -> R,
) -> R {
    if body.len() <= NOT_WORTH_IT || compression == Compression::None {
        return then(Method::Stored, body);
    }
    let mut tools = Tools::take();
    let result = match tools.compress(body, compression) {
        Some((method, block)) if block.len() < body.len() => then(method, block),
        _ => then(Method::Stored, body),
    };
    tools.give_back();
    result
}

/// The `length` bytes that `block` was made of; nothing when it is those bytes itself. Whoever
/// calls has bounded `length`: this much is allocated, and never more.
pub(crate) fn expanded(
    method: Method,
    block: &[u8],
    length: usize,
) -> Result<Option<Vec<u8>>, Cause> {
    let body = match method {
        Method::Stored => None,
        Method::Lz4 => Some(lz4_expanded(block, length)?),
        #[cfg(feature = "zstd")]
        Method::Zstd => Some(zstd_expanded(block, length)?),
    };
    if body.as_deref().unwrap_or(block).len() == length {
        Ok(body)
    } else {
        Err("the body has another length than was said".into())
    }
}

fn lz4_expanded(block: &[u8], length: usize) -> Result<Vec<u8>, Cause> {
    let mut body = vec![0; length];
    let written = lz4_flex::block::decompress_into(block, &mut body)?;
    body.truncate(written);
    Ok(body)
}

#[cfg(feature = "zstd")]
fn zstd_expanded(block: &[u8], length: usize) -> Result<Vec<u8>, Cause> {
    let mut tools = Tools::take();
    let decompressor = match &mut tools.expander {
        Some(kept) => kept,
        vacant => vacant.insert(zstd::bulk::Decompressor::new()?),
    };
    let mut body = Vec::with_capacity(length);
    let outcome = decompressor.decompress_to_buffer(block, &mut body);
    tools.give_back();
    outcome?;
    Ok(body)
}

thread_local! {
    static TOOLS: Cell<Option<Box<Tools>>> = const { Cell::new(None) };
}

/// What a thread keeps between blocks: making it anew costs more than a small block does.
#[derive(Default)]
struct Tools {
    output: Vec<u8>,
    small: Option<CompressTable>,
    large: Option<CompressTable>,
    #[cfg(feature = "zstd")]
    compressor: Option<zstd::bulk::Compressor<'static>>,
    #[cfg(feature = "zstd")]
    expander: Option<zstd::bulk::Decompressor<'static>>,
}

impl Tools {
    /// This thread's tools, or new ones while it ends.
    fn take() -> Box<Self> {
        let kept = TOOLS.try_with(Cell::take).ok().flatten();
        kept.unwrap_or_default()
    }

    fn give_back(mut self: Box<Self>) {
        if self.output.len() > KEPT {
            self.output = Vec::new();
        }
        // A thread that ends has no place to keep them, and no need.
        let _ending = TOOLS.try_with(|place| place.set(Some(self)));
    }

    /// The block that `body` becomes; none when the compressor fails, because what can't be
    /// compressed can be stored.
    fn compress(&mut self, body: &[u8], compression: Compression) -> Option<(Method, &[u8])> {
        match compression {
            Compression::None => None,
            Compression::Lz4 => self.lz4(body).map(|block| (Method::Lz4, block)),
            #[cfg(feature = "zstd")]
            Compression::Zstd => self.zstd(body).map(|block| (Method::Zstd, block)),
        }
    }

    fn lz4(&mut self, body: &[u8]) -> Option<&[u8]> {
        let table = if body.len() < LARGE {
            self.small.get_or_insert_with(CompressTable::small)
        } else {
            self.large.get_or_insert_with(CompressTable::large)
        };
        let output = room(&mut self.output, get_maximum_output_size(body.len()));
        let written = compress_into_with_table(body, output, table).ok()?;
        self.output.get(..written)
    }

    #[cfg(feature = "zstd")]
    fn zstd(&mut self, body: &[u8]) -> Option<&[u8]> {
        let compressor = match &mut self.compressor {
            Some(kept) => kept,
            vacant => {
                let level = zstd::DEFAULT_COMPRESSION_LEVEL;
                vacant.insert(zstd::bulk::Compressor::new(level).ok()?)
            }
        };
        let output = room(
            &mut self.output,
            zstd::zstd_safe::compress_bound(body.len()),
        );
        let written = compressor.compress_to_buffer(body, output).ok()?;
        self.output.get(..written)
    }
}

/// At least `length` bytes to write into. What the last block left behind is not wiped first.
fn room(output: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if output.len() < length {
        output.resize(length, 0);
    }
    output
}

//! The frames that messages come in: a flag, a length, and as many bytes.

/// What goes before a message: whether it is compressed, and its length.
pub(crate) const PREFIX: usize = 5;

/// Follows the bytes of what should be exactly one message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Framing {
    prefix: [u8; PREFIX],
    seen: u64,
}

/// What else it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// The message is longer than the limit.
    TooLong,
    /// There is more behind it.
    More,
    /// Its flag means nothing.
    Flag,
}

impl Framing {
    /// Takes the next bytes in. A message that is too long says so in its prefix.
    pub(crate) fn add(&mut self, data: &[u8], limit: u64) -> Result<(), Misfit> {
        let have = usize::try_from(self.seen).unwrap_or(PREFIX);
        for (slot, byte) in self.prefix.iter_mut().skip(have).zip(data) {
            *slot = *byte;
        }
        self.seen = self.seen.saturating_add(data.len() as u64);
        let [flag, length @ ..] = self.prefix;
        let length = u64::from(u32::from_be_bytes(length));
        let end = length + PREFIX as u64;
        if self.seen < PREFIX as u64 {
            Ok(())
        } else if flag > 1 {
            Err(Misfit::Flag)
        } else if length > limit {
            Err(Misfit::TooLong)
        } else if self.seen > end {
            Err(Misfit::More)
        } else {
            Ok(())
        }
    }

    /// Whether nothing came at all.
    pub(crate) const fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// Whether all of the message is there, and nothing behind it.
    pub(crate) fn is_whole(&self) -> bool {
        let [_, length @ ..] = self.prefix;
        self.seen == u64::from(u32::from_be_bytes(length)) + PREFIX as u64
    }

    /// Whether the message is compressed.
    pub(crate) const fn is_compressed(&self) -> bool {
        let [flag, ..] = self.prefix;
        flag != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One message of five bytes at most, in pieces.
    #[track_caller]
    fn check(pieces: &[&[u8]], expected: Result<bool, Misfit>) {
        let mut framing = Framing::default();
        let added = pieces
            .iter()
            .try_for_each(|piece| framing.add(piece, 5))
            .map(|()| framing.is_whole());
        assert_eq!(added, expected, "{pieces:?}");
    }

    #[test]
    fn exactly_one_message_is_whole() {
        check(&[b"\0\0\0\0\x03abc"], Ok(true));
        check(&[b"\0\0\0\0\0"], Ok(true));
        check(&[b"\x01\0\0\0\x05abcde"], Ok(true));
        check(&[b"\0", b"\0\0", b"", b"\0\x03", b"a", b"bc"], Ok(true));
        check(&[], Ok(false));
        check(&[b"\0\0\0\0"], Ok(false));
        check(&[b"\0\0\0\0\x03ab"], Ok(false));
    }

    #[test]
    fn what_is_no_single_message_says_why() {
        check(&[b"\0\0\0\0\x03abcd"], Err(Misfit::More));
        check(&[b"\0\0\0\0\0", b"\0"], Err(Misfit::More));
        check(&[b"\0\0\0\0\x06"], Err(Misfit::TooLong));
        check(&[b"\0\xff\xff\xff\xff"], Err(Misfit::TooLong));
        check(&[b"\x02\0\0\0\0"], Err(Misfit::Flag));
    }
}

/// Counts the whole values of RESP2 or RESP3 in a stream of chunks. Nesting needs no stack: a
/// list only raises the number of elements that are still to come.
#[derive(Debug)]
pub(super) struct Frames {
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// Bytes of a payload, and of its end, that are still to come.
    skip: u64,
    /// Elements of the value that are still to come.
    missing: u64,
}

impl Frames {
    pub(super) const fn new() -> Self {
        Self {
            line: Vec::new(),
            skip: 0,
            missing: 1,
        }
    }

    /// How many values end in this chunk.
    pub(super) fn feed(&mut self, mut chunk: &[u8]) -> u64 {
        let mut whole = 0;
        while let Some((first, rest)) = chunk.split_first() {
            if self.skip > 0 {
                let skipped = self.skip.min(chunk.len() as u64);
                self.skip -= skipped;
                chunk = chunk.get(skipped as usize..).unwrap_or_default();
            } else {
                chunk = rest;
                self.line.push(*first);
                if *first != b'\n' {
                    continue;
                }
                self.end_of_line();
            }
            if self.skip == 0 && self.missing == 0 {
                whole += 1;
                self.missing = 1;
            }
        }
        whole
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let kind = line.first().copied().unwrap_or_default();
        let number = line.get(1..).and_then(length).unwrap_or_default();
        match kind {
            b'$' | b'=' | b'!' if !line.starts_with(b"$-") => self.skip = number.saturating_add(2),
            b'*' | b'~' | b'>' => self.expect(number),
            b'%' => self.expect(number.saturating_mul(2)),
            // An attribute stands before the value that it belongs to.
            b'|' => self.expect(number.saturating_mul(2).saturating_add(1)),
            _ => {}
        }
        self.missing -= 1;
    }

    const fn expect(&mut self, elements: u64) {
        self.missing = self.missing.saturating_add(elements);
    }
}

/// The number in the rest of a line; none when there is no value.
fn length(rest: &[u8]) -> Option<u64> {
    std::str::from_utf8(rest).ok()?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[track_caller]
    fn check(stream: &str, expected: u64) {
        assert_eq!(
            Frames::new().feed(stream.as_bytes()),
            expected,
            "{stream:?}"
        );
        let mut frames = Frames::new();
        let by_byte = stream.as_bytes().chunks(1).map(|byte| frames.feed(byte));
        assert_eq!(by_byte.sum::<u64>(), expected, "{stream:?} by single bytes");
    }

    #[test]
    fn each_whole_value_counts_once() {
        check("", 0);
        check("+OK\r\n", 1);
        check("+OK\r", 0);
        check("+OK\r\n-ERR no\r\n:1\r\n", 3);
        check("$5\r\na\r\nbc\r\n+OK\r\n", 2);
        check("$5\r\na\r\nbc\r", 0);
        check("$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n", 4);
        check("*2\r\n*2\r\n:1\r\n$1\r\nx\r\n*0\r\n", 1);
        check("*2\r\n*2\r\n:1\r\n$1\r\nx\r\n", 0);
        check("%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n_\r\n", 2);
        check("|1\r\n+ttl\r\n:9\r\n+OK\r\n", 1);
        check(">2\r\n+message\r\n=7\r\ntxt:a\r\n\r\n#t\r\n", 2);
    }
}

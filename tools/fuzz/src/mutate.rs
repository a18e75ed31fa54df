//! Blind mutations: what remains of fuzzing where there is no time for coverage.

/// Longer inputs say nothing new.
const LONGEST: usize = 1_024;

/// Bytes that mean something to one of the parsers.
const TELLING: &[u8] = b"\",;=*\\ \t\n:-/0179Ww()?@%\x00\x7f\xff";

/// Makes new inputs of old ones, the same ones from the same seed.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// One that also writes these words.
    #[must_use]
    pub fn new(seed: u64, words: Vec<Vec<u8>>) -> Self {
        Self { state: seed, words }
    }

    /// One of the old inputs with one to eight changes, or two of them spliced.
    pub fn next(&mut self, old: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(old).cloned().unwrap_or_default();
        for _ in 0..=self.below(8) {
            self.change(&mut input, old);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, old: &[Vec<u8>]) {
        let (start, end) = self.range(input.len());
        match self.below(8) {
            0 => drop(input.drain(start..end)),
            1 => {
                let copy = input[start..end].to_vec();
                let at = self.below(input.len() + 1);
                input.splice(at..at, copy);
            }
            2 => {
                if let Some(byte) = input.get_mut(start) {
                    *byte ^= 1 << self.below(8);
                }
            }
            3 => {
                let byte = TELLING[self.below(TELLING.len())];
                input.insert(start, byte);
            }
            4 => {
                let byte = u8::try_from(self.below(256)).unwrap_or_default();
                input.insert(start, byte);
            }
            5 => {
                let other = self.pick(old).cloned().unwrap_or_default();
                let at = self.below(other.len() + 1);
                input.truncate(start);
                input.extend_from_slice(&other[at..]);
            }
            choice => {
                let word = self.word();
                // Replacing keeps the rest of the line in order; inserting keeps all of it.
                let end = if choice == 6 { start } else { end };
                input.splice(start..end, word);
            }
        }
    }

    fn word(&mut self) -> Vec<u8> {
        let at = self.below(self.words.len().max(1));
        self.words.get(at).cloned().unwrap_or_default()
    }

    fn range(&mut self, length: usize) -> (usize, usize) {
        let start = self.below(length + 1);
        // Short ones are more telling than long ones.
        let most = (length - start).min(1 << self.below(6));
        (start, start + self.below(most + 1))
    }

    fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let at = self.below(choices.len().max(1));
        choices.get(at)
    }

    /// Less than `end`, which is more than zero.
    fn below(&mut self, end: usize) -> usize {
        // SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % end as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn some(seed: u64) -> Vec<Vec<u8>> {
        let old = vec![b"max-age=60, public".to_vec(), Vec::new()];
        let mut mutator = Mutator::new(seed, vec![b"no-store".to_vec()]);
        (0..2_000).map(|_| mutator.next(&old)).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        assert_eq!(some(7), some(7));
        assert_ne!(some(7), some(8));
    }

    #[test]
    fn inputs_differ_and_words_come_up() {
        let inputs = some(1);
        let distinct: HashSet<_> = inputs.iter().collect();
        assert!(distinct.len() > 1_500, "{}", distinct.len());
        let has_word = |input: &&Vec<u8>| input.windows(8).any(|part| part == b"no-store");
        assert!(inputs.iter().filter(has_word).count() > 200);
        assert!(inputs.iter().all(|input| input.len() <= LONGEST));
    }
}

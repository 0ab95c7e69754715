//! Several byte strings looked for at once.
//!
//! Owns: the search (Wu and Manber, "A fast algorithm for multi-pattern searching", 1994: blocks of two bytes, jumps of
//! up to the shortest string's length less one). Must not own: what the strings mean.

use std::collections::HashMap;

/// The bytes that one step looks at.
const BLOCK: usize = 2;

/// Strings prepared for the search.
#[derive(Debug)]
pub struct Finder {
    strings: Vec<Vec<u8>>,
    /// The part of each string that the tables are made from.
    window: usize,
    longest: usize,
    /// By block: how far the window may move when it ends there; 0: a string's window may end there.
    jump: Vec<u8>,
    ending: HashMap<u16, Vec<usize>>,
}

impl Finder {
    /// Strings of at least two bytes; the search is as fast as the shortest is long.
    pub fn new(strings: Vec<Vec<u8>>) -> Self {
        let window = strings.iter().map(Vec::len).min().unwrap_or(BLOCK).clamp(BLOCK, 255);
        let longest = strings.iter().map(Vec::len).max().unwrap_or(0);
        let far = u8::try_from(window - BLOCK + 1).unwrap_or(u8::MAX);
        let mut jump = vec![far; 1 << 16];
        let mut ending: HashMap<u16, Vec<usize>> = HashMap::new();
        for (which, string) in strings.iter().enumerate() {
            let head = string.get(..window).unwrap_or_default();
            for (at, block) in head.windows(BLOCK).enumerate() {
                let left = u8::try_from(window - BLOCK - at).unwrap_or(u8::MAX);
                if let Some(jump) = jump.get_mut(usize::from(number(block))) {
                    *jump = left.min(*jump);
                }
                if left == 0 {
                    ending.entry(number(block)).or_default().push(which);
                }
            }
        }
        Self { strings, window, longest, jump, ending }
    }

    /// How many strings there are.
    pub fn count(&self) -> usize {
        self.strings.len()
    }

    /// How many bytes the pieces of one text have to overlap.
    pub fn overlap(&self) -> usize {
        self.longest.saturating_sub(1)
    }

    /// Marks in `found` which of the strings are in `text`.
    pub fn search(&self, text: &[u8], found: &mut [bool]) {
        let mut start = 0;
        while let Some(block) = text.get(start + self.window - BLOCK..start + self.window) {
            let block = number(block);
            let jump = self.jump.get(usize::from(block)).copied().unwrap_or(1);
            if jump > 0 {
                start += usize::from(jump);
                continue;
            }
            for &which in self.ending.get(&block).into_iter().flatten() {
                let there = self.strings.get(which).zip(text.get(start..));
                if there.is_some_and(|(string, rest)| rest.starts_with(string))
                    && let Some(mark) = found.get_mut(which)
                {
                    *mark = true;
                }
            }
            start += 1;
        }
    }
}

fn number(block: &[u8]) -> u16 {
    block.iter().fold(0, |number, byte| number << 8 | u16::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_looking_for_each_by_itself(
            strings in proptest::collection::vec("[ab]{2,6}", 1..8),
            text in "[abc]{0,80}",
        ) {
            let finder = Finder::new(strings.iter().map(|s| s.clone().into_bytes()).collect());
            let mut found = vec![false; strings.len()];
            finder.search(text.as_bytes(), &mut found);
            let each: Vec<bool> = strings.iter().map(|s| text.contains(s.as_str())).collect();
            prop_assert_eq!(found, each);
        }

        #[test]
        fn any_bytes_are_safe(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let finder = Finder::new(vec![b"bad for loop".to_vec(), vec![0; 9]]);
            finder.search(&text, &mut [false; 2]);
            Finder::new(Vec::new()).search(&text, &mut []);
        }
    }
}

//! Lines that are read one after the other, and parsed on all cores.

use std::io;

use rayon::prelude::*;

/// The most lines of a chunk. One thread parses them in about 50 µs.
const LINES: usize = 128;

/// The most bytes of a chunk, but for its last line.
const BYTES: usize = 1 << 16;

/// The chunks of a batch.
const CHUNKS: usize = 16;

/// Lines that one thread parses.
pub(crate) trait Chunk: Default + Send {
    /// Removes all lines.
    fn clear(&mut self);

    /// Returns the number of lines, and the bytes of all of them.
    fn size(&self) -> (usize, usize);
}

/// A bounded number of lines, in chunks.
pub(crate) struct Batch<C> {
    chunks: Vec<C>,
    /// The number of chunks with lines.
    filled: usize,
    /// The chunk and the line that come next.
    next: (usize, usize),
    /// The reading ended, perhaps with an error that comes after the last line.
    end: Option<io::Result<()>>,
}

impl<C: Chunk> Batch<C> {
    pub(crate) fn new() -> Self {
        let chunks = (0..CHUNKS).map(|_| C::default()).collect();
        Batch { chunks, filled: 0, next: (0, 0), end: None }
    }

    /// Returns the next line, as its chunk and its index in it; `None` at the end. If there is none in
    /// memory, reads lines by `read`, which adds one to a chunk or returns false at the end, and then
    /// parses the chunks by `parse`.
    pub(crate) fn next(
        &mut self,
        mut read: impl FnMut(&mut C) -> io::Result<bool>,
        parse: impl Fn(&mut C) + Sync,
    ) -> io::Result<Option<(&C, usize)>> {
        loop {
            let (chunk, line) = self.next;
            if chunk < self.filled {
                if line < self.chunks[chunk].size().0 {
                    self.next = (chunk, line + 1);
                    return Ok(Some((&self.chunks[chunk], line)));
                }
                self.next = (chunk + 1, 0);
            } else if let Some(end) = &mut self.end {
                return std::mem::replace(end, Ok(())).map(|()| None);
            } else {
                self.fill(&mut read);
                self.chunks[..self.filled].par_iter_mut().for_each(&parse);
            }
        }
    }

    /// Returns the line that `next` returned last.
    pub(crate) fn last(&self) -> Option<(&C, usize)> {
        let (chunk, next) = self.next;
        Some((&self.chunks[chunk], next.checked_sub(1)?))
    }

    fn fill(&mut self, read: &mut impl FnMut(&mut C) -> io::Result<bool>) {
        (self.filled, self.next) = (0, (0, 0));
        for chunk in &mut self.chunks {
            chunk.clear();
            self.filled += 1;
            loop {
                let (lines, bytes) = chunk.size();
                if lines >= LINES || bytes >= BYTES {
                    break;
                }
                match read(chunk) {
                    Ok(true) => {}
                    end => {
                        self.end = Some(end.map(|_| ()));
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Numbers(Vec<u32>);

    impl Chunk for Numbers {
        fn clear(&mut self) {
            self.0.clear();
        }

        fn size(&self) -> (usize, usize) {
            (self.0.len(), self.0.len() * 1_000)
        }
    }

    /// Every line comes once, in order and parsed, and an error comes after the lines before it.
    #[test]
    fn lines_come_in_order_and_then_the_error() {
        for lines in [0, 1, 65, 66, 67, 1_055, 1_056, 1_057, 5_000] {
            for fails in [false, true] {
                let mut numbers = 0..lines;
                let mut read = |chunk: &mut Numbers| match numbers.next() {
                    Some(number) => {
                        chunk.0.push(number);
                        Ok(true)
                    }
                    None if fails => Err(io::Error::other("broken")),
                    None => Ok(false),
                };
                let parse = |chunk: &mut Numbers| chunk.0.iter_mut().for_each(|number| *number += 7);
                let (mut batch, mut found) = (Batch::<Numbers>::new(), Vec::new());
                let end = loop {
                    match batch.next(&mut read, parse) {
                        Ok(Some((chunk, line))) => found.push(chunk.0[line]),
                        end => break end.map(|_| ()),
                    }
                };
                assert_eq!(found, (7..lines + 7).collect::<Vec<_>>());
                assert_eq!(end.is_err(), fails);
                assert!(batch.next(&mut read, parse).is_ok_and(|line| line.is_none()));
            }
        }
    }
}

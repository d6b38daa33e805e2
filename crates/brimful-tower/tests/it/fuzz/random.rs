//! Random texts.

/// Pseudo-random numbers, the same for the same seed: splitmix64.
pub(super) struct Random(u64);

impl Random {
    /// Returns the numbers of one input, so that a failure can be repeated alone.
    pub(super) fn of(input: u64) -> Self {
        Random(input.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Changes a few bytes of a text: replaces, removes, doubles and swaps them. All bytes stay ones that a header can have.
    pub(super) fn mutate(&mut self, text: &mut Vec<u8>, marks: &[u8]) {
        for _ in 0..self.below(4) {
            let at = self.below(text.len() + 1);
            match self.below(5) {
                0 => text.insert(at, self.pick(marks)),
                1 => text.insert(at, self.byte()),
                2 if at < text.len() => drop(text.remove(at)),
                3 if at < text.len() => text[at] = self.pick(marks),
                4 => {
                    let part = text[at..].to_vec();
                    text.extend_from_slice(&part[..self.below(part.len() + 1)]);
                }
                _ => {}
            }
        }
    }

    /// Returns a byte that a header can have.
    fn byte(&mut self) -> u8 {
        match self.below(20) {
            0 => b'\t',
            1 => 0x80 + self.below(0x80) as u8,
            _ => 0x20 + self.below(0x5f) as u8,
        }
    }
}

/// Returns the number of inputs, and shows it.
pub(super) fn inputs() -> std::ops::Range<u64> {
    let inputs = match std::env::var("BRIMFUL_FUZZ_INPUTS") {
        Ok(text) => text.replace('_', "").parse().expect("BRIMFUL_FUZZ_INPUTS is a number"),
        Err(_) => 100_000,
    };
    println!("{inputs} inputs");
    0..inputs
}

//! Choices that a test makes again when it is told its seed.

use std::time::SystemTime;

/// SplitMix64: the same seed, the same choices.
pub struct Random(u64);

impl Random {
    /// Of the seed in `SEED`, or of another one each time, which is printed.
    pub fn seeded() -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = std::env::var("SEED").map_or(now, |seed| seed.parse().unwrap());
        println!("SEED={seed}");
        Self(seed)
    }

    /// Another, whose choices follow from this one's.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// A number below this one.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }
}

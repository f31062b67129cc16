//! Chance that can be repeated: seeds, numbers grown from them, and how often a test tries.
#![expect(
    clippy::disallowed_methods,
    reason = "who runs the tests says by the environment how long and from where"
)]
#![expect(clippy::print_stdout, reason = "a seed has to be seen to be used again")]
#![expect(clippy::panic, reason = "a wrong setting is not to be taken for none")]

/// A small generator of numbers that a seed repeats (SplitMix64).
#[derive(Debug)]
pub struct Numbers(pub u64);

impl Numbers {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A seed, printed: that of `CASEBOOK_SEED`, or another one in every run.
///
/// # Panics
/// When `CASEBOOK_SEED` is not a number.
#[must_use]
pub fn seed() -> u64 {
    let drawn = || casebook_engine::machine::salt().iter().fold(0, |seed, byte| seed << 4 ^ u64::from(*byte));
    let seed = number("CASEBOOK_SEED").unwrap_or_else(drawn);
    println!("CASEBOOK_SEED={seed}");
    seed
}

/// How often to try: so often, times `CASEBOOK_FAULTS` where that is set. The long run of the fault tests is the quick one,
/// many times.
///
/// # Panics
/// When `CASEBOOK_FAULTS` is not a number.
#[must_use]
pub fn times(quick: u64) -> u64 {
    quick * number("CASEBOOK_FAULTS").unwrap_or(1)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}

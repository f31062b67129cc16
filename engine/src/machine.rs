//! The only file that asks the machine for time, ids and randomness.
#![expect(clippy::disallowed_methods, reason = "this is the one place that may")]

use std::time::{Duration, Instant};

use jiff::Timestamp;
use uuid::Uuid;

/// The instant now.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A mark on a clock that never goes back, to measure from.
#[must_use]
pub fn stopwatch() -> Instant {
    Instant::now()
}

/// The processor's time that this process has used, all threads.
#[must_use]
pub fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// A new UUIDv7: ids made later sort later.
#[must_use]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// Sixteen random bytes.
///
/// # Panics
/// When the operating system has no randomness to give: nothing safe can be recorded then.
#[must_use]
pub fn salt() -> [u8; 16] {
    let mut bytes = [0; 16];
    let drawn = getrandom::fill(&mut bytes);
    assert!(drawn.is_ok(), "the operating system must give randomness");
    bytes
}

/// Sixteen random bytes in base64.
///
/// # Panics
/// As [`salt`].
#[must_use]
pub fn salt_base64() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(salt())
}

/// Thirty-two random bytes, from which a signing key grows.
///
/// # Panics
/// As [`salt`].
#[must_use]
pub fn key_seed() -> [u8; 32] {
    let mut bytes = [0; 32];
    let drawn = getrandom::fill(&mut bytes);
    assert!(drawn.is_ok(), "the operating system must give randomness");
    bytes
}

//! `appender STORE SEED`: appends from several threads until it is killed, one line on stdout for every answer of
//! success: case, first version, last version, position of the last.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use casebook_engine::store::{CaseKey, EventStore, SledOptions, SledStore};
use casebook_tests::appends::{append, case_id, under_key};
use casebook_tests::chance::Numbers;

/// Threads, each with cases of its own.
const THREADS: u64 = 8;
/// Cases of one thread.
const CASES: u64 = 12;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(seed)) = (arguments.next(), arguments.next().and_then(|seed| seed.parse().ok()))
    else {
        return fail("appender STORE SEED");
    };
    let options = SledOptions { segment_bytes_max: 256 * 1024, settle_events: 512, ..SledOptions::default() };
    let store = match SledStore::open_or_create(Path::new(&path), options) {
        Ok(store) => store,
        Err(error) => return fail(&error.to_string()),
    };
    let outcome = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let store = &store;
                    move || append_for_ever(store, thread, seed)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| "a thread panicked".to_owned()))
            .next()
    });
    fail(&outcome.unwrap_or_default())
}

fn fail(message: &str) -> ExitCode {
    // The parent may be gone; then nobody is left to tell.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::FAILURE
}

/// Ends only where something fails, and says what.
fn append_for_ever(store: &SledStore, thread: u64, seed: u64) -> String {
    let mut numbers = Numbers(seed ^ thread);
    loop {
        let case = thread * CASES + numbers.below(CASES);
        let head = match store.head_of(&CaseKey::Id(case_id(case))) {
            Ok(head) => head,
            Err(error) => return error.to_string(),
        };
        let after = head.map_or(0, |head| head.version.0);
        let mut wanted = append(case, after, 1 + numbers.below(4));
        if numbers.below(3) == 0 {
            let key = format!("{case}-{after}");
            wanted = under_key(wanted, &key, &key);
        }
        let answer = match store.append(wanted) {
            Ok(answer) => answer,
            Err(error) => return error.to_string(),
        };
        let line =
            format!("{case} {} {} {}\n", answer.first_version, answer.last_version, answer.last_position);
        if let Err(error) = io::stdout().lock().write_all(line.as_bytes()) {
            return error.to_string();
        }
    }
}

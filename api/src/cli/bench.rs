//! `casebook bench`: what this machine and this disk give.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;

use super::Globals;
use super::answer::{Failure, Trouble};
use super::page::{Page, Progress, dim};
use crate::bench::{BenchError, Extent, Figures, Limit, Reading, STEPS, Spread, measure};

/// How much to measure, and where.
#[derive(Debug, Args)]
#[command(
    after_help = "Every figure stands beside a yardstick of the same run: on a machine that does other work too, read the ratios.
The work is real: events are judged, chained, indexed and synced; the cases that are read are copies of a published
one. Nothing that you keep is touched: everything happens in a new folder that is removed at the end.

Examples:
  casebook bench                             on the disk of the folder that you are in, about half a minute
  casebook bench --in /srv/cases             on another disk
  casebook bench --events 1000000 --rounds 5 --seconds 5 --json"
)]
pub(super) struct BenchArgs {
    /// The folder on whose disk it is measured
    #[arg(long = "in", value_name = "DIR", default_value = ".")]
    place: PathBuf,
    /// How many events the store holds that is read
    #[arg(long, value_name = "N", default_value_t = 42_000, value_parser = clap::value_parser!(u32).range(1..))]
    events: u32,
    /// How often each load of appends is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// How long each of them lasts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    seconds: u16,
}

/// Runs the command.
pub(super) async fn run(args: BenchArgs, _: &Globals, page: &mut Page) -> Result<(), Failure> {
    let folder = tempfile::Builder::new().prefix("casebook-bench-").tempdir_in(&args.place);
    let folder = folder.map_err(|error| {
        let trouble = Trouble::new(format!("no folder can be made in {}: {error}", args.place.display()));
        let trouble =
            trouble.help("name a folder of your own on the disk that is to be measured with --in DIR");
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => Failure::NotAllowed(trouble),
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Failure::NotFound(trouble),
            _ => Failure::Storage(trouble),
        }
    })?;
    let extent = Extent {
        rounds: usize::from(args.rounds),
        round: Duration::from_secs(u64::from(args.seconds)),
        events: usize::try_from(args.events).unwrap_or(usize::MAX),
    };
    let progress = Progress::new(page, "measuring", STEPS);
    let measured = tokio::task::spawn_blocking(move || {
        let done = AtomicU64::new(0);
        let step = |what| {
            progress.say(what);
            progress.reached(done.fetch_add(1, Ordering::Relaxed), STEPS);
        };
        let measured = measure(folder.path(), extent, &step);
        progress.finish();
        measured
    });
    let measured = measured.await.map_err(|error| Failure::unexpected(error.to_string()))?;
    let figures = measured.map_err(failure)?;
    if page.is_json() { page.json(&figures) } else { tell(&figures, page) }
}

fn failure(error: BenchError) -> Failure {
    match error {
        BenchError::Broken(problem) => Failure::unexpected(problem),
        other => Failure::Storage(
            Trouble::new(other.to_string())
                .help("is there room on the disk? --events N takes about 1,000 bytes for each"),
        ),
    }
}

fn tell(figures: &Figures, page: &mut Page) -> Result<(), Failure> {
    page.heading(&format!("On {} processors and this disk", figures.processors))?;
    page.paragraph(
        0,
        &format!(
            "One write with its sync takes {} (least {}, most {}).",
            time(figures.sync.median),
            time(figures.sync.least),
            time(figures.sync.most)
        ),
    )?;
    page.heading("Durable appends, events a second")?;
    let rows = figures.appends.iter().map(|load| {
        vec![
            load.callers.to_string(),
            spread(load.plain_file),
            spread(load.engine),
            format!("{:.2}", load.ratio),
            format!("{} ({:.0} % of the processors used)", limit(load.limit), load.busy * 100.0),
        ]
    });
    page.table(&["at once", "plain file", "casebook", "ratio", "limited by"], rows.collect())?;
    tell_reading(&figures.reading, page)?;
    page.gap()?;
    page.line(&dim("Least / median / most of the rounds. Where other work runs, read the ratios."))
}

fn tell_reading(reading: &Reading, page: &mut Page) -> Result<(), Failure> {
    page.heading(&format!(
        "{} cases, {} events",
        thousands(reading.cases as f64),
        thousands(reading.events as f64)
    ))?;
    let row = |what: &str, figure: String, beside: String| vec![what.to_owned(), figure, beside];
    let rows = vec![
        row(
            "recording them, case by case",
            format!("{} events a second", thousands(reading.recording)),
            String::new(),
        ),
        row(
            "bytes on disk an event",
            thousands(reading.disk_bytes),
            format!(
                "{:.2} × its {} canonical bytes",
                reading.disk_bytes / reading.canonical_bytes,
                thousands(reading.canonical_bytes)
            ),
        ),
        row(
            "replay, one thread",
            format!("{} events a second", thousands(reading.replay)),
            format!(
                "{:.2} × parsing their JSON ({})",
                reading.replay / reading.parsing,
                thousands(reading.parsing)
            ),
        ),
        row(
            "verifying everything",
            time(reading.verify),
            format!(
                "{:.1} × SHA-256 over the bytes ({})",
                reading.verify / reading.hashing,
                time(reading.hashing)
            ),
        ),
        row(
            "status of a case, none in memory",
            format!("half in {}, 99 % in {}", time(reading.status.p50), time(reading.status.p99)),
            format!(
                "of {} asked, most {}",
                thousands(reading.status.asked as f64),
                time(reading.status.most)
            ),
        ),
        row(
            "opening",
            time(reading.opening.full.median),
            format!(
                "{:.1} × a store of ten cases ({})",
                reading.opening.full.median / reading.opening.few.median,
                time(reading.opening.few.median)
            ),
        ),
        row(
            "memory of the process at the end",
            reading.resident_bytes.map_or_else(
                || "not known".to_owned(),
                |bytes| format!("{} MiB", thousands(bytes as f64 / 1_048_576.0)),
            ),
            String::new(),
        ),
    ];
    page.table(&["what", "figure", "beside"], rows)
}

fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Sync => "the disk's sync",
        Limit::Processor => "the processors",
        Limit::Queue => "the queue: threads wait for each other",
    }
}

fn spread(spread: Spread) -> String {
    format!("{} / {} / {}", thousands(spread.least), thousands(spread.median), thousands(spread.most))
}

/// A number of at least ten without decimals, with commas.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(seconds: f64) -> String {
    match seconds {
        long if long >= 1.0 => format!("{long:.1} s"),
        middle if middle >= 0.001 => format!("{:.1} ms", middle * 1e3),
        short => format!("{:.0} µs", short * 1e6),
    }
}

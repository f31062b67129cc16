//! `casebook restore`: a store out of backups, verified before anybody can use it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use casebook_engine::restore::{RestoreError, Restored, restore};
use casebook_engine::store::unfinished::UnpackError;
use casebook_engine::store::{EventStore, OpenError, SledOptions, SledStore};
use casebook_engine::verify::Demand;
use clap::Args;

use super::Globals;
use super::answer::{Failure, Trouble};
use super::audit::checkpoint_of_elsewhere;
use super::definition::unreadable;
use super::folder::unopened;
use super::page::{Page, Progress, good};
use super::reading::count_of;

/// What to restore.
#[derive(Debug, Args)]
#[command(
    after_help = "The store is made beside its place, DIR of --data, and everything in it is verified: every checksum, hash and chain,
the tree and its root, the checkpoints that it holds and one that you bring, and every case under its definition.
Only then does it take its place. Where anything is wrong nothing is restored, and whatever stands in the place is
as it was; a restore that is interrupted leaves nothing that could be taken for a store.

Examples:
  casebook restore 2026-03-01.casebook --dry-run                        is this backup good?
  casebook restore 2026-03-01.casebook 2026-03-02.casebook --data ./restored
  casebook restore 2026-03-02-whole.casebook --replace                  the old store is kept beside it"
)]
pub(super) struct RestoreArgs {
    /// A whole backup, then those that continue it, in their order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Verify the backups, and put nothing anywhere
    #[arg(long)]
    dry_run: bool,
    /// Take the place of the store that stands there, which is kept beside it under another name
    #[arg(long, conflicts_with = "dry_run")]
    replace: bool,
    /// A checkpoint, kept elsewhere, that the log has to meet
    #[arg(long, value_name = "FILE", requires = "key")]
    checkpoint: Option<PathBuf>,
    /// The public key that must have signed it
    #[arg(long, value_name = "VKEY", requires = "checkpoint")]
    key: Option<String>,
}

/// Runs the command.
pub(super) async fn run(args: RestoreArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    for file in &args.files {
        if file.is_dir() {
            return Err(Failure::input(format!("{} is a folder", file.display()), "name the backups in it"));
        }
        std::fs::File::open(file).map_err(|error| unreadable(file, &error))?;
    }
    let demands = checkpoint_of_elsewhere(args.checkpoint.as_deref(), args.key.as_deref())?;
    let place = globals.data.clone();
    let stands = what_stands(&place, &args)?;
    let restored = verified(&args, &place, demands, page).await?;
    let verification = restored.verification.clone();
    let aside = if args.dry_run {
        drop(restored);
        None
    } else {
        let aside = stands.then(|| set_aside(&place)).transpose()?;
        restored.put(&place).map_err(|error| put_failure(error, &place, aside.as_deref()))?;
        aside
    };
    if page.is_json() {
        return page.json(&serde_json::json!({
            "dry_run": args.dry_run,
            "restored": !args.dry_run,
            "cases": verification.cases,
            "events": verification.events,
            "root": verification.root,
            "checkpoints_met": verification.checkpoints_met,
            "old_store_aside": aside,
        }));
    }
    let events = count_of(usize::try_from(verification.events).unwrap_or(usize::MAX), "event", "events");
    let cases = count_of(verification.cases, "case", "cases");
    let text = if args.dry_run {
        format!("{events} in {cases} can be restored, and verify.")
    } else {
        format!("{events} in {cases} restored to {}, and verified.", place.display())
    };
    page.item(0, &good("✓"), &text)?;
    page.line(&format!("  root of the tree: {}", verification.root))?;
    if let Some(aside) = aside {
        page.paragraph(2, &format!("The store that stood there is kept in {}.", aside.display()))?;
    }
    Ok(())
}

async fn verified(
    args: &RestoreArgs,
    place: &Path,
    demands: Vec<Demand>,
    page: &Page,
) -> Result<Restored, Failure> {
    let progress = Arc::new(Progress::new(page, "restoring", 0));
    let (files, at) = (args.files.clone(), place.to_owned());
    let restored = tokio::task::spawn_blocking(move || {
        let shown = Arc::clone(&progress);
        let step: Arc<dyn Fn(&'static str, u64, u64) + Send + Sync> =
            Arc::new(move |_, done, of| shown.reached(done, of));
        let restored = restore(&at, &files, demands, SledOptions::default(), &step);
        progress.finish();
        restored
    });
    let restored = restored.await.map_err(|error| Failure::unexpected(error.to_string()))?;
    restored.map_err(failure)
}

/// Whether a store stands in the place; an error where one does that is not to be replaced, or something else does.
fn what_stands(place: &Path, args: &RestoreArgs) -> Result<bool, Failure> {
    if args.dry_run {
        return Ok(false);
    }
    let is_named = matches!(place.components().next_back(), Some(std::path::Component::Normal(_)));
    if !is_named || place.is_symlink() {
        let trouble = Trouble::new(format!("no store can take the place of {}", place.display()));
        return Err(Failure::Input(
            trouble.help("name the new folder itself with --data DIR: no link, and not `.`"),
        ));
    }
    if !place.exists() || std::fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_none()) {
        return Ok(false);
    }
    let store = SledStore::open(place, SledOptions { read_damaged: true, ..SledOptions::default() });
    match store {
        Ok(store) if !args.replace => {
            let events = usize::try_from(store.head().borrow().0).unwrap_or(usize::MAX);
            let events = count_of(events, "event", "events");
            let trouble = Trouble::new(format!("{} is a store with {events}", place.display()));
            Err(Failure::Conflict(trouble.help(
                "restore beside it with --data DIR, or add --replace: it is kept under another name then",
            )))
        }
        Ok(_) => Ok(true),
        Err(error @ (OpenError::InUse { .. } | OpenError::Foreign { .. })) => Err(unopened(&error)),
        Err(_) if args.replace => Ok(true),
        Err(error) => Err(unopened(&error)),
    }
}

/// Gives the store in the place another name, the first that is free.
fn set_aside(place: &Path) -> Result<PathBuf, Failure> {
    let mut number = 1;
    let aside = loop {
        let mut name = place.components().as_path().as_os_str().to_owned();
        name.push(format!(".replaced-{number}"));
        let aside = PathBuf::from(name);
        if !aside.exists() {
            break aside;
        }
        number += 1;
    };
    std::fs::rename(place, &aside).map_err(|error| {
        let trouble = Trouble::new(format!("the store that is there can't be set aside: {error}"));
        Failure::Storage(trouble.at(place.display().to_string()).help("nothing was changed"))
    })?;
    Ok(aside)
}

fn failure(error: RestoreError) -> Failure {
    const NOTHING: &str = "nothing was restored, and whatever stands in its place is as it was";
    match error {
        RestoreError::Unpack(UnpackError::Backup { file, problem }) => {
            Failure::Input(Trouble::new(problem).at(file.display().to_string()).help(NOTHING))
        }
        RestoreError::Unpack(UnpackError::Open(error)) | RestoreError::Open(error) => unopened(&error),
        RestoreError::Unsound { .. } | RestoreError::Differs(_) => {
            Failure::Input(Trouble::new(error.to_string()).help(NOTHING))
        }
        RestoreError::Read(error) => error.into(),
        other => Failure::Storage(Trouble::new(other.to_string()).help(NOTHING)),
    }
}

fn put_failure(error: RestoreError, place: &Path, aside: Option<&Path>) -> Failure {
    let back = match aside.map(|aside| (aside, std::fs::rename(aside, place))) {
        Some((aside, Err(_))) => format!("the old store is whole, in {}", aside.display()),
        _ => "whatever stood there is as it was".to_owned(),
    };
    Failure::Storage(
        Trouble::new(format!("the store can't be put in its place: {error}"))
            .at(place.display().to_string())
            .help(back),
    )
}

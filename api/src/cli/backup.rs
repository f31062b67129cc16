//! `casebook backup`: one file that holds a store, or what came since an earlier one.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casebook_engine::store::backup::{BackupError, Manifest, back_up};
use casebook_engine::store::files::{DiskFiles, Files};
use clap::Args;

use super::Globals;
use super::answer::{Failure, Trouble};
use super::definition::unreadable;
use super::folder::unopened;
use super::output_file::{OutputFile, unwritable};
use super::page::{Page, Progress, good};
use super::reading::count_of;

/// What to back up, and to where.
#[derive(Debug, Args)]
#[command(
    after_help = "The backup is taken while others go on recording; it holds every event that was acknowledged before it began. It is
a tar archive, compressed with gzip, and appears when it is whole and on disk. The key that signs checkpoints is in
it: keep it as safe as the store. To be sure of a backup, try it: casebook restore FILE --dry-run

Examples:
  casebook backup 2026-03-01.casebook
  casebook backup 2026-03-02.casebook --since 2026-03-01.casebook     what came after
  casebook restore 2026-03-01.casebook 2026-03-02.casebook --data ./restored"
)]
pub(super) struct BackupArgs {
    /// The file to write; there must be none of that name
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Leave out what this earlier backup of the same store, whole or itself a continuation, has
    #[arg(long, value_name = "BACKUP")]
    since: Option<PathBuf>,
}

/// Runs the command.
pub(super) async fn run(args: BackupArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    if args.file.is_file() {
        let trouble = Trouble::new(format!("{} is there already", args.file.display()));
        return Err(Failure::Conflict(
            trouble.help("a backup replaces nothing: name a new file, or remove that one"),
        ));
    }
    let since = args.since.as_deref().map(manifest_of).transpose()?;
    let mut out = OutputFile::create_private(&args.file)?;
    let progress = Progress::new(page, "backing up", 0);
    let data = globals.data.clone();
    let taken = tokio::task::spawn_blocking(move || {
        let files: Arc<dyn Files> = Arc::new(DiskFiles);
        let step = |_: &'static str, done, of| progress.reached(done, of);
        let taken = back_up(&data, since.as_ref(), &files, &mut out, &step);
        progress.finish();
        taken.map(|manifest| (manifest, out))
    });
    let taken = taken.await.map_err(|error| Failure::unexpected(error.to_string()))?;
    let (manifest, out) = taken.map_err(|error| failure(error, &args))?;
    out.finish()?;
    tell(&manifest, &args, page)
}

/// The manifest of an earlier backup.
fn manifest_of(path: &Path) -> Result<Manifest, Failure> {
    if path.is_dir() {
        return Err(Failure::input(
            format!("{} is a folder", path.display()),
            "name the earlier backup in it",
        ));
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Manifest::read(BufReader::new(file)).map_err(|error| {
        let trouble = Trouble::new(error.to_string()).at(path.display().to_string());
        Failure::Input(trouble.help("--since names a file that `casebook backup` wrote"))
    })
}

fn failure(error: BackupError, args: &BackupArgs) -> Failure {
    match error {
        BackupError::Open(error) => unopened(&error),
        BackupError::Write(error) => unwritable(&args.file, &error),
        BackupError::NotContinued(_) => {
            let trouble = Trouble::new(error.to_string());
            Failure::Conflict(trouble.help("take a whole backup: leave out --since"))
        }
        BackupError::Damaged(_) => Failure::Storage(Trouble::new(error.to_string()).help(
            "earlier backups are worth more than this store now: keep them, and see what `casebook audit verify` says",
        )),
        other => Failure::Storage(Trouble::new(other.to_string())),
    }
}

fn tell(manifest: &Manifest, args: &BackupArgs, page: &mut Page) -> Result<(), Failure> {
    let bytes = std::fs::metadata(&args.file).map_or(0, |written| written.len());
    if page.is_json() {
        return page.json(&serde_json::json!({
            "file": args.file,
            "store": manifest.store,
            "after": manifest.from.as_ref().map_or(0, |from| from.position.0),
            "position": manifest.to.position,
            "events": manifest.events(),
            "root": manifest.to.root,
            "bytes": bytes,
        }));
    }
    let events = count_of(usize::try_from(manifest.events()).unwrap_or(usize::MAX), "event", "events");
    let after =
        manifest.from.as_ref().map_or_else(String::new, |from| format!(" after position {}", from.position));
    page.item(0, &good("✓"), &format!("{events}{after} backed up: {} ({bytes} bytes)", args.file.display()))?;
    page.line(&format!("  up to position {}, root of the tree: {}", manifest.to.position, manifest.to.root))
}

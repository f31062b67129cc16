//! `casebook import --as-is`: an export taken over byte for byte, into a folder that holds nothing yet.
//!
//! The new store is made beside its place and put there when everything was verified: nobody finds half of one.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use casebook_engine::engine::Engine;
use casebook_engine::exchange::as_is::{AsIsError, TakenOver, take_over};
use casebook_engine::store::{EventStore, MemoryStore, OpenError, SledOptions, SledStore};

use super::Globals;
use super::answer::{Failure, Trouble};
use super::audit::checkpoint_of_elsewhere;
use super::definition::{self, unreadable};
use super::folder::unopened;
use super::import::ImportArgs;
use super::page::{Page, Progress, good};
use super::reading::count_of;

/// Runs the command.
pub(super) async fn run(args: ImportArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let [path] = args.files.as_slice() else {
        return Err(Failure::input(
            "--as-is takes one file",
            "an export of everything is one file: casebook export jsonl -o FILE",
        ));
    };
    let file = opened(path)?;
    let demands = checkpoint_of_elsewhere(args.checkpoint.as_deref(), args.key.as_deref())?;
    let place = Place::of(&globals.data, args.dry_run)?;
    let definitions = definition::all(&globals.workflow_dir, page)?;
    let store: Arc<dyn EventStore> = match &place.part {
        Some(part) => Arc::new(
            SledStore::open_or_create(part, SledOptions::default()).map_err(|error| unopened(&error))?,
        ),
        None => Arc::new(MemoryStore::new()),
    };
    let engine = Engine::open(store, definitions).inspect_err(|_| place.abandon())?;
    let progress = Progress::new(page, "checking", 0);
    let taken = tokio::task::spawn_blocking(move || {
        let taken = take_over(&engine, file, &demands, &|_, done, of| progress.reached(done, of));
        progress.finish();
        // Closed before its folder is renamed or removed.
        drop(engine);
        taken
    });
    let taken = taken.await.map_err(|error| Failure::unexpected(error.to_string()))?;
    let taken = match taken {
        Ok(taken) => taken,
        Err(error) => {
            place.abandon();
            return Err(failure(error, path, &globals.data));
        }
    };
    let aside = place.put(&globals.data)?;
    tell(&taken, path, globals, args.dry_run, aside.as_deref(), page)
}

fn opened(path: &Path) -> Result<File, Failure> {
    if path.as_os_str() == "-" {
        return Err(Failure::input(
            "--as-is reads the file twice, and standard input can be read once",
            "write the export to a file first: casebook export jsonl -o FILE",
        ));
    }
    if path.is_dir() {
        return Err(Failure::input(format!("{} is a folder", path.display()), "name the export in it"));
    }
    File::open(path).map_err(|error| unreadable(path, &error))
}

/// Where the new store is made.
struct Place {
    /// Beside its place; `None` in a dry run.
    part: Option<PathBuf>,
    /// An empty store stands in its place.
    has_empty_store: bool,
}

impl Place {
    /// Makes sure that the folder holds no events.
    fn of(data: &Path, dry_run: bool) -> Result<Self, Failure> {
        let is_named = matches!(data.components().next_back(), Some(Component::Normal(_)));
        if !is_named || data.is_symlink() {
            let trouble = Trouble::new(format!("no store can take the place of {}", data.display()));
            return Err(Failure::Input(
                trouble.help("name the new folder itself with --data DIR: no link, and not `.`"),
            ));
        }
        if !folder_of(data).is_dir() {
            let trouble = Trouble::new(format!("there is no folder for {}", data.display()));
            return Err(Failure::NotFound(
                trouble.help("make the folder first, or name another with --data DIR"),
            ));
        }
        let has_empty_store = holds_an_empty_store(data)?;
        let part = (!dry_run).then(|| beside(data, &format!("part-{}", std::process::id())));
        Ok(Self { part, has_empty_store })
    }

    /// Removes what was made. What cannot be removed is harmless: it is in nobody's way.
    fn abandon(&self) {
        if let Some(part) = &self.part {
            let _ = std::fs::remove_dir_all(part);
        }
    }

    /// Puts the store in its place; answers where the empty one is that stood there.
    fn put(&self, data: &Path) -> Result<Option<PathBuf>, Failure> {
        let Some(part) = &self.part else { return Ok(None) };
        let aside = self.has_empty_store.then(|| beside(data, &format!("empty-{}", std::process::id())));
        let moved = match &aside {
            Some(aside) => std::fs::rename(data, aside),
            None => Ok(()),
        };
        let placed = moved.and_then(|()| std::fs::rename(part, data)).and_then(|()| sync_folder_of(data));
        placed.map_err(|error| {
            let trouble = Trouble::new(format!("the store can't be put in its place: {error}"));
            let help =
                format!("it is whole, in {}: rename it by hand, or name it with --data", part.display());
            Failure::Storage(trouble.at(data.display().to_string()).help(help))
        })?;
        Ok(aside)
    }
}

fn holds_an_empty_store(data: &Path) -> Result<bool, Failure> {
    match std::fs::read_dir(data).map(|mut entries| entries.next().is_none()) {
        Ok(true) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        _ => {}
    }
    let store = SledStore::open(data, SledOptions::default()).map_err(|error| match error {
        OpenError::Foreign { .. } => Failure::Input(
            Trouble::new(error.to_string()).help("name a folder that is not there yet with --data DIR"),
        ),
        other => unopened(&other),
    })?;
    let events = store.head().borrow().0;
    if events > 0 {
        return Err(not_empty(data, events));
    }
    Ok(true)
}

fn not_empty(data: &Path, events: u64) -> Failure {
    let events = count_of(usize::try_from(events).unwrap_or(usize::MAX), "event", "events");
    Failure::Conflict(Trouble::new(format!("{} holds {events} already", data.display())).help(
        "bytes are taken over into an empty folder only: name another with --data DIR, or leave out --as-is to record \
         the history anew beside what is there",
    ))
}

fn beside(data: &Path, what: &str) -> PathBuf {
    // A trailing slash would put it inside.
    let mut name = data.components().as_path().as_os_str().to_owned();
    name.push(format!(".{what}"));
    PathBuf::from(name)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn failure(error: AsIsError, path: &Path, data: &Path) -> Failure {
    let at = |line: usize| match line {
        0 => path.display().to_string(),
        line => format!("{}:{line}", path.display()),
    };
    match error {
        AsIsError::NotEmpty { events } => not_empty(data, events),
        AsIsError::Line { line, problem, help } => {
            Failure::Input(Trouble::new(problem).at(at(line)).help(format!("{help}. Nothing was taken over")))
        }
        AsIsError::UnknownDefinition { line, case, pin, is_changed } => {
            let known = if is_changed { "is known here with another content" } else { "is not known here" };
            let trouble = Trouble::new(format!("case {case} is under {pin}, which {known}")).at(at(line));
            Failure::NotFound(trouble.help(
                "bring the very definition that the case was opened under, or that it adopted, unchanged, with \
                 --workflow-dir PATH. Nothing was taken over",
            ))
        }
        AsIsError::Unsound { line, finding } => {
            let problem =
                format!("{}: expected {}, found {}", finding.check, finding.expected, finding.found);
            let help = "every line follows from the one before it, but the whole is not what was recorded; export \
                        the cases again where they come from. Nothing was taken over";
            Failure::Input(Trouble::new(problem).at(at(line)).help(help))
        }
        AsIsError::File(error) => unreadable(path, &error),
        AsIsError::Append(error) => error.into(),
        AsIsError::Read(error) => error.into(),
        other => Failure::unexpected(other.to_string()),
    }
}

fn tell(
    taken: &TakenOver,
    path: &Path,
    globals: &Globals,
    dry_run: bool,
    aside: Option<&Path>,
    page: &mut Page,
) -> Result<(), Failure> {
    if page.is_json() {
        return page.json(&serde_json::json!({
            "dry_run": dry_run,
            "file": path,
            "cases": taken.cases,
            "events": taken.events,
            "root": taken.root,
            "in_file_order": taken.in_file_order,
            "empty_store_aside": aside,
        }));
    }
    let events = count_of(usize::try_from(taken.events).unwrap_or(usize::MAX), "event", "events");
    let cases = count_of(taken.cases, "case", "cases");
    let text = if dry_run {
        format!("{events} in {cases} can be taken over byte for byte, and verify.")
    } else {
        format!("{events} in {cases} taken over byte for byte into {}, and verified.", globals.data.display())
    };
    page.item(0, &good("✓"), &text)?;
    page.line(&format!("  root of the tree: {}", taken.root))?;
    if !taken.in_file_order {
        page.paragraph(
            2,
            "The file is not in the order in which its events were recorded: they were put in that order, and positions \
             are new.",
        )?;
    }
    if let Some(aside) = aside {
        page.paragraph(2, &format!("The empty store that stood there is kept in {}.", aside.display()))?;
    }
    Ok(())
}

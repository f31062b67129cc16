//! Where event files come from: files are read where they are, standard input and pipes by way of a temporary file,
//! because every line is looked at before the first is recorded.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use casebook_engine::exchange::indexed_file::{IndexedFile, Watching};
use casebook_engine::exchange::jsonl::LineProblem;

use super::answer::{Failure, Trouble};
use super::definition::unreadable;
use super::page::{Page, Progress};

/// Copied at a time.
const COPY_BYTES: usize = 1 << 18;

/// What people call it.
pub(super) fn name_of(path: &Path) -> String {
    if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() }
}

pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Looks at every line of a file; wrong ones are told one by one.
pub(super) fn looked_at(
    path: &Path,
    problem: &mut dyn FnMut(LineProblem) -> io::Result<()>,
    page: &Page,
) -> Result<IndexedFile, Failure> {
    let file = opened(path, page)?;
    let length = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
    let progress = Progress::bytes(page, "checking", length);
    let indexed =
        IndexedFile::read(file, Watching { problem, bytes: &|done| progress.reached(done, length) });
    progress.finish();
    indexed.map_err(|error| unread(path, &error))
}

/// Why a file was not read to its end.
pub(super) fn unread(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::InvalidData => {
            let trouble = Trouble::new(error.to_string()).at(name_of(path));
            Failure::Input(trouble.help(
                "import it again when nobody writes to it any more; cases that were recorded are whole, and are not \
                 recorded twice",
            ))
        }
        ErrorKind::StorageFull => unspooled(error),
        _ => unreadable(path, error),
    }
}

fn opened(path: &Path, page: &Page) -> Result<File, Failure> {
    if is_stdin(path) {
        return spooled(path, io::stdin().lock(), page);
    }
    if path.is_dir() {
        let help = format!("name the event files in it: {}", path.join("*.jsonl").display());
        return Err(Failure::input(format!("{} is a folder, not an event file", path.display()), help));
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let is_file = file.metadata().map_err(|error| unreadable(path, &error))?.is_file();
    if is_file { Ok(file) } else { spooled(path, file, page) }
}

/// All of a stream, in a temporary file that has no name.
fn spooled(path: &Path, mut stream: impl Read, page: &Page) -> Result<File, Failure> {
    let mut file = tempfile::tempfile().map_err(|error| unspooled(&error))?;
    let progress = Progress::bytes(page, "reading", 0);
    let mut piece = vec![0; COPY_BYTES];
    let mut done = 0;
    loop {
        let length = match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(path, &error)),
        };
        file.write_all(&piece[..length]).map_err(|error| unspooled(&error))?;
        done += length as u64;
        progress.reached(done, 0);
    }
    progress.finish();
    Ok(file)
}

fn unspooled(error: &io::Error) -> Failure {
    Failure::Storage(Trouble::new(format!("a temporary file could not be written: {error}")).help(
        "standard input is kept in one until it was checked, and so is where each line of a long file stands; make room \
         in the folder for temporary files, or name another with the environment variable TMPDIR",
    ))
}

//! A file that a command makes: it appears when it is whole, and what stood in its place stays until then.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::answer::{Failure, Trouble};

/// Being written. Dropped before it is finished, it leaves nothing behind.
pub(super) struct OutputFile {
    named: PathBuf,
    place: Place,
}

enum Place {
    /// Beside the file that it will be.
    Beside { written: BufWriter<NamedTempFile>, target: PathBuf },
    /// A device or a pipe: nothing can take its place.
    Straight(BufWriter<File>),
}

impl OutputFile {
    /// Begins the file. A link is followed.
    ///
    /// # Errors
    /// No folder, a folder in its place, no permission, or the disk.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        Self::begin(path, 0o666)
    }

    /// As [`Self::create`], a file that nobody but its owner may read.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub(super) fn create_private(path: &Path) -> Result<Self, Failure> {
        Self::begin(path, 0o600)
    }

    fn begin(path: &Path, mode: u32) -> Result<Self, Failure> {
        let place = begin(path, mode).map_err(|error| unwritable(path, &error))?;
        Ok(Self { named: path.to_owned(), place })
    }

    /// Puts it in its place, synced.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub(super) fn finish(self) -> Result<(), Failure> {
        let put = match self.place {
            Place::Straight(mut written) => written.flush(),
            Place::Beside { written, target } => {
                written.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| {
                    file.as_file().sync_all()?;
                    file.persist(&target).map(drop).map_err(|error| error.error)
                })
            }
        };
        put.map_err(|error| unwritable(&self.named, &error))
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Beside { written, .. } => written.write(bytes),
            Place::Straight(written) => written.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::Beside { written, .. } => written.flush(),
            Place::Straight(written) => written.flush(),
        }
    }
}

fn begin(path: &Path, mode: u32) -> io::Result<Place> {
    let there = match std::fs::metadata(path) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if there.as_ref().is_some_and(std::fs::Metadata::is_dir) {
        return Err(ErrorKind::IsADirectory.into());
    }
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        return Ok(Place::Straight(BufWriter::new(OpenOptions::new().write(true).open(path)?)));
    }
    let target = if there.is_some() { path.canonicalize()? } else { path.to_owned() };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = Builder::new();
    builder.prefix(".casebook-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any file that a program makes; the user's mask takes away what it takes away.
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    Ok(Place::Beside { written: BufWriter::new(builder.tempfile_in(folder)?), target })
}

/// Writes a whole file.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut file = OutputFile::create(path)?;
    file.write_all(bytes).map_err(|error| unwritable(path, &error))?;
    file.finish()
}

/// Why a file was not written.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let place = path.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            let trouble = Trouble::new(format!("there is no folder for {place}"));
            Failure::NotFound(trouble.help("make the folder first, or name another file"))
        }
        ErrorKind::IsADirectory => Failure::input(
            format!("{place} is a folder, and no file can take its place"),
            "name a file, in that folder or beside it",
        ),
        ErrorKind::PermissionDenied => {
            let trouble = Trouble::new(format!("{place} may not be written"));
            Failure::NotAllowed(trouble.help("name a file in a folder of your own"))
        }
        _ => Failure::Storage(Trouble::new(format!("{place} could not be written: {error}"))),
    }
}

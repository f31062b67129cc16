//! Copies of folders, for tests that bring a store back to an earlier moment.

use std::fs;
use std::io;
use std::path::Path;

/// Copies a folder and all that is in it; what vanishes meanwhile is left out.
///
/// # Errors
/// When the disk refuses.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let copied = if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(|_| ())
        };
        match copied {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

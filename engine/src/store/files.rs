//! The file calls of journal and store, behind one small trait, so that tests can drop, reorder, tear and fail them.
//! Each call is the operating system's own unless an implementation puts another in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use fs4::FileExt;

/// The calls on names. What is promised of a name is what POSIX promises: it is on disk once its folder was synced.
pub trait Files: Send + Sync + 'static {
    /// Makes a file that must not exist yet.
    ///
    /// # Errors
    /// When it exists or the disk refuses.
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).create_new(true).open(path)?))
    }

    /// As [`Files::create`], a file that nobody but its owner may read from the moment it exists.
    ///
    /// # Errors
    /// When it exists or the disk refuses.
    fn create_private(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Box::new(options.open(path)?))
    }

    /// Opens a file that exists, for reading and writing.
    ///
    /// # Errors
    /// When it does not exist or the disk refuses.
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// When the folder can't be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Makes a folder whose parent exists.
    ///
    /// # Errors
    /// When it exists or the disk refuses.
    fn create_dir(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir(folder)
    }

    /// Puts the names of a folder on disk.
    ///
    /// # Errors
    /// When the disk refuses; nothing may be built on these names then.
    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        // Only Unix lets a folder be opened and synced; elsewhere the file system keeps names in its own order.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }

    /// Gives a file or folder another name, replacing a file or an empty folder of that name.
    ///
    /// # Errors
    /// When the disk refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// When it does not exist or the disk refuses.
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Removes a folder and all that is in it.
    ///
    /// # Errors
    /// When it does not exist or the disk refuses.
    fn remove_dir(&self, folder: &Path) -> io::Result<()> {
        fs::remove_dir_all(folder)
    }

    /// How many bytes the disk of a folder still has for this process.
    ///
    /// # Errors
    /// When the disk does not say.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        fs4::available_space(folder)
    }

    /// Makes a file of this length, in the place of one of that name, whose bytes the disk has set aside.
    ///
    /// # Errors
    /// When there is no room; nothing stands in its place then.
    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = File::create(path)?;
        let reserved = FileExt::allocate(&file, bytes);
        if reserved.is_err() {
            fs::remove_file(path)?;
        }
        reserved
    }
}

/// The calls on an open file. One thread at a time uses it.
pub trait StoreFile: Send {
    /// Writes all bytes at an offset.
    ///
    /// # Errors
    /// When the disk refuses; a part may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads at an offset until the buffer is full or the file ends, and says how much.
    ///
    /// # Errors
    /// When the disk refuses.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// How long the file is, bytes.
    ///
    /// # Errors
    /// When the disk refuses.
    fn length(&mut self) -> io::Result<u64>;

    /// Cuts the file to a length.
    ///
    /// # Errors
    /// When the disk refuses.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Puts the file's bytes and length on disk.
    ///
    /// # Errors
    /// When the disk refuses. The call must not be repeated: a second success would say nothing about the first's bytes.
    fn sync_data(&mut self) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskFiles;

impl Files for DiskFiles {}

impl StoreFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(offset))?;
        self.write_all(bytes)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.seek(SeekFrom::Start(offset))?;
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn length(&mut self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        File::sync_data(self)
    }
}

/// Reads a whole small file.
///
/// # Errors
/// When it does not exist or the disk refuses.
pub(super) fn read_whole(files: &dyn Files, path: &Path) -> io::Result<Vec<u8>> {
    let mut file = files.open(path)?;
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let count = file.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Writes a small file so that after a crash it is there whole or not at all: another name, synced, renamed, folder synced.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn write_whole(files: &dyn Files, folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!("{name}.unfinished"));
    match files.remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = files.create(&unfinished)?;
    file.write_at(0, bytes)?;
    file.sync_data()?;
    drop(file);
    files.rename(&unfinished, &folder.join(name))?;
    files.sync_dir(folder)
}

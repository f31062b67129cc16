//! The write-ahead journal: what is acknowledged is in here and synced. Segments are kept for ever.
//!
//! One writer appends whole groups (see `frame.rs`), one `fdatasync` each. Readers open files of their own.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::case::event::Position;

use super::files::{Files, StoreFile};
use super::frame::{self, Frame, Group, HEADER_BYTES, Trailer};
use super::{StorageError, StoredEvent};

/// A segment that has reached this length gets no further group, bytes.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much is read from a segment at once, bytes.
const READ_BYTES: usize = 256 * 1024;

/// A place between two groups, and the last position before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) position: Position,
    /// The segment, named by its first position.
    pub(super) segment: Position,
    pub(super) offset: u64,
}

impl Mark {
    /// Before the first group.
    pub(super) fn start() -> Self {
        Self { position: Position(0), segment: Position(1), offset: HEADER_BYTES as u64 }
    }
}

/// Why the journal can't be read further.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    /// It is damaged before its end.
    #[error(transparent)]
    Damaged(#[from] JournalDamage),
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Where the journal is damaged, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, byte {offset}, after position {after}: {problem}", segment.display())]
pub struct JournalDamage {
    /// The segment's file.
    pub segment: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// The last position before the damage.
    pub after: Position,
    /// What is wrong.
    pub problem: String,
}

/// A group that was being written when the machine stopped. It was never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornGroup {
    /// The segment's file.
    pub segment: PathBuf,
    /// Where it began.
    pub offset: u64,
    /// How many bytes of it there were.
    pub bytes: u64,
    /// Where they were put before the journal was cut.
    pub kept_as: Option<PathBuf>,
}

/// What reading to the journal's end found.
#[derive(Debug)]
pub(super) struct JournalEnd {
    pub(super) mark: Mark,
    /// Where the last group begins, if one was read.
    pub(super) last_group: Option<Mark>,
    pub(super) torn: Option<TornGroup>,
}

/// The journal's folder.
#[derive(Clone)]
pub(super) struct JournalFolder {
    pub(super) files: Arc<dyn Files>,
    pub(super) path: PathBuf,
    pub(super) store_id: Uuid,
}

impl fmt::Debug for JournalFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalFolder").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Names the call that failed.
pub(super) fn failed(doing: &str, path: &Path, error: io::Error) -> StorageError {
    StorageError::of_file(doing, path, &error)
}

/// Names what is not as it has to be.
pub(super) fn unfit(doing: &str, path: &Path, problem: impl fmt::Display) -> StorageError {
    StorageError::new(format!("{doing} {}", path.display()), problem.to_string())
}

impl JournalFolder {
    /// The file name of the segment that begins at a position.
    pub(super) fn segment_name(first: Position) -> String {
        format!("{:020}.log", first.0)
    }

    pub(super) fn segment_path(&self, first: Position) -> PathBuf {
        self.path.join(Self::segment_name(first))
    }

    /// The first positions of all segments, ascending.
    pub(super) fn segments(&self) -> Result<Vec<Position>, StorageError> {
        let names = self.files.list(&self.path).map_err(|error| failed("listing", &self.path, error))?;
        let numbers = names.iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok().map(Position));
        Ok(numbers.collect())
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> Result<u64, StorageError> {
        let mut bytes = 0;
        for first in self.segments()? {
            bytes += self.segment_bytes(first)?;
        }
        Ok(bytes)
    }

    /// Bytes of a segment.
    pub(super) fn segment_bytes(&self, first: Position) -> Result<u64, StorageError> {
        Ok(SegmentReader::open(self, first)?.length)
    }

    /// Makes a segment: its header and its name are on disk on return.
    pub(super) fn create_segment(&self, first: Position) -> Result<Box<dyn StoreFile>, StorageError> {
        let path = self.segment_path(first);
        let make = || -> io::Result<Box<dyn StoreFile>> {
            let mut file = self.files.create(&path)?;
            file.write_at(0, &frame::header(self.store_id, first))?;
            file.sync_data()?;
            self.files.sync_dir(&self.path)?;
            Ok(file)
        };
        make().map_err(|error| failed("making", &path, error))
    }

    /// Feeds every group after a mark, to the end of the journal, and says where that is.
    ///
    /// A broken group with nothing after it is torn; anything else that does not read is damage.
    pub(super) fn replay<E: From<JournalError>>(
        &self,
        from: Mark,
        mut each: impl FnMut(Group, Mark) -> Result<(), E>,
    ) -> Result<JournalEnd, E> {
        let all = self.segments().map_err(JournalError::Storage)?;
        let segments: Vec<Position> = all.into_iter().filter(|first| *first >= from.segment).collect();
        let mut end = JournalEnd { mark: from, last_group: None, torn: None };
        if segments.first() != Some(&from.segment) {
            return Err(self.damage(from, "the segment is missing".to_owned()).into());
        }
        for (index, first) in segments.iter().copied().enumerate() {
            let is_last = index + 1 == segments.len();
            let Some(mut reader) = self.enter(first, &mut end, is_last)? else { break };
            loop {
                let before = end.mark;
                match reader.next_group(before.position) {
                    Ok(Some(group)) => {
                        let position = group.last();
                        let mark = Mark { position, segment: first, offset: reader.offset };
                        each(group, mark)?;
                        end.mark = mark;
                        end.last_group = Some(before);
                    }
                    Ok(None) => break,
                    Err(ScanError::Storage(error)) => return Err(JournalError::Storage(error).into()),
                    Err(ScanError::Broken(problem)) => {
                        if !is_last || reader.has_later_group(before).map_err(JournalError::Storage)? {
                            return Err(self.damage(before, problem).into());
                        }
                        end.torn = Some(reader.torn(before));
                        break;
                    }
                }
            }
        }
        Ok(end)
    }

    /// Opens the next segment of a replay; `None` where its creation was cut off.
    fn enter(
        &self,
        first: Position,
        end: &mut JournalEnd,
        is_last: bool,
    ) -> Result<Option<SegmentReader>, JournalError> {
        let is_start = first == end.mark.segment;
        let begin = Mark { segment: first, offset: HEADER_BYTES as u64, ..end.mark };
        if !is_start && first != end.mark.position.next() {
            return Err(self.damage(end.mark, format!("the next segment begins at position {first}")));
        }
        let mut reader = SegmentReader::open(self, first)?;
        if let Err(problem) = reader.check_header(self.store_id, first)? {
            // A segment gets its first group after its header was synced: without one it holds nothing.
            let unfinished = is_last && !is_start && !reader.has_later_group(begin)?;
            if !unfinished {
                return Err(self.damage(Mark { offset: 0, ..begin }, problem));
            }
            end.torn = Some(reader.torn(Mark { offset: 0, ..begin }));
            return Ok(None);
        }
        let offset = if is_start { end.mark.offset } else { HEADER_BYTES as u64 };
        if reader.length < offset {
            let problem = format!("the segment ends here, groups up to byte {offset} were acknowledged");
            return Err(self.damage(Mark { offset: reader.length, ..end.mark }, problem));
        }
        reader.offset = offset;
        end.mark = Mark { segment: first, offset, ..end.mark };
        Ok(Some(reader))
    }

    fn damage(&self, at: Mark, problem: String) -> JournalError {
        JournalError::Damaged(JournalDamage {
            segment: self.segment_path(at.segment),
            offset: at.offset,
            after: at.position,
            problem,
        })
    }

    /// Cuts a torn group off, after keeping its bytes beside the segment, and syncs.
    pub(super) fn cut(&self, torn: &mut TornGroup) -> Result<(), StorageError> {
        let kept = torn.segment.with_extension(format!("torn-{}", torn.offset));
        let cut = || -> io::Result<()> {
            let mut file = self.files.open(&torn.segment)?;
            let length = usize::try_from(torn.bytes).map_err(io::Error::other)?;
            let mut bytes = vec![0; length];
            let count = file.read_at(torn.offset, &mut bytes)?;
            match self.files.remove_file(&kept) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.files.create(&kept)?.write_at(0, &bytes[..count])?;
            if torn.offset == 0 {
                drop(file);
                self.files.remove_file(&torn.segment)?;
                return self.files.sync_dir(&self.path);
            }
            file.truncate(torn.offset)?;
            file.sync_data()
        };
        cut().map_err(|error| failed("cutting a torn group off", &torn.segment, error))?;
        torn.kept_as = Some(kept);
        Ok(())
    }

    /// Writes the bytes between two marks of one segment once more, and syncs. After a failed sync the system may
    /// hold bytes that it takes for written although they are not on disk; only writing them again makes a new
    /// sync mean something. The bytes are the same, so a crash in between changes nothing.
    pub(super) fn write_again(&self, from: Mark, to: Mark) -> Result<(), StorageError> {
        let path = self.segment_path(to.segment);
        let start = if from.segment == to.segment { from.offset } else { 0 };
        let again = || -> io::Result<()> {
            let mut file = self.files.open(&path)?;
            let mut bytes = vec![0; READ_BYTES];
            let mut offset = start;
            while offset < to.offset {
                let count = file.read_at(offset, &mut bytes)?;
                let wanted = usize::try_from(to.offset - offset).unwrap_or(usize::MAX).min(count);
                if wanted == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                file.write_at(offset, &bytes[..wanted])?;
                offset += wanted as u64;
            }
            file.sync_data()?;
            self.files.sync_dir(&self.path)
        };
        again().map_err(|error| failed("syncing the end of", &path, error))
    }

    /// The place from which reading reaches a position soonest without an index: the start of its segment.
    pub(super) fn start_of(&self, position: Position) -> Result<Mark, StorageError> {
        let segments = self.segments()?;
        let first = segments.iter().copied().take_while(|first| *first <= position).last();
        let segment = first.or_else(|| segments.first().copied()).unwrap_or(Position(1));
        Ok(Mark { position: Position(segment.0.saturating_sub(1)), segment, offset: HEADER_BYTES as u64 })
    }

    /// Groups after a mark, until one reaches beyond `enough` or the journal ends; used beside the running writer,
    /// so a group that is not whole yet ends it.
    pub(super) fn read_some(
        &self,
        from: Mark,
        synced: Position,
        mut each: impl FnMut(Group, Mark) -> bool,
    ) -> Result<(), JournalError> {
        let mut mark = from;
        while mark.position < synced {
            let mut reader = SegmentReader::open(self, mark.segment)?;
            reader.offset = mark.offset;
            loop {
                if mark.position >= synced {
                    return Ok(());
                }
                match reader.next_group(mark.position) {
                    Ok(Some(group)) => {
                        mark = Mark { position: group.last(), segment: mark.segment, offset: reader.offset };
                        if !each(group, mark) {
                            return Ok(());
                        }
                    }
                    Ok(None) => break,
                    Err(ScanError::Storage(error)) => return Err(error.into()),
                    Err(ScanError::Broken(problem)) => return Err(self.damage(mark, problem)),
                }
            }
            let next = mark.position.next();
            if next == mark.segment {
                return Err(self.damage(mark, "the segment holds less than was acknowledged".to_owned()));
            }
            mark = Mark { segment: next, offset: HEADER_BYTES as u64, ..mark };
            if !self.segments()?.contains(&next) {
                return Err(self.damage(mark, "the segment is missing".to_owned()));
            }
        }
        Ok(())
    }
}

/// The end of the journal, to which one thread appends.
pub(super) struct Journal {
    folder: JournalFolder,
    file: Box<dyn StoreFile>,
    end: Mark,
    segment_bytes_max: u64,
}

impl Journal {
    /// Opens the journal for appending after its last group.
    pub(super) fn open(
        folder: JournalFolder,
        end: Mark,
        segment_bytes_max: u64,
    ) -> Result<Self, StorageError> {
        let path = folder.segment_path(end.segment);
        let file = folder.files.open(&path).map_err(|error| failed("opening", &path, error))?;
        Ok(Self { folder, file, end, segment_bytes_max })
    }

    /// Writes an encoded group and syncs it. After an error nothing may be appended any more: what is on disk is
    /// unknown until the journal is opened again.
    pub(super) fn append(&mut self, encoded: &[u8], last: Position) -> Result<Mark, StorageError> {
        if self.end.offset >= self.segment_bytes_max {
            let first = self.end.position.next();
            self.file = self.folder.create_segment(first)?;
            self.end = Mark { segment: first, offset: HEADER_BYTES as u64, ..self.end };
        }
        let path = || self.folder.segment_path(self.end.segment);
        self.file.write_at(self.end.offset, encoded).map_err(|error| failed("writing", &path(), error))?;
        self.file.sync_data().map_err(|error| failed("syncing", &path(), error))?;
        self.end = Mark {
            position: last,
            segment: self.end.segment,
            offset: self.end.offset + encoded.len() as u64,
        };
        Ok(self.end)
    }
}

enum ScanError {
    Broken(String),
    Storage(StorageError),
}

/// Reads one segment from the front.
struct SegmentReader {
    file: Box<dyn StoreFile>,
    path: PathBuf,
    length: u64,
    /// Where the next frame begins.
    offset: u64,
    buffer: Vec<u8>,
    /// Where the buffer begins.
    buffered: u64,
}

impl SegmentReader {
    fn open(folder: &JournalFolder, first: Position) -> Result<Self, StorageError> {
        let path = folder.segment_path(first);
        let mut file = folder.files.open(&path).map_err(|error| failed("opening", &path, error))?;
        let length = file.length().map_err(|error| failed("measuring", &path, error))?;
        Ok(Self { file, path, length, offset: 0, buffer: Vec::new(), buffered: 0 })
    }

    fn check_header(&mut self, store_id: Uuid, first: Position) -> Result<Result<(), String>, StorageError> {
        let wanted = frame::header(store_id, first);
        Ok(match self.bytes(0, HEADER_BYTES)? {
            Some(found) if found == wanted => Ok(()),
            Some(_) => Err("the segment's header is not that of this store and position".to_owned()),
            None => Err("the segment is shorter than its header".to_owned()),
        })
    }

    /// Bytes of the segment; `None` where it ends before.
    fn bytes(&mut self, offset: u64, length: usize) -> Result<Option<&[u8]>, StorageError> {
        let end = offset + length as u64;
        if end > self.length {
            return Ok(None);
        }
        if offset < self.buffered || end > self.buffered + self.buffer.len() as u64 {
            let wanted = length.max(READ_BYTES);
            self.buffer.resize(wanted, 0);
            let read = self.file.read_at(offset, &mut self.buffer);
            let count = read.map_err(|error| failed("reading", &self.path, error))?;
            self.buffer.truncate(count);
            self.buffered = offset;
            if count < length {
                return Ok(None);
            }
        }
        let start = usize::try_from(offset - self.buffered).unwrap_or(usize::MAX);
        Ok(self.buffer.get(start..start + length))
    }

    /// The group that begins here, after `before`; `None` at the exact end of the segment.
    fn next_group(&mut self, before: Position) -> Result<Option<Group>, ScanError> {
        let mut group = Group::default();
        let mut expected = before.next();
        let mut checksums = 0;
        let mut offset = self.offset;
        loop {
            if offset == self.length && group.events.is_empty() {
                return Ok(None);
            }
            let (frame, next) = self.frame(offset)?;
            offset = next;
            match frame {
                Frame::Event(event, checksum) => {
                    if event.position != expected {
                        let found = event.position;
                        return Err(ScanError::Broken(format!(
                            "position {found} stands where {expected} should"
                        )));
                    }
                    expected = expected.next();
                    checksums = crc32c::crc32c_append(checksums, &checksum.to_le_bytes());
                    group.events.push(event);
                }
                Frame::Trailer(trailer) => {
                    finish(&mut group, trailer, checksums)?;
                    self.offset = offset;
                    return Ok(Some(group));
                }
            }
        }
    }

    fn frame(&mut self, offset: u64) -> Result<(Frame, u64), ScanError> {
        let cut_off = || ScanError::Broken("the segment ends within a group".to_owned());
        let head =
            self.bytes(offset, frame::head_bytes()).map_err(ScanError::Storage)?.ok_or_else(cut_off)?;
        let head: [u8; 8] = head.try_into().map_err(|_| cut_off())?;
        let Some(length) = frame::body_length(head) else {
            return Err(ScanError::Broken("a frame has an impossible length".to_owned()));
        };
        let start = offset + frame::head_bytes() as u64;
        let body = self.bytes(start, length).map_err(ScanError::Storage)?.ok_or_else(cut_off)?;
        let frame = frame::parse(head, body).map_err(ScanError::Broken)?;
        Ok((frame, start + length as u64))
    }

    /// Whether a group after the broken one (which would follow `before`) is in the rest of the segment. Then the
    /// broken one was synced before that was written, and is damaged rather than torn.
    fn has_later_group(&mut self, before: Mark) -> Result<bool, StorageError> {
        let first_of_broken = before.position.next().0;
        let mut offset = before.offset;
        while offset + (frame::head_bytes() as u64) < self.length {
            if let Some(head) = self.bytes(offset, frame::head_bytes())?
                && let Ok(head) = <[u8; 8]>::try_from(head)
                && let Some(length) = frame::body_length(head)
                && offset + 8 + length as u64 <= self.length
                && self.bytes(offset + 8, 1)?.is_some_and(frame::is_trailer)
                && let Some(body) = self.bytes(offset + 8, length)?
                && let Ok(Frame::Trailer(trailer)) = frame::parse(head, body)
                && trailer.last.0.saturating_sub(trailer.events - 1) > first_of_broken
            {
                return Ok(true);
            }
            offset += 1;
        }
        Ok(false)
    }

    fn torn(&self, at: Mark) -> TornGroup {
        TornGroup {
            segment: self.path.clone(),
            offset: at.offset,
            bytes: self.length.saturating_sub(at.offset),
            kept_as: None,
        }
    }
}

fn finish(group: &mut Group, trailer: Trailer, checksums: u32) -> Result<(), ScanError> {
    let fits = trailer.events == group.events.len() as u64
        && trailer.last == group.last()
        && trailer.checksums == checksums;
    if !fits {
        return Err(ScanError::Broken("the end of a group does not fit its events".to_owned()));
    }
    group.openings = trailer.openings;
    group.answers = trailer.answers;
    Ok(())
}

/// The event at a position, read without an index: a scan of its segment, for repair.
pub(super) fn find_event(
    folder: &JournalFolder,
    position: Position,
) -> Result<Option<StoredEvent>, JournalError> {
    let mut found = None;
    folder.read_some(folder.start_of(position)?, position, |group, _| {
        found = group.events.into_iter().find(|event| event.position == position);
        found.is_none()
    })?;
    Ok(found)
}

//! Sorts where the lines of a file stand, in bounded memory: what does not fit is written to temporary files, sorted
//! run by run, and merged when it is read back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::vec;

/// Entries held in memory at a time: 24 MiB.
pub(super) const ENTRIES_HELD_MAX: usize = 1 << 19;

/// Bytes of an entry in a temporary file.
const ENTRY_BYTES: usize = 41;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Event,
    /// A note of the engine's own, which is left out.
    Note,
    /// A wrong line of a case that could be read.
    Wrong,
}

/// Where a line stands. In order of key, then of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// By what lines are sorted: first the case, then the line on which the case appears first.
    pub(super) key: [u8; 16],
    /// From 1.
    pub(super) line: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
    /// CRC-32C of the line, to tell whether the file has changed since.
    pub(super) sum: u32,
    pub(super) kind: Kind,
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..16].copy_from_slice(&self.key);
        bytes[16..24].copy_from_slice(&self.line.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.offset.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.length.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.sum.to_le_bytes());
        bytes[40] = match self.kind {
            Kind::Event => 0,
            Kind::Note => 1,
            Kind::Wrong => 2,
        };
        bytes
    }

    fn read(reader: &mut impl Read) -> io::Result<Self> {
        let key = array(reader)?;
        let line = u64::from_le_bytes(array(reader)?);
        let offset = u64::from_le_bytes(array(reader)?);
        let length = u32::from_le_bytes(array(reader)?);
        let sum = u32::from_le_bytes(array(reader)?);
        let kind = match array(reader)? {
            [0] => Kind::Event,
            [1] => Kind::Note,
            _ => Kind::Wrong,
        };
        Ok(Self { key, line, offset, length, sum, kind })
    }
}

fn array<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Takes entries in any order.
pub(super) struct Sorter {
    held: Vec<Entry>,
    held_max: usize,
    runs: Vec<Run>,
}

impl Sorter {
    /// Holds at most so many in memory.
    pub(super) fn new(held_max: usize) -> Self {
        Self { held: Vec::new(), held_max: held_max.max(1), runs: Vec::new() }
    }

    pub(super) fn push(&mut self, entry: Entry) -> io::Result<()> {
        self.held.push(entry);
        if self.held.len() >= self.held_max {
            self.held.sort_unstable();
            self.runs.push(Run::write(&self.held)?);
            self.held.clear();
        }
        Ok(())
    }

    /// The entries in their order.
    pub(super) fn sorted(mut self) -> io::Result<Sorted> {
        self.held.sort_unstable();
        let held = std::mem::take(&mut self.held).into_iter();
        let mut sorted = Sorted { heads: BinaryHeap::new(), runs: self.runs, held };
        for source in 0..=sorted.runs.len() {
            sorted.pull(source)?;
        }
        Ok(sorted)
    }
}

/// Entries in order, read back.
pub(super) struct Sorted {
    /// The next entry of each run; those in memory count as one more run.
    heads: BinaryHeap<Reverse<(Entry, usize)>>,
    runs: Vec<Run>,
    held: vec::IntoIter<Entry>,
}

impl Sorted {
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let Some(Reverse((entry, source))) = self.heads.pop() else { return Ok(None) };
        self.pull(source)?;
        Ok(Some(entry))
    }

    fn pull(&mut self, source: usize) -> io::Result<()> {
        let next = match self.runs.get_mut(source) {
            Some(run) => run.next()?,
            None => self.held.next(),
        };
        self.heads.extend(next.map(|entry| Reverse((entry, source))));
        Ok(())
    }
}

/// A sorted part, in a temporary file that has no name: nothing is left of it, however the process ends.
struct Run {
    reader: BufReader<File>,
    left: usize,
}

impl Run {
    fn write(entries: &[Entry]) -> io::Result<Self> {
        let mut writer = BufWriter::new(tempfile::tempfile()?);
        for entry in entries {
            writer.write_all(&entry.to_bytes())?;
        }
        let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { reader: BufReader::new(file), left: entries.len() })
    }

    fn next(&mut self) -> io::Result<Option<Entry>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        Entry::read(&mut self.reader).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let kind = prop_oneof![Just(Kind::Event), Just(Kind::Note), Just(Kind::Wrong)];
        (any::<[u8; 16]>(), any::<u64>(), any::<u64>(), any::<u32>(), any::<u32>(), kind)
            .prop_map(|(key, line, offset, length, sum, kind)| Entry { key, line, offset, length, sum, kind })
    }

    proptest! {
        #[test]
        fn entries_come_back_in_order_whatever_fits_in_memory(
            entries in prop::collection::vec(entry(), 0..60),
            held_max in 1_usize..70,
        ) {
            let mut sorter = Sorter::new(held_max);
            for entry in &entries {
                sorter.push(*entry).unwrap();
            }
            let mut sorted = sorter.sorted().unwrap();
            let back: Vec<Entry> = std::iter::from_fn(|| sorted.next().unwrap()).collect();
            let mut expected = entries;
            expected.sort_unstable();
            prop_assert_eq!(back, expected);
        }
    }
}

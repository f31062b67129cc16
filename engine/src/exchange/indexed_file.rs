//! An event file of any length, read case by case in bounded memory, wherever in it a case's lines stand.
//!
//! ```text
//! read      every line checked for its form, on all cores ── where each stands, 41 bytes a line, sorted by case,
//!                                                            then by the line on which the case appears first
//! next_case the lines of one case, read again from where they stand; a line that has changed since is found by its sum
//! ```

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::thread;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::ledger::seal::LEDGER_REFERENCE;

use super::jsonl::{
    CaseLines, EventLine, LINE_BYTES_MAX, LineProblem, RawLine, next_line, parse_line, too_long,
};
use super::line_sort::{ENTRIES_HELD_MAX, Entry, Kind, Sorted, Sorter};

/// The most bytes that the lines of one case may have together: they are held in memory.
pub const CASE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Lines, and bytes of them, that are checked at a time.
const BLOCK_LINES: usize = 4_096;
const BLOCK_BYTES: usize = 4 * 1024 * 1024;

/// A file whose lines were all looked at.
pub struct IndexedFile {
    file: BufReader<File>,
    sorted: Sorted,
    ahead: Option<Entry>,
    /// Lines that hold something.
    pub line_count: u64,
    /// Cases.
    pub case_count: u64,
    /// Wrong lines.
    pub problem_count: u64,
    /// A line is wrong whose case cannot be told: any case of the file may lack it.
    pub has_stray_problem: bool,
    /// Fields that an export adds, and that were left out.
    pub left_out: BTreeSet<&'static str>,
    /// Lines of another log's own case, left out: each log speaks of itself.
    pub own_left_out: u64,
}

/// What is looked at while a file is read.
pub struct Watching<'a> {
    /// Takes each wrong line, in their order.
    pub problem: &'a mut dyn FnMut(LineProblem) -> io::Result<()>,
    /// Bytes looked at so far.
    pub bytes: &'a dyn Fn(u64),
}

/// The next case of a file.
#[derive(Debug)]
pub enum NextCase {
    /// Its lines.
    Lines(CaseLines),
    /// The case has more than [`CASE_BYTES_MAX`] bytes of lines, and they were not read.
    TooLarge {
        /// The case.
        case: String,
        /// Its first line.
        line: usize,
        /// The bytes of its lines.
        bytes: u64,
    },
}

impl IndexedFile {
    /// Reads a file from its beginning to its end. Rules are asked when the events are recorded.
    ///
    /// # Errors
    /// When the file can't be read, or a temporary file can't be written.
    pub fn read(file: File, watching: Watching<'_>) -> io::Result<Self> {
        Self::read_holding(file, watching, ENTRIES_HELD_MAX)
    }

    fn read_holding(mut file: File, watching: Watching<'_>, held_max: usize) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut survey = Survey::new(held_max);
        let mut place = Place { line: 0, offset: 0 };
        loop {
            let block = next_block(&mut reader)?;
            if block.is_empty() {
                break;
            }
            let first = place.line + 1;
            for (checked, raw) in check(&block, first).into_iter().zip(&block) {
                place.line += 1;
                survey.take(checked, raw, &place, watching.problem)?;
                place.offset += raw.length as u64;
            }
            (watching.bytes)(place.offset);
        }
        let (sorted, case_count) = by_first_line(survey.by_case, held_max)?;
        let mut indexed = Self {
            file: reader,
            sorted,
            ahead: None,
            line_count: survey.line_count,
            case_count,
            problem_count: survey.problem_count,
            has_stray_problem: survey.has_stray_problem,
            left_out: survey.left_out,
            own_left_out: survey.own_left_out,
        };
        indexed.ahead = indexed.sorted.next()?;
        Ok(indexed)
    }

    /// The next case, in order of first appearance; `None` after the last.
    ///
    /// # Errors
    /// When the file can't be read; [`io::ErrorKind::InvalidData`] where it has changed since it was looked at.
    pub fn next_case(&mut self) -> io::Result<Option<NextCase>> {
        let Some(first) = self.ahead else { return Ok(None) };
        let mut lines =
            CaseLines { case: String::new(), lines: Vec::new(), has_problem: false, notes_left_out: 0 };
        let mut bytes = 0;
        while let Some(entry) = self.ahead.filter(|entry| entry.key == first.key) {
            let is_first_right = lines.case.is_empty() && entry.kind != Kind::Wrong;
            if is_first_right {
                lines.case = case_of(&self.text(&entry)?).ok_or_else(|| changed(entry.line))?;
            }
            match entry.kind {
                Kind::Wrong => lines.has_problem = true,
                Kind::Note => lines.notes_left_out += 1,
                Kind::Event => {
                    bytes += u64::from(entry.length);
                    if bytes <= CASE_BYTES_MAX {
                        lines.lines.push((number(entry.line), self.text(&entry)?.into()));
                    } else {
                        lines.lines = Vec::new();
                    }
                }
            }
            self.ahead = self.sorted.next()?;
        }
        let case = lines.case.clone();
        Ok(Some(match bytes > CASE_BYTES_MAX {
            true => NextCase::TooLarge { case, line: number(first.line), bytes },
            false => NextCase::Lines(lines),
        }))
    }

    /// A line as it was when the file was looked at.
    fn text(&mut self, entry: &Entry) -> io::Result<Vec<u8>> {
        let at = self.file.stream_position()?;
        let distance = i64::try_from(i128::from(entry.offset) - i128::from(at)).map_err(io::Error::other)?;
        self.file.seek_relative(distance)?;
        let mut text = vec![0; entry.length as usize];
        self.file.read_exact(&mut text).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => changed(entry.line),
            _ => error,
        })?;
        if crc32c::crc32c(&text) != entry.sum {
            return Err(changed(entry.line));
        }
        Ok(text)
    }
}

struct Place {
    line: u64,
    offset: u64,
}

fn changed(line: u64) -> io::Error {
    let problem =
        format!("line {line} is not what it was when the file was checked: the file was changed meanwhile");
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

fn number(line: u64) -> usize {
    usize::try_from(line).unwrap_or(usize::MAX)
}

/// What is known of the lines so far.
struct Survey {
    by_case: Sorter,
    line_count: u64,
    problem_count: u64,
    has_stray_problem: bool,
    left_out: BTreeSet<&'static str>,
    own_left_out: u64,
}

impl Survey {
    fn new(held_max: usize) -> Self {
        Self {
            by_case: Sorter::new(held_max),
            line_count: 0,
            problem_count: 0,
            has_stray_problem: false,
            left_out: BTreeSet::new(),
            own_left_out: 0,
        }
    }

    fn take(
        &mut self,
        checked: Checked,
        raw: &RawLine,
        place: &Place,
        tell: &mut dyn FnMut(LineProblem) -> io::Result<()>,
    ) -> io::Result<()> {
        let (key, kind) = match checked {
            Checked::Empty => return Ok(()),
            Checked::Own => {
                self.line_count += 1;
                self.own_left_out += 1;
                return Ok(());
            }
            Checked::Event { key, kind, left_out } => {
                self.left_out.extend(left_out);
                (Some(key), kind)
            }
            Checked::Wrong(problem) => {
                let key = problem.case.as_deref().map(key_of);
                self.problem_count += 1;
                self.has_stray_problem |= key.is_none();
                tell(LineProblem { line: number(place.line), ..problem })?;
                (key, Kind::Wrong)
            }
        };
        self.line_count += 1;
        let Some(key) = key else { return Ok(()) };
        self.by_case.push(Entry {
            key,
            line: place.line,
            offset: place.offset,
            // A line that is longer than an event may be is wrong, and is never read again.
            length: u32::try_from(raw.length).unwrap_or(u32::MAX),
            sum: crc32c::crc32c(&raw.text),
            kind,
        })
    }
}

/// What a line turned out to be.
enum Checked {
    Empty,
    /// Of another log's own case.
    Own,
    Event {
        key: [u8; 16],
        kind: Kind,
        left_out: Vec<&'static str>,
    },
    Wrong(LineProblem),
}

fn next_block(reader: &mut BufReader<File>) -> io::Result<Vec<RawLine>> {
    let mut block = Vec::new();
    let mut bytes = 0;
    while block.len() < BLOCK_LINES && bytes < BLOCK_BYTES {
        let Some(line) = next_line(reader)? else { break };
        bytes += line.text.len();
        block.push(line);
    }
    Ok(block)
}

/// Checks lines on all cores; answers in their order.
fn check(block: &[RawLine], first: u64) -> Vec<Checked> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let part = block.len().div_ceil(cores).max(1);
    let check_part = |index: usize, lines: &[RawLine]| -> Vec<Checked> {
        let starts_file = first == 1 && index == 0;
        lines.iter().enumerate().map(|(at, line)| check_line(line, starts_file && at == 0)).collect()
    };
    thread::scope(|scope| {
        let rest: Vec<_> = block
            .chunks(part)
            .enumerate()
            .skip(1)
            .map(|(index, lines)| scope.spawn(move || check_part(index, lines)))
            .collect();
        let mut checked = block.chunks(part).next().map(|lines| check_part(0, lines)).unwrap_or_default();
        for other in rest {
            match other.join() {
                Ok(lines) => checked.extend(lines),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        checked
    })
}

fn check_line(line: &RawLine, is_first: bool) -> Checked {
    if line.length > LINE_BYTES_MAX {
        return Checked::Wrong(too_long(line.length));
    }
    match parse_line(&line.text, is_first) {
        Ok(None) => Checked::Empty,
        Ok(Some(EventLine { case, .. })) if case == LEDGER_REFERENCE => Checked::Own,
        Ok(Some(EventLine { case, left_out, is_engine_note, .. })) => {
            let kind = if is_engine_note { Kind::Note } else { Kind::Event };
            Checked::Event { key: key_of(&case), kind, left_out }
        }
        Err(problem) => Checked::Wrong(problem),
    }
}

/// Half of the SHA-256 of a reference: nobody finds two references that share it.
fn key_of(case: &str) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&Sha256::digest(case.as_bytes())[..16]);
    key
}

/// Puts the cases in the order in which they appear first; answers how many there are.
fn by_first_line(by_case: Sorter, held_max: usize) -> io::Result<(Sorted, u64)> {
    let mut sorted = by_case.sorted()?;
    let mut by_line = Sorter::new(held_max);
    let mut case = None;
    let (mut first, mut count) = (0, 0);
    while let Some(entry) = sorted.next()? {
        if case != Some(entry.key) {
            case = Some(entry.key);
            first = entry.line;
            count += 1;
        }
        let mut key = [0; 16];
        key[..8].copy_from_slice(&first.to_be_bytes());
        by_line.push(Entry { key, ..entry })?;
    }
    drop(sorted);
    Ok((by_line.sorted()?, count))
}

/// The case of a line that was found right before.
fn case_of(text: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        case: String,
    }
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    serde_json::from_slice::<Named>(text.trim_ascii()).ok().map(|named| named.case)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::exchange::jsonl;

    fn line(case: &str, number: usize) -> String {
        let by = r#""recorded_by":{"id":"o","role":"r"}"#;
        format!(r#"{{"case":"{case}","type":"note-made","data":{{"n":{number}}},{by}}}"#)
    }

    fn file_of(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    fn read(file: File, held_max: usize) -> (IndexedFile, Vec<LineProblem>) {
        let mut problems = Vec::new();
        let mut problem = |one| {
            problems.push(one);
            Ok(())
        };
        let watching = Watching { problem: &mut problem, bytes: &|_| {} };
        let indexed = IndexedFile::read_holding(file, watching, held_max).unwrap();
        (indexed, problems)
    }

    fn cases(mut indexed: IndexedFile) -> Vec<CaseLines> {
        let mut cases = Vec::new();
        while let Some(next) = indexed.next_case().unwrap() {
            match next {
                NextCase::Lines(lines) => cases.push(lines),
                NextCase::TooLarge { case, .. } => panic!("{case} is small"),
            }
        }
        cases
    }

    #[test]
    fn scattered_lines_come_back_case_by_case_as_the_reader_in_memory_groups_them() {
        let mut text = String::from("\u{feff}");
        for number in 0..10_000_usize {
            // 7 and 97 have no common factor: the cases take turns, and no two runs are alike.
            let case = format!("F/{}", (number * 7 + number / 97) % 97);
            let end = if number % 3 == 0 { "\r\n" } else { "\n" };
            text.push_str(&line(&case, number));
            text.push_str(end);
            if number % 500 == 0 {
                text.push_str("  \n");
            }
        }
        let expected = jsonl::read_file(text.as_bytes()).unwrap();
        for held_max in [64, 1_000, 1 << 19] {
            let (indexed, problems) = read(file_of(text.as_bytes()), held_max);
            assert_eq!((problems, indexed.line_count, indexed.case_count), (vec![], 10_000, 97));
            let names = |cases: &[CaseLines]| {
                let lines = |case: &CaseLines| -> Vec<(usize, Vec<u8>)> {
                    case.lines.iter().map(|(number, text)| (*number, text.to_vec())).collect()
                };
                cases.iter().map(|case| (case.case.clone(), lines(case))).collect::<Vec<_>>()
            };
            assert_eq!(names(&cases(indexed)), names(&expected.cases));
        }
    }

    #[test]
    fn wrong_lines_mark_their_case_and_no_other() {
        let wrong = line("B", 2).replace("\"type\"", "\"tpye\"");
        let text = format!("{}\n{wrong}\n{}\n{}", line("A", 1), line("B", 3), line("C", 4));
        let (indexed, problems) = read(file_of(text.as_bytes()), 2);
        assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [2]);
        assert!(!indexed.has_stray_problem);
        let marked: Vec<_> = cases(indexed).into_iter().map(|case| (case.case, case.has_problem)).collect();
        assert_eq!(marked, [("A".into(), false), ("B".into(), true), ("C".into(), false)]);
    }

    #[test]
    fn a_file_that_changes_after_it_was_looked_at_is_found_out() {
        let text = format!("{}\n{}\n", line("A", 1), line("B", 2));
        for change in ["cut", "written over"] {
            let file = file_of(text.as_bytes());
            let mut other = file.try_clone().unwrap();
            let (mut indexed, _) = read(file, 10);
            indexed.file = BufReader::new(indexed.file.into_inner());
            if change == "cut" {
                other.set_len(text.len() as u64 - 9).unwrap();
            } else {
                other.seek(SeekFrom::Start(text.len() as u64 - 9)).unwrap();
                other.write_all(b"x").unwrap();
            }
            other.seek(SeekFrom::Start(0)).unwrap();
            assert!(
                matches!(indexed.next_case().unwrap(), Some(NextCase::Lines(lines)) if lines.case == "A")
            );
            let error = indexed.next_case().expect_err(change);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{change}: {error}");
            assert!(error.to_string().contains("line 2"), "{error}");
        }
    }

    #[test]
    fn an_empty_file_has_no_case() {
        let (indexed, problems) = read(file_of(b""), 10);
        assert_eq!((indexed.line_count, problems.len(), cases(indexed).len()), (0, 0, 0));
    }
}

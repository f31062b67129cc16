//! A log in XES (IEEE 1849-2016 and older), read trace by trace: memory holds one trace.
//!
//! Strict about XML and structure, lenient about what nobody uses: elements that XES does not have, and everything of the
//! head beside classifiers, are passed over, and a value is looked at only by whoever uses it. Prefixes of elements do not
//! matter, nor which namespace a log names. Document types are refused: entities can be made to grow without bound.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::xes_value::{Attribute, AttributeKind};

/// The longest tag, comment or text between two tags, bytes.
pub const MARKUP_BYTES_MAX: usize = 1 << 20;
/// The most events in one trace.
pub const TRACE_EVENTS_MAX: usize = 100_000;
/// The most bytes of keys and values in one trace.
pub const TRACE_BYTES_MAX: usize = 256 << 20;
/// How deep attributes may stand in one another.
pub const DEPTH_MAX: usize = 32;

/// One trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// Its place in the log, from 1.
    pub number: usize,
    /// The line on which it begins.
    pub line: usize,
    /// Its own attributes.
    pub attributes: Vec<Attribute>,
    /// Its events, in the order of the file.
    pub events: Vec<TraceEvent>,
}

/// One event of a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceEvent {
    /// The line on which it begins.
    pub line: usize,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

/// A way to name events that a log suggests: the keys whose values together tell them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classifier {
    /// What it is called.
    pub name: String,
    /// The keys, as they are written.
    pub keys: String,
}

/// Why a log can't be read.
#[derive(Debug, thiserror::Error)]
pub enum XesError {
    /// The file itself can't be read.
    #[error(transparent)]
    File(io::Error),
    /// What stands in it is no log, or not a whole one.
    #[error("line {line}{}: {problem}", in_words(*.trace, *.event))]
    Content {
        /// The line, from 1.
        line: usize,
        /// The trace, from 1, where it stands in one.
        trace: Option<usize>,
        /// The event of the trace, from 1.
        event: Option<usize>,
        /// What is wrong.
        problem: String,
        /// What to do.
        help: Option<String>,
    },
}

/// Where in the log: `, trace 3, event 5`.
#[must_use]
pub fn in_words(trace: Option<usize>, event: Option<usize>) -> String {
    let trace = trace.map(|trace| format!(", trace {trace}")).unwrap_or_default();
    let event = event.map(|event| format!(", event {event}")).unwrap_or_default();
    trace + &event
}

/// A log, being read.
pub struct XesReader<'r> {
    reader: Reader<Guarded<Box<dyn BufRead + 'r>>>,
    buffer: Vec<u8>,
    open: Vec<Element>,
    trace: Option<Trace>,
    trace_bytes: usize,
    traces: usize,
    seen_log: bool,
    classifiers: Vec<Classifier>,
}

/// What is open at a place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    Log,
    Trace,
    Event,
    /// An attribute, with its whole key.
    Attribute(String),
    /// What is not read, nor anything in it.
    Passed,
}

enum Taken {
    Trace(Trace),
    More,
    End,
}

impl<'r> XesReader<'r> {
    /// A log, plain or packed with gzip: its first bytes tell.
    ///
    /// # Errors
    /// When it can't be read, or is in UTF-16.
    pub fn open(reader: impl Read + 'r) -> Result<Self, XesError> {
        let mut plain = BufReader::new(reader);
        let is_packed = plain.fill_buf().map_err(XesError::File)?.starts_with(&[0x1F, 0x8B]);
        let mut text: Box<dyn BufRead + 'r> =
            if is_packed { Box::new(BufReader::new(MultiGzDecoder::new(plain))) } else { Box::new(plain) };
        let first = text.fill_buf().map_err(broken_packing)?;
        if first.starts_with(b"\xFF\xFE")
            || first.starts_with(b"\xFE\xFF")
            || first.starts_with(b"<\0")
            || first.starts_with(b"\0<")
        {
            return Err(at_line(
                1,
                "the file is in UTF-16, not UTF-8",
                Some("save it as UTF-8: iconv -f UTF-16 -t UTF-8"),
            ));
        }
        if first.starts_with(b"PK\x03\x04") {
            return Err(at_line(
                1,
                "the file is a ZIP archive",
                Some("unpack it, and name the .xes file in it"),
            ));
        }
        Ok(Self {
            reader: Reader::from_reader(Guarded { inner: text, line: 1, left: MARKUP_BYTES_MAX }),
            buffer: Vec::new(),
            open: Vec::new(),
            trace: None,
            trace_bytes: 0,
            traces: 0,
            seen_log: false,
            classifiers: Vec::new(),
        })
    }

    /// The next trace; `None` after the last.
    ///
    /// # Errors
    /// When what follows is no XML, no XES, larger than the limits, or the file ends before the log does.
    pub fn next_trace(&mut self) -> Result<Option<Trace>, XesError> {
        loop {
            match self.step()? {
                Taken::Trace(trace) => return Ok(Some(trace)),
                Taken::End => return Ok(None),
                Taken::More => {}
            }
        }
    }

    /// The classifiers that the log has named so far: they stand before its traces.
    #[must_use]
    pub fn classifiers(&self) -> &[Classifier] {
        &self.classifiers
    }

    fn step(&mut self) -> Result<Taken, XesError> {
        self.buffer.clear();
        let guarded = self.reader.get_mut();
        guarded.left = MARKUP_BYTES_MAX;
        let line = guarded.line;
        let mut buffer = std::mem::take(&mut self.buffer);
        let event = match self.reader.read_event_into(&mut buffer) {
            Ok(event) => event.into_owned(),
            Err(error) => return Err(self.unreadable(line, error)),
        };
        self.buffer = buffer;
        match event {
            Event::Start(tag) => self.begin(line, &tag).map(|()| Taken::More),
            Event::Empty(tag) => {
                self.begin(line, &tag)?;
                Ok(self.end())
            }
            Event::End(_) => Ok(self.end()),
            Event::Decl(declaration) => self.declared(line, &declaration).map(|()| Taken::More),
            Event::DocType(_) => Err(self.wrong(
                line,
                "the file has a document type, which is not read: entities can be made to grow without bound",
                Some("remove <!DOCTYPE …>; XES has none"),
            )),
            Event::Text(text) if self.open.is_empty() && !text.trim().is_empty() => {
                Err(self.wrong(line, "text stands outside of the log", self.no_xes_help()))
            }
            Event::Eof => self.ended(line),
            Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::PI(_) | Event::GeneralRef(_) => {
                Ok(Taken::More)
            }
        }
    }

    fn ended(&self, line: usize) -> Result<Taken, XesError> {
        if !self.seen_log {
            return Err(self.wrong(line, "the file holds no log", self.no_xes_help()));
        }
        if !self.open.is_empty() {
            let help = "the file was cut off; ask for a whole one";
            return Err(self.wrong(line, "the file ends before the log does", Some(help)));
        }
        Ok(Taken::End)
    }

    fn declared(&self, line: usize, declaration: &BytesDecl<'_>) -> Result<(), XesError> {
        let Some(Ok(encoding)) = declaration.encoding() else { return Ok(()) };
        if ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|known| encoding.eq_ignore_ascii_case(known)) {
            return Ok(());
        }
        let problem = format!("the file says that it is in {}, and UTF-8 is read", encoding.escape_debug());
        let help = format!(
            "save it as UTF-8, and say so in its first line: iconv -f {} -t UTF-8",
            encoding.escape_debug()
        );
        Err(self.wrong(line, &problem, Some(&help)))
    }

    fn begin(&mut self, line: usize, tag: &BytesStart<'_>) -> Result<(), XesError> {
        let name = tag.local_name();
        let name: &str = name.as_ref();
        let element = match (self.open.last(), name) {
            (None, "log") if !self.seen_log => {
                self.seen_log = true;
                Element::Log
            }
            (None, _) => {
                let problem = format!("`log` is expected here, and it is `{}`", shown(name));
                return Err(self.wrong(line, &problem, self.no_xes_help()));
            }
            (Some(Element::Log), "trace") => {
                self.traces += 1;
                self.trace_bytes = 0;
                self.trace = Some(Trace { number: self.traces, line, ..Trace::default() });
                Element::Trace
            }
            (Some(Element::Log), "classifier") => {
                let found = self.attributes(line, tag, ["name", "keys"])?;
                if let [Some(name), Some(keys)] = found {
                    self.classifiers.push(Classifier { name, keys });
                }
                Element::Passed
            }
            (Some(Element::Log), "event") => {
                let problem =
                    "an event stands outside of a trace, so that nobody knows which case it belongs to";
                return Err(self.wrong(line, problem, Some("put events into traces, one for each case")));
            }
            (Some(Element::Trace), "event") => {
                self.begin_event(line)?;
                Element::Event
            }
            (Some(Element::Passed), _) => Element::Passed,
            (Some(Element::Trace | Element::Event | Element::Attribute(_)), _) => {
                self.begin_attribute(line, name, tag)?
            }
            (Some(Element::Log), _) => Element::Passed,
        };
        if self.open.len() >= DEPTH_MAX {
            return Err(self.wrong(
                line,
                &format!("elements stand in one another more than {DEPTH_MAX} deep"),
                None,
            ));
        }
        self.open.push(element);
        Ok(())
    }

    fn begin_event(&mut self, line: usize) -> Result<(), XesError> {
        if let Some(trace) = &mut self.trace {
            if trace.events.len() >= TRACE_EVENTS_MAX {
                let problem = format!("the trace has more than {TRACE_EVENTS_MAX} events");
                return Err(self.wrong(line, &problem, None));
            }
            trace.events.push(TraceEvent { line, attributes: Vec::new() });
        }
        Ok(())
    }

    fn begin_attribute(
        &mut self,
        line: usize,
        name: &str,
        tag: &BytesStart<'_>,
    ) -> Result<Element, XesError> {
        let kind = AttributeKind::of(name);
        if kind.is_none() && !matches!(name, "list" | "container" | "values") {
            return Ok(Element::Passed);
        }
        let above = match self.open.last() {
            Some(Element::Attribute(key)) => Some(key.clone()),
            _ => None,
        };
        // XES 1849 puts the members of a list into `values`, which has no key.
        if name == "values" {
            return Ok(above.map_or(Element::Passed, Element::Attribute));
        }
        let [key, value] = self.attributes(line, tag, ["key", "value"])?;
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return Err(self.wrong(line, &format!("a `{name}` has no key"), Some("write key=\"…\"")));
        };
        let key = above.map_or(key.clone(), |above| format!("{above}/{key}"));
        if let Some(kind) = kind {
            let Some(value) = value else {
                let problem = format!("the attribute `{}` has no value", shown(&key));
                return Err(self.wrong(line, &problem, Some("write value=\"…\"")));
            };
            self.trace_bytes += key.len() + value.len();
            if self.trace_bytes > TRACE_BYTES_MAX {
                let problem = format!("the trace holds more than {} MiB", TRACE_BYTES_MAX >> 20);
                return Err(self.wrong(line, &problem, None));
            }
            self.add(Attribute { key: key.clone(), kind, value });
        }
        Ok(Element::Attribute(key))
    }

    fn add(&mut self, attribute: Attribute) {
        let in_event = self.open.contains(&Element::Event);
        if let Some(trace) = &mut self.trace {
            match trace.events.last_mut().filter(|_| in_event) {
                Some(event) => event.attributes.push(attribute),
                None => trace.attributes.push(attribute),
            }
        }
    }

    /// The values of these attributes of a tag, whatever prefix they have.
    fn attributes<const N: usize>(
        &self,
        line: usize,
        tag: &BytesStart<'_>,
        wanted: [&str; N],
    ) -> Result<[Option<String>; N], XesError> {
        let mut found = [const { None }; N];
        for attribute in tag.attributes() {
            let attribute =
                attribute.map_err(|error| self.wrong(line, &format!("a tag is not XML: {error}"), None))?;
            let name = attribute.key.local_name();
            let Some(at) = wanted.iter().position(|wanted| *wanted == name.as_ref()) else { continue };
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| {
                let help = "write & as &amp;; only the five entities of XML itself are known";
                self.wrong(line, &format!("a value is not XML: {error}"), Some(help))
            })?;
            found[at] = Some(value.into_owned());
        }
        Ok(found)
    }

    fn end(&mut self) -> Taken {
        match self.open.pop() {
            Some(Element::Trace) => self.trace.take().map_or(Taken::More, Taken::Trace),
            _ => Taken::More,
        }
    }

    fn unreadable(&mut self, line: usize, error: quick_xml::Error) -> XesError {
        let reached = self.reader.get_mut().line;
        match error {
            quick_xml::Error::Io(error) => {
                if error.get_ref().is_some_and(|inner| inner.is::<TooLong>()) {
                    let problem = format!("a tag or text is longer than {} KiB", MARKUP_BYTES_MAX >> 10);
                    return self.wrong(line, &problem, Some("keep documents elsewhere, and name them here"));
                }
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
                ) {
                    let problem = format!("the packed file is damaged or cut off: {error}");
                    return self.wrong(reached, &problem, Some("ask for a whole one"));
                }
                XesError::File(io::Error::new(error.kind(), error.to_string()))
            }
            quick_xml::Error::Encoding(error) => {
                self.wrong(line, &format!("a text is not UTF-8: {error}"), Some("save the file as UTF-8"))
            }
            quick_xml::Error::Syntax(error) if self.reader.get_mut().is_at_end() => {
                let problem = format!("the file ends in the middle of something: {error}");
                self.wrong(line, &problem, Some("the file was cut off; ask for a whole one"))
            }
            other => self.wrong(line, &format!("this is not XML: {other}"), self.no_xes_help()),
        }
    }

    fn no_xes_help(&self) -> Option<&'static str> {
        (!self.seen_log).then_some("a log in XES is XML that begins with <log …>")
    }

    fn wrong(&self, line: usize, problem: &str, help: Option<&str>) -> XesError {
        let events = self
            .trace
            .as_ref()
            .map(|trace| trace.events.len())
            .filter(|_| self.open.contains(&Element::Event));
        XesError::Content {
            line,
            trace: self.trace.as_ref().map(|trace| trace.number),
            event: events,
            problem: problem.to_owned(),
            help: help.map(str::to_owned),
        }
    }
}

fn at_line(line: usize, problem: &str, help: Option<&str>) -> XesError {
    XesError::Content {
        line,
        trace: None,
        event: None,
        problem: problem.to_owned(),
        help: help.map(str::to_owned),
    }
}

fn broken_packing(error: io::Error) -> XesError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            at_line(1, &format!("the packed file is damaged: {error}"), Some("ask for a whole one"))
        }
        _ => XesError::File(error),
    }
}

/// A text short enough to show.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    short.escape_debug().to_string()
}

/// Counts lines, and ends what goes on for too long.
struct Guarded<R> {
    inner: R,
    line: usize,
    left: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("longer than any tag")]
struct TooLong;

impl<R: BufRead> Guarded<R> {
    fn is_at_end(&mut self) -> bool {
        self.inner.fill_buf().is_ok_and(<[u8]>::is_empty)
    }
}

impl<R: BufRead> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&available[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl<R: BufRead> BufRead for Guarded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::other(TooLong));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if amount == 0 {
            return;
        }
        // What is consumed was filled before: nothing is read here.
        if let Ok(buffer) = self.inner.fill_buf() {
            let taken = &buffer[..amount.min(buffer.len())];
            self.line += taken.iter().filter(|byte| **byte == b'\n').count();
        }
        self.left = self.left.saturating_sub(amount);
        self.inner.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Trace>, XesError> {
        let mut reader = XesReader::open(bytes)?;
        let mut traces = Vec::new();
        while let Some(trace) = reader.next_trace()? {
            traces.push(trace);
        }
        Ok(traces)
    }

    #[track_caller]
    fn names(text: impl AsRef<[u8]>) -> Vec<String> {
        let traces = read(text.as_ref()).unwrap();
        let events = traces.iter().flat_map(|trace| &trace.events);
        events.flat_map(|event| &event.attributes).map(|one| format!("{}={}", one.key, one.value)).collect()
    }

    #[track_caller]
    fn check_refused(text: impl AsRef<[u8]>, expected: &str) {
        let error = read(text.as_ref()).expect_err("it is no whole log").to_string();
        assert!(error.contains(expected), "{error}");
    }

    fn log(inside: &str) -> String {
        format!("<log>\n<trace>\n<event>\n{inside}\n</event>\n</trace>\n</log>")
    }

    const NAMED: &str = r#"<string key="concept:name" value="a"/>"#;

    #[test]
    fn a_trace_has_its_attributes_its_events_and_their_lines() {
        let text = "<?xml version='1.0' encoding='utf-8'?>\n<log xmlns='http://www.xes-standard.org/'>\n<string key='x' value='of the log'/>\n<trace>\n<id key='identity:id' value='7'/>\n<event>\n<date key='time:timestamp' value='2024-03-05'/></event>\n<event/></trace></log>";
        let traces = read(text.as_bytes()).unwrap();
        let [trace] = traces.as_slice() else { panic!("{traces:?}") };
        assert_eq!((trace.number, trace.line, trace.events[0].line, trace.events[1].line), (1, 4, 6, 8));
        let id = Attribute { key: "identity:id".into(), kind: AttributeKind::Id, value: "7".into() };
        assert_eq!(trace.attributes, [id]);
        assert_eq!(trace.events[0].attributes[0].kind, AttributeKind::Date);
    }

    #[test]
    fn prefixes_byte_order_marks_and_unknown_elements_do_not_matter() {
        let prefixed = "\u{feff}<xes:log xmlns:xes='http://www.xes-standard.org/'><xes:extension name='Concept'/><xes:global scope='event'><xes:string key='concept:name' value='x'/></xes:global><xes:trace><xes:event><xes:string xes:key='concept:name' xes:value='a'/><vendor:thing><string key='not' value='read'/></vendor:thing></xes:event></xes:trace></xes:log>";
        assert_eq!(names(prefixed), ["concept:name=a"]);
    }

    #[test]
    fn attributes_in_attributes_and_lists_have_the_keys_above_them() {
        let text = log(
            "<string key='a' value='1'><int key='b' value='2'/></string><list key='l'><values><string key='x' value='3'/></values></list><container key='c'><string key='y' value='4'/></container><list key='m'><string key='z' value='5'/></list>",
        );
        assert_eq!(names(text), ["a=1", "a/b=2", "l/x=3", "c/y=4", "m/z=5"]);
    }

    #[test]
    fn the_five_entities_and_characters_by_number_are_read() {
        assert_eq!(
            names(log("<string key='a' value='&lt;&amp;&gt;&quot;&apos;&#233;&#x41;'/>")),
            ["a=<&>\"'éA"]
        );
    }

    #[test]
    fn a_packed_log_is_read_and_a_damaged_one_refused() {
        let mut packed = Vec::new();
        let mut writer = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::fast());
        let text = log(&NAMED.repeat(2_000));
        writer.write_all(text.as_bytes()).unwrap();
        writer.finish().unwrap();
        assert_eq!(names(&packed).len(), 2_000);
        check_refused(&packed[..packed.len() / 2], "cut off");
        packed[40] ^= 0xFF;
        assert!(read(&packed).is_err());
    }

    #[test]
    fn what_is_not_xml_is_refused_with_its_place() {
        check_refused(log("<string key='a' value='1'>"), "line 5, trace 1, event 1: this is not XML");
        check_refused(log("<string key='a' value=1/>"), "line 4, trace 1, event 1: a tag is not XML");
        check_refused(log("<string key='a' key='b' value='1'/>"), "a tag is not XML");
        check_refused(log("<string key='a' value='&nbsp;'/>"), "a value is not XML");
        check_refused(
            log("<string key='a' value='x"),
            "line 4, trace 1, event 1: the file ends in the middle",
        );
        check_refused("<log><trace><event>", "line 1, trace 1, event 1: the file ends before the log does");
        check_refused("<log/>\n<log/>", "line 2: `log` is expected here");
        check_refused("hello", "text stands outside");
        check_refused("", "the file holds no log");
        check_refused("<html><body/></html>", "`log` is expected here, and it is `html`");
        check_refused("<log><event/></log>", "an event stands outside of a trace");
    }

    #[test]
    fn entities_of_its_own_are_refused() {
        let bomb = "<!DOCTYPE log [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>\n<log><trace><string key='x' value='&b;'/></trace></log>";
        check_refused(bomb, "document type");
    }

    #[test]
    fn other_encodings_are_refused() {
        check_refused(
            "<?xml version='1.0' encoding='ISO-8859-1'?><log/>",
            "line 1: the file says that it is in ISO-8859-1",
        );
        check_refused(b"\xFF\xFE<\0l\0", "UTF-16");
        check_refused(b"<\0l\0o\0", "UTF-16");
        let mut latin = log("<string key='a' value='X'/>").into_bytes();
        let at = latin.iter().position(|byte| *byte == b'X').unwrap();
        latin[at] = 0xE9;
        check_refused(latin, "line 4, trace 1, event 1: a text is not UTF-8");
        check_refused(b"PK\x03\x04rest", "ZIP");
    }

    #[test]
    fn limits_end_what_goes_on_for_too_long() {
        // Reading goes by pieces: what ends within the last one is taken.
        let long = "x".repeat(MARKUP_BYTES_MAX + (1 << 16));
        check_refused(
            log(&format!("<string key='a' value='{long}'/>")),
            "line 4, trace 1, event 1: a tag or text is longer",
        );
        check_refused(log(&long), "longer than 1024 KiB");
        let deep = "<container key='a'>".repeat(DEPTH_MAX);
        check_refused(log(&deep), "deep");
        check_refused(log("<string value='1'/>"), "a `string` has no key");
        check_refused(log("<string key='a'/>"), "the attribute `a` has no value");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_text_like_a_log_makes_it_panic(parts in proptest::collection::vec("<log>|</log>|<trace>|</trace>|<event>|</event>|<string key='a' value='b'>|</string>|<values>|</values>|&|<!|>|x|<list key='l'/>", 0..20)) {
            let _ = read(parts.concat().as_bytes());
        }
    }
}

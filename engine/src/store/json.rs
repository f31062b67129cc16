//! JSON within limits: the canonical form (RFC 8785), and strict reading of what comes from outside.
//!
//! Writing and reading keep the same limits, so that what was read can be written: no floating point, integers within
//! ±2^53, no U+0000, at most 32 levels of nesting. Reading from outside also refuses duplicate keys and lone
//! surrogates, and normalises text to NFC, so that one text has one spelling in the log.

use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed};
use serde_json::Value;

/// The deepest nesting of objects and lists; the document itself is the first level.
pub const DEPTH_MAX: usize = 32;

/// Integers lie between minus this and this, 2^53: beyond it other readers of JSON round them.
pub const INTEGER_MAX: u64 = 1 << 53;

/// Why bytes are not an event, or an event has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct CodecError {
    /// What is wrong, and where in the document.
    pub problem: String,
}

impl CodecError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into() }
    }
}

/// The canonical form (RFC 8785) of any document that keeps the limits of the module.
///
/// # Errors
/// When it breaks one of them.
pub fn canonical(value: &Value) -> Result<Vec<u8>, CodecError> {
    let mut path = Path::default();
    check(value, &mut path).map_err(|problem| CodecError::new(format!("{path}{problem}")))?;
    let written = if in_canonical_order(value) {
        serde_json::to_vec(value)
    } else {
        serde_json_canonicalizer::to_vec(value)
    };
    written.map_err(|error| CodecError::new(error.to_string()))
}

/// Checks the fields of an object that stands under a name of its document; answers whether serde_json writes them as
/// RFC 8785 does.
pub(super) fn check_fields(name: &str, fields: &serde_json::Map<String, Value>) -> Result<bool, CodecError> {
    let mut path = Path::default();
    path.steps.push(Step::Key(name.to_owned()));
    for (key, field) in fields {
        let checked = check_text(key).and_then(|()| {
            path.steps.push(Step::Key(key.clone()));
            check(field, &mut path)
        });
        checked.map_err(|problem| CodecError::new(format!("{path}{problem}")))?;
        path.steps.pop();
    }
    Ok(fields.keys().all(|key| key.is_ascii()) && fields.values().all(in_canonical_order))
}

/// Whether the bytes are the canonical form of the document they hold.
#[must_use]
pub fn is_canonical(bytes: &[u8]) -> bool {
    // A duplicate key would be dropped here, so the forms would differ.
    serde_json::from_slice(bytes).is_ok_and(|value| canonical(&value).is_ok_and(|written| written == bytes))
}

/// Parses one JSON document from outside: refuses duplicate keys, lone surrogates, U+0000, floating point, integers
/// beyond ±2^53 and depth over 32; normalises text to NFC.
///
/// # Errors
/// When the text is not JSON or breaks one of these limits; the error names the place.
pub fn parse_strict(text: &[u8]) -> Result<Value, CodecError> {
    let text = std::str::from_utf8(text).map_err(|error| {
        CodecError::new(format!("the text is not UTF-8 at byte {}: save it as UTF-8", error.valid_up_to()))
    })?;
    if text.starts_with('\u{feff}') {
        return Err(CodecError::new("the text starts with a byte order mark: save it as UTF-8 without one"));
    }
    if text.trim().is_empty() {
        return Err(CodecError::new("the text is empty: expected one JSON document"));
    }
    let mut path = Path::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let strict = strict::AnyValue { path: &mut path };
    let value = strict.deserialize(&mut json).map_err(|error| placed(&error))?;
    json.end().map_err(|error| placed(&error))?;
    Ok(value)
}

/// Parses one JSON document from outside as [`parse_strict`] does, into a type.
///
/// # Errors
/// As [`parse_strict`], and when the document is not of that type.
pub fn parse_strict_into<T: DeserializeOwned>(text: &[u8]) -> Result<T, CodecError> {
    let value = parse_strict(text)?;
    T::deserialize(value).map_err(|error| match serde_json::from_slice::<T>(text) {
        // The same mistake again, now with line and column.
        Err(with_place) => placed(&with_place),
        Ok(_) => placed(&error),
    })
}

/// serde_json's error with its place in front, where it has one.
pub(super) fn placed(error: &serde_json::Error) -> CodecError {
    let text = error.to_string();
    if error.line() == 0 {
        return CodecError::new(text);
    }
    let (line, column) = (error.line(), error.column());
    let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    let words = match plain(what) {
        Some(words) if error.is_data() => words.to_owned(),
        Some(words) => format!("this is not JSON: {words}"),
        None if error.is_data() => what.to_owned(),
        None => format!("this is not JSON: {what}"),
    };
    CodecError::new(format!("line {line}, column {column}: {words}"))
}

/// What the parser says in its own terms, for people who do not write parsers.
fn plain(what: &str) -> Option<&'static str> {
    Some(match what {
        "EOF while parsing a list" => "it ends inside a list: close it with `]`",
        "EOF while parsing an object" => "it ends inside an object: close it with `}`",
        "EOF while parsing a string" => "it ends inside a text: close it with `\"`",
        "EOF while parsing a value" => "it ends where a value is to follow: write the rest of it",
        "expected `:`" => "a `:` is to follow the name of a field: write \"name\": value",
        "expected ident" => "this word has no meaning: write texts in quotes, or true, false or null",
        "expected value" => {
            "no value begins here: write texts and names in \"double quotes\", numbers in digits, lists in [ ], objects \
             in { }"
        }
        "expected `\"`" | "key must be a string" => {
            "the name of a field is to stand here: write it in \"double quotes\""
        }
        "invalid escape" => {
            "after `\\` only \" \\ / b f n r t or uXXXX may follow: write a backslash itself as `\\\\`"
        }
        "invalid number" => "this number is not complete: write it in digits, such as 12",
        "number out of range" => "this number is too large: write it as text",
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            "`\\uD800` to `\\uDFFF` are halves of a character (lone surrogates) and have no meaning alone: write both \
             halves, or the character itself"
        }
        "invalid unicode code point" => "this escape is no character: write the character itself",
        "control character (\\u0000-\\u001F) found while parsing a string" => {
            "a text holds a line break or another control character: write a line break as \\n, a tab as \\t"
        }
        "trailing comma" => "a comma stands before the end: remove it",
        "trailing characters" => "something follows where the document ends: remove it",
        "recursion limit exceeded" => "objects and lists are nested too deep",
        _ => return None,
    })
}

/// Where in a document something stands, such as `data.charges[2].name`.
#[derive(Debug, Default)]
struct Path {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl fmt::Display for Path {
    /// Ends in `: `, to stand before what is wrong; empty for the document itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.steps.iter().enumerate() {
            match step {
                Step::Key(key) if place == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        f.write_str(if self.steps.is_empty() { "" } else { ": " })
    }
}

/// Leaves the path at the place where the first limit is broken.
fn check(value: &Value, path: &mut Path) -> Result<(), String> {
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => check_integer(integer.unsigned_abs(), &number),
            (None, Some(integer)) => check_integer(integer, &number),
            (None, None) => Err(not_whole(&number)),
        },
        Value::String(text) => check_text(text),
        Value::Array(items) => {
            check_depth(path)?;
            for (index, item) in items.iter().enumerate() {
                path.steps.push(Step::Index(index));
                check(item, path)?;
                path.steps.pop();
            }
            Ok(())
        }
        Value::Object(fields) => {
            check_depth(path)?;
            for (key, field) in fields {
                check_text(key)?;
                path.steps.push(Step::Key(key.clone()));
                check(field, path)?;
                path.steps.pop();
            }
            Ok(())
        }
    }
}

fn check_depth(path: &Path) -> Result<(), String> {
    if path.steps.len() >= DEPTH_MAX {
        return Err(format!("objects and lists are nested more than {DEPTH_MAX} deep"));
    }
    Ok(())
}

fn check_integer(magnitude: u64, number: &dyn fmt::Display) -> Result<(), String> {
    if magnitude > INTEGER_MAX {
        return Err(format!(
            "{number} is beyond ±{INTEGER_MAX}, where other programs round integers: write it as text"
        ));
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), String> {
    match text.bytes().position(|byte| byte == 0) {
        Some(at) => Err(format!("the text has the character U+0000 at byte {at}: remove it")),
        None => Ok(()),
    }
}

fn not_whole(number: &dyn fmt::Display) -> String {
    format!(
        "{number} is not a whole number within ±{INTEGER_MAX}: write amounts in the smallest unit without fraction or \
         exponent, or as text"
    )
}

/// Whether serde_json writes the document as RFC 8785 does: its escapes are the same, so only the order of keys
/// counts. Keys beyond ASCII are left to the canonicaliser, which sorts by UTF-16.
fn in_canonical_order(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(items) => items.iter().all(in_canonical_order),
        Value::Object(fields) => {
            fields.keys().all(|key| key.is_ascii())
                && fields.keys().is_sorted()
                && fields.values().all(in_canonical_order)
        }
    }
}

mod strict {
    //! Reads any JSON value while keeping the limits, without trusting the reader below to keep them.

    use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
    use serde_json::{Map, Value};
    use unicode_normalization::{UnicodeNormalization, is_nfc};

    use super::{Path, Step, check_depth, check_integer, check_text, not_whole};

    pub(super) struct AnyValue<'p> {
        pub(super) path: &'p mut Path,
    }

    impl AnyValue<'_> {
        fn refuse<T, E: Error>(&self, found: Result<T, String>) -> Result<T, E> {
            found.map_err(|problem| E::custom(format_args!("{}{problem}", self.path)))
        }

        fn text<E: Error>(&self, text: String) -> Result<String, E> {
            self.refuse(check_text(&text))?;
            Ok(if text.is_ascii() || is_nfc(&text) { text } else { text.nfc().collect() })
        }
    }

    impl<'de> DeserializeSeed<'de> for AnyValue<'_> {
        type Value = Value;

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
            deserializer.deserialize_any(self)
        }
    }

    impl<'de> Visitor<'de> for AnyValue<'_> {
        type Value = Value;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a JSON value")
        }

        fn visit_unit<E: Error>(self) -> Result<Value, E> {
            Ok(Value::Null)
        }

        fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
            Ok(Value::Bool(truth))
        }

        fn visit_i64<E: Error>(self, integer: i64) -> Result<Value, E> {
            self.refuse(check_integer(integer.unsigned_abs(), &integer))?;
            Ok(Value::from(integer))
        }

        fn visit_u64<E: Error>(self, integer: u64) -> Result<Value, E> {
            self.refuse(check_integer(integer, &integer))?;
            Ok(Value::from(integer))
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
            self.refuse(Err(not_whole(&number)))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
            self.visit_string(text.to_owned())
        }

        fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
            self.text(text).map(Value::String)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
            self.refuse(check_depth(self.path))?;
            let mut items = Vec::new();
            loop {
                self.path.steps.push(Step::Index(items.len()));
                let Some(item) = list.next_element_seed(AnyValue { path: &mut *self.path })? else {
                    break;
                };
                self.path.steps.pop();
                items.push(item);
            }
            self.path.steps.pop();
            Ok(Value::Array(items))
        }

        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
            self.refuse(check_depth(self.path))?;
            let mut fields = Map::new();
            while let Some(key) = object.next_key::<String>()? {
                let key = self.text(key)?;
                self.path.steps.push(Step::Key(key.clone()));
                if fields.contains_key(&key) {
                    return self.refuse(Err("this key stands twice in its object: keep one".to_owned()));
                }
                let field = object.next_value_seed(AnyValue { path: &mut *self.path })?;
                self.path.steps.pop();
                fields.insert(key, field);
            }
            Ok(Value::Object(fields))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[track_caller]
    fn check_canonical(text: &str, expected: &str) {
        let value = parse_strict(text.as_bytes()).unwrap();
        let bytes = canonical(&value).unwrap();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        assert!(is_canonical(&bytes));
    }

    #[test]
    fn the_examples_of_rfc_8785_that_have_no_floats_come_out_as_printed_there() {
        // Section 3.2.3: sorting by UTF-16 code units, so that U+1F600 (a surrogate pair) stands before U+FB33. There
        // the last key is U+FB33 itself; it is here too, kept from NFC by reading without normalisation.
        let sorting = "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\
                       \"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\",\
                       \"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}";
        let sorted = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
                      \"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\
                      \"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}";
        let value: Value = serde_json::from_str(sorting).unwrap();
        assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), sorted);

        // Section 3.2.2: escapes and literals.
        check_canonical(
            "{\"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\", \"literals\": [null, true, false]}",
            "{\"literals\":[null,true,false],\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
        );
        check_canonical("\"\\b\\t\\n\\f\\r\\u001f\\u007f\"", "\"\\b\\t\\n\\f\\r\\u001f\u{7f}\"");
    }

    #[test]
    fn integers_are_written_up_to_two_to_the_53rd() {
        check_canonical("[9007199254740992, -9007199254740992, 0]", "[9007199254740992,-9007199254740992,0]");
        check_canonical(
            "{\"é\": 9007199254740992, \"a\": -9007199254740992}",
            "{\"a\":-9007199254740992,\"é\":9007199254740992}",
        );
        assert!(canonical(&json!(9_007_199_254_740_993_u64)).is_err());
        assert!(canonical(&json!(i64::MIN)).is_err());
        assert!(canonical(&json!(u64::MAX)).is_err());
        assert!(canonical(&json!(1.5)).is_err());
    }

    #[track_caller]
    fn check_refused(text: &[u8], says: &str) {
        let problem = parse_strict(text).unwrap_err().to_string();
        assert!(problem.contains(says), "{problem}");
    }

    #[test]
    fn what_breaks_a_limit_is_refused_with_its_place() {
        check_refused(
            br#"{"a":{"b":[1,{"c":1,"c":2}]}}"#,
            "line 1, column 23: a.b[1].c: this key stands twice",
        );
        check_refused("{\"é\":1,\"e\u{301}\":2}".as_bytes(), "é: this key stands twice");
        check_refused(b"{\"a\":1.5}", "a: 1.5 is not a whole number");
        check_refused(b"[1, 1e3]", "[1]: 1000 is not a whole number");
        check_refused(b"[9007199254740993]", "[0]: 9007199254740993 is beyond");
        check_refused(b"[-9007199254740993]", "[0]: -9007199254740993 is beyond");
        check_refused(b"123456789012345678901234567890", "is not a whole number");
        check_refused(b"{\"a\":\"x\\u0000\"}", "a: the text has the character U+0000 at byte 1");
        check_refused(b"{\"\\u0000\":1}", "U+0000");
        check_refused(
            br#"["\ud800"]"#,
            "line 1, column 9: this is not JSON: `\\uD800` to `\\uDFFF` are halves",
        );
        check_refused(br#"["\udc00x"]"#, "line 1, column");
        check_refused(b"{\"a\":\n \"x\xff\"}", "not UTF-8 at byte 9");
        check_refused(b"\xef\xbb\xbf{}", "byte order mark");
        check_refused(b"  \n", "is empty");
        check_refused(b"{\"a\": nope}", "line 1, column 8: this is not JSON: this word has no meaning");
        check_refused(
            b"{} {}",
            "line 1, column 4: this is not JSON: something follows where the document ends",
        );
        check_refused(b"{\"a\":\n1,}", "line 2, column 3: this is not JSON");
    }

    #[test]
    fn thirty_two_levels_are_read_and_written_and_one_more_is_refused() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        check_canonical(&nested(DEPTH_MAX), &nested(DEPTH_MAX));
        check_refused(nested(DEPTH_MAX + 1).as_bytes(), "nested more than 32 deep");
        let deep: Value = serde_json::from_str(&nested(DEPTH_MAX + 1)).unwrap();
        assert!(canonical(&deep).unwrap_err().to_string().contains("nested more than 32 deep"));
        check_refused(nested(100_000).as_bytes(), "nested more than 32 deep");
    }

    #[test]
    fn text_from_outside_is_normalised_to_nfc() {
        check_canonical("{\"cafe\\u0301\": \"e\\u0301\"}", "{\"café\":\"é\"}");
        assert!(is_canonical("\"e\u{301}\"".as_bytes()), "stored text is compared as it is");
    }

    #[test]
    fn other_forms_are_not_canonical() {
        for text in [
            "{\"b\":1,\"a\":2}",
            "{\"a\": 1}",
            "\"\\/\"",
            "\"\\u0041\"",
            "{\"a\":1,\"a\":1}",
            "1.0",
            "-0",
            "{",
            "",
        ] {
            assert!(!is_canonical(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_document_of_another_type_is_refused_with_line_and_column() {
        let problem = parse_strict_into::<Vec<String>>(b"[\"a\",\n 2]").unwrap_err().to_string();
        assert_eq!(problem, "line 2, column 2: invalid type: integer `2`, expected a string");
        assert_eq!(parse_strict_into::<Vec<String>>(b"[\"e\\u0301\"]").unwrap(), ["é"]);
    }

    /// Any document within the limits, keys beyond ASCII and beyond the first plane included.
    pub(crate) fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
            "[^\\x00]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("[a-cé€\u{1f600}\u{fb33}\r\"]{0,3}", inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// The same document with the keys of every object in another order and with white space.
    fn shuffled(value: &Value, seed: usize) -> String {
        match value {
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| shuffled(item, seed)).collect();
                format!("[ {} ]", items.join(" ,\n"))
            }
            Value::Object(fields) => {
                let mut fields: Vec<String> = fields
                    .iter()
                    .map(|(key, field)| format!("{}: {}", json!(key), shuffled(field, seed / 2)))
                    .collect();
                if seed.is_multiple_of(3) {
                    fields.reverse();
                }
                if !fields.is_empty() {
                    let turn = seed % fields.len();
                    fields.rotate_left(turn);
                }
                format!("{{ {} }}", fields.join(" , "))
            }
            leaf => leaf.to_string(),
        }
    }

    proptest! {
        #[test]
        fn the_order_of_keys_never_changes_the_canonical_bytes(value in document(), seed in any::<usize>()) {
            let value = parse_strict(value.to_string().as_bytes());
            prop_assume!(value.is_ok(), "two keys may be one after normalisation");
            let value = value.unwrap();
            let bytes = canonical(&value).unwrap();
            let again = parse_strict(shuffled(&value, seed).as_bytes()).unwrap();
            prop_assert_eq!(&canonical(&again).unwrap(), &bytes);
            prop_assert!(is_canonical(&bytes));
        }

        #[test]
        fn the_fast_way_of_writing_agrees_with_the_canonicaliser(value in document()) {
            prop_assert_eq!(canonical(&value).unwrap(), serde_json_canonicalizer::to_vec(&value).unwrap());
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[\\[\\]{}\",:0-9a-e\\\\u.-]{0,30}") {
            let _ = parse_strict(&bytes);
            let _ = parse_strict(text.as_bytes());
        }
    }
}

//! The grammar of conditions: text to syntax tree, with the place of everything in it.
//!
//! What is admitted is read exactly as CEL reads it: the same literals, the same precedence. What is CEL but not
//! admitted is recognised and refused with a sentence that says what to write instead.

use std::ops::Range;

/// The longest condition that is read, in bytes.
pub const CONDITION_LENGTH_MAX: usize = 8_192;
/// The deepest nesting that is read.
pub const CONDITION_DEPTH_MAX: usize = 32;

/// A piece of syntax and where it stands, in bytes of the condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Syntax {
    pub(crate) form: Form,
    pub(crate) span: Range<usize>,
}

/// The forms that the subset has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    Null,
    Boolean(bool),
    Integer(i64),
    Text(String),
    List(Vec<Syntax>),
    Name(String),
    /// `a.b`: the field's own place beside it.
    Field(Box<Syntax>, String, Range<usize>),
    /// `f(a)` or `a.f(b)`: the function's own place beside it.
    Call(Option<Box<Syntax>>, String, Range<usize>, Vec<Syntax>),
    Not(Box<Syntax>),
    And(Vec<Syntax>),
    Or(Vec<Syntax>),
    Relation(Relation, Box<Syntax>, Box<Syntax>),
}

/// CEL's relations: one precedence, read from the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

/// Why a condition was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxProblem {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl SyntaxProblem {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    fn with_help(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: Some(help.into()) }
    }

    fn outside(span: Range<usize>, what: &str, help: &str) -> Self {
        Self::with_help(
            span,
            format!("{what} is CEL, but not part of the subset that conditions are written in"),
            help,
        )
    }
}

/// Reads a condition.
pub(crate) fn parse(source: &str) -> Result<Syntax, SyntaxProblem> {
    if source.len() > CONDITION_LENGTH_MAX {
        return Err(SyntaxProblem::with_help(
            0..0,
            format!("the condition is longer than {CONDITION_LENGTH_MAX} bytes"),
            "split it into several rules",
        ));
    }
    let mut reader =
        Reader { tokens: Tokenizer { source, at: 0 }.all()?, next: 0, depth: 0, end: source.len() };
    let syntax = reader.or()?;
    match reader.peek() {
        None => Ok(syntax),
        Some(_) => Err(reader.unexpected("the end of the condition")),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Integer(u64),
    Text(String),
    Sign(&'static str),
}

/// Signs, longer ones first. Those of the last two rows are CEL or near it, and refused by the reader.
const SIGNS: [&str; 26] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ",", ".", //
    "{", "}", "?", ":", "+", "-", "*", "/", "%", //
    "=", "&",
];

/// Words that CEL keeps for itself.
const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "in",
];

struct Tokenizer<'s> {
    source: &'s str,
    at: usize,
}

impl Tokenizer<'_> {
    fn all(mut self) -> Result<Vec<(Token, Range<usize>)>, SyntaxProblem> {
        let mut tokens = Vec::new();
        loop {
            self.skip_space();
            let start = self.at;
            let Some(first) = self.rest().chars().next() else { return Ok(tokens) };
            let token = match first {
                'a'..='z' | 'A'..='Z' | '_' => self.name()?,
                '0'..='9' => self.number()?,
                '\'' | '"' => self.text(first)?,
                '`' => {
                    let help = "fields are named in letters, digits and underscores";
                    return Err(SyntaxProblem::outside(start..start + 1, "a name in back quotes", help));
                }
                _ => self.sign(first)?,
            };
            tokens.push((token, start..self.at));
        }
    }

    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let spaces = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']).len();
            self.at += spaces;
            if !self.rest().starts_with("//") {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        self.at += self.rest().find(|c| !keep(c)).unwrap_or(self.rest().len());
        &self.source[start..self.at]
    }

    fn name(&mut self) -> Result<Token, SyntaxProblem> {
        let start = self.at;
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_owned();
        let is_prefix = matches!(name.to_ascii_lowercase().as_str(), "r" | "b" | "rb" | "br");
        if is_prefix && self.rest().starts_with(['\'', '"']) {
            let help = "write an ordinary text in single quotes";
            return Err(SyntaxProblem::outside(start..self.at + 1, "a raw or byte text", help));
        }
        Ok(Token::Name(name))
    }

    fn number(&mut self) -> Result<Token, SyntaxProblem> {
        let start = self.at;
        let written = self.take_while(|c| c.is_ascii_alphanumeric()).to_owned();
        let fraction =
            self.rest().starts_with('.') && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit());
        let digits = written.strip_prefix("0x").or_else(|| written.strip_prefix("0X"));
        let value = match digits {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => written.parse(),
        };
        match value {
            Ok(value) if !fraction => Ok(Token::Integer(value)),
            _ => {
                let help = "numbers are whole numbers that fit in 64 bits";
                Err(SyntaxProblem::outside(start..self.at, &format!("the number `{written}…`"), help))
            }
        }
    }

    fn text(&mut self, quote: char) -> Result<Token, SyntaxProblem> {
        let start = self.at;
        if self.rest().starts_with(if quote == '"' { "\"\"\"" } else { "'''" }) {
            let help = "write an ordinary text in single quotes";
            return Err(SyntaxProblem::outside(start..start + 3, "a text in triple quotes", help));
        }
        self.at += 1;
        let mut text = String::new();
        while let Some(next) = self.rest().chars().next() {
            self.at += next.len_utf8();
            match next {
                '\\' => text.push(self.escape()?),
                '\n' | '\r' => break,
                _ if next == quote => return Ok(Token::Text(text)),
                _ => text.push(next),
            }
        }
        Err(SyntaxProblem::with_help(
            start..start + 1,
            "a text is not closed",
            format!("end it with {quote}"),
        ))
    }

    fn escape(&mut self) -> Result<char, SyntaxProblem> {
        let start = self.at - 1;
        let letter = self.rest().chars().next();
        self.at += letter.map_or(0, char::len_utf8);
        let plain = match letter {
            Some('a') => Some('\u{7}'),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('v') => Some('\u{b}'),
            Some(c @ ('\\' | '?' | '"' | '\'' | '`')) => Some(c),
            Some('x' | 'X') => self.digits(0, 2, 16),
            Some('u') => self.digits(0, 4, 16),
            Some('U') => self.digits(0, 8, 16),
            Some('0'..='3') => self.digits(1, 3, 8),
            _ => None,
        };
        plain.ok_or_else(|| {
            let help = "write \\\\ for a backslash and \\' for a quote";
            SyntaxProblem::with_help(start..self.at, "an escape that CEL does not have", help)
        })
    }

    /// A character by its number, from `back` bytes before here and `length` digits long.
    fn digits(&mut self, back: usize, length: usize, radix: u32) -> Option<char> {
        let start = self.at - back;
        let digits = self.source.get(start..start + length)?;
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        self.at = start + length;
        u32::from_str_radix(digits, radix).ok().and_then(char::from_u32)
    }

    fn sign(&mut self, first: char) -> Result<Token, SyntaxProblem> {
        let start = self.at;
        let Some(sign) = SIGNS.into_iter().find(|sign| self.rest().starts_with(sign)) else {
            let end = start + first.len_utf8();
            return Err(SyntaxProblem::new(
                start..end,
                format!("`{}` has no meaning here", first.escape_debug()),
            ));
        };
        self.at += sign.len();
        let end = self.at;
        match sign {
            "=" => {
                Err(SyntaxProblem::with_help(start..end, "`=` has no meaning here", "write == to compare"))
            }
            "&" => Err(SyntaxProblem::with_help(start..end, "`&` has no meaning here", "write && for `and`")),
            _ => Ok(Token::Sign(sign)),
        }
    }
}

struct Reader {
    tokens: Vec<(Token, Range<usize>)>,
    next: usize,
    depth: usize,
    end: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(token, _)| token)
    }

    fn span(&self) -> Range<usize> {
        self.tokens.get(self.next).map_or(self.end..self.end, |(_, span)| span.clone())
    }

    fn eat(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(next)) if *next == sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<usize, SyntaxProblem> {
        let end = self.span().end;
        if self.eat(sign) { Ok(end) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> SyntaxProblem {
        let span = self.span();
        match self.peek() {
            None => SyntaxProblem::new(span, format!("the condition ends where {wanted} was expected")),
            Some(Token::Sign(sign)) => self.outside(sign).unwrap_or_else(|| {
                SyntaxProblem::new(span, format!("`{sign}` stands where {wanted} was expected"))
            }),
            Some(Token::Name(name)) => {
                SyntaxProblem::new(span, format!("`{name}` stands where {wanted} was expected"))
            }
            Some(Token::Integer(_)) => {
                SyntaxProblem::new(span, format!("a number stands where {wanted} was expected"))
            }
            Some(Token::Text(_)) => {
                SyntaxProblem::new(span, format!("a text stands where {wanted} was expected"))
            }
        }
    }

    fn outside(&self, sign: &str) -> Option<SyntaxProblem> {
        let (what, help) = match sign {
            "-" => (
                "arithmetic",
                "a kind such as `hearing-panel` is written `hearing_panel` in a condition; \
                 what has to be computed belongs in the event's data",
            ),
            "+" | "*" | "/" | "%" => ("arithmetic", "what has to be computed belongs in the event's data"),
            "?" | ":" => ("a choice `a ? b : c`", "write (a && b) || (!a && c)"),
            "{" | "}" => ("a map", "compare the fields one by one"),
            "[" => ("an index", "use exists or all to look into a list"),
            _ => return None,
        };
        Some(SyntaxProblem::outside(self.span(), what, help))
    }

    fn enter(&mut self) -> Result<(), SyntaxProblem> {
        self.depth += 1;
        if self.depth > CONDITION_DEPTH_MAX {
            return Err(SyntaxProblem::with_help(
                self.span(),
                format!("the condition is nested deeper than {CONDITION_DEPTH_MAX} levels"),
                "split it into several rules",
            ));
        }
        Ok(())
    }

    fn or(&mut self) -> Result<Syntax, SyntaxProblem> {
        self.enter()?;
        let first = self.and()?;
        let mut parts = vec![first];
        while self.eat("||") {
            parts.push(self.and()?);
        }
        self.depth -= 1;
        if matches!(self.peek(), Some(Token::Sign("?"))) {
            return Err(self.unexpected("the end of the condition"));
        }
        Ok(joined(parts, Form::Or))
    }

    fn and(&mut self) -> Result<Syntax, SyntaxProblem> {
        let mut parts = vec![self.relation()?];
        while self.eat("&&") {
            parts.push(self.relation()?);
        }
        Ok(joined(parts, Form::And))
    }

    fn relation(&mut self) -> Result<Syntax, SyntaxProblem> {
        let depth = self.depth;
        let mut left = self.unary()?;
        while let Some(relation) = self.relation_sign() {
            self.next += 1;
            self.enter()?;
            let right = self.unary()?;
            let span = left.span.start..right.span.end;
            left = Syntax { form: Form::Relation(relation, Box::new(left), Box::new(right)), span };
        }
        self.depth = depth;
        match self.peek() {
            Some(Token::Sign("+" | "-" | "*" | "/" | "%")) => Err(self.unexpected("a comparison")),
            _ => Ok(left),
        }
    }

    fn relation_sign(&self) -> Option<Relation> {
        match self.peek()? {
            Token::Sign("==") => Some(Relation::Equal),
            Token::Sign("!=") => Some(Relation::NotEqual),
            Token::Sign("<") => Some(Relation::Less),
            Token::Sign("<=") => Some(Relation::LessOrEqual),
            Token::Sign(">") => Some(Relation::Greater),
            Token::Sign(">=") => Some(Relation::GreaterOrEqual),
            Token::Name(name) if name == "in" => Some(Relation::In),
            _ => None,
        }
    }

    fn unary(&mut self) -> Result<Syntax, SyntaxProblem> {
        let start = self.span().start;
        if self.eat("!") {
            self.enter()?;
            let inner = self.unary()?;
            self.depth -= 1;
            let span = start..inner.span.end;
            return Ok(Syntax { form: Form::Not(Box::new(inner)), span });
        }
        if matches!(self.peek(), Some(Token::Sign("-"))) {
            return self.negative(start);
        }
        let primary = self.primary()?;
        self.postfix(primary)
    }

    fn negative(&mut self, start: usize) -> Result<Syntax, SyntaxProblem> {
        let Some((Token::Integer(value), span)) = self.tokens.get(self.next + 1).cloned() else {
            return Err(self.unexpected("a value"));
        };
        self.next += 2;
        let value = 0_i64
            .checked_sub_unsigned(value)
            .ok_or_else(|| SyntaxProblem::new(start..span.end, "the number does not fit in 64 bits"))?;
        Ok(Syntax { form: Form::Integer(value), span: start..span.end })
    }

    fn primary(&mut self) -> Result<Syntax, SyntaxProblem> {
        let span = self.span();
        let Some(token) = self.peek().cloned() else { return Err(self.unexpected("a value")) };
        let form = match token {
            Token::Name(name) => return self.named(name),
            Token::Text(text) => Form::Text(text),
            Token::Integer(value) => Form::Integer(
                i64::try_from(value)
                    .map_err(|_| SyntaxProblem::new(span.clone(), "the number does not fit in 64 bits"))?,
            ),
            Token::Sign("(") => {
                self.next += 1;
                let inner = self.or()?;
                let end = self.expect(")")?;
                return Ok(Syntax { form: inner.form, span: span.start..end });
            }
            Token::Sign("[") => {
                self.next += 1;
                let (items, end) = self.list("]")?;
                return Ok(Syntax { form: Form::List(items), span: span.start..end });
            }
            Token::Sign(_) => return Err(self.unexpected("a value")),
        };
        self.next += 1;
        Ok(Syntax { form, span })
    }

    fn named(&mut self, name: String) -> Result<Syntax, SyntaxProblem> {
        let span = self.span();
        if RESERVED.contains(&name.as_str()) {
            return Err(SyntaxProblem::new(span, format!("`{name}` is a word that CEL keeps for itself")));
        }
        self.next += 1;
        let form = match name.as_str() {
            "null" => Form::Null,
            "true" => Form::Boolean(true),
            "false" => Form::Boolean(false),
            _ if self.eat("(") => {
                let (arguments, end) = self.list(")")?;
                let whole = span.start..end;
                return Ok(Syntax { form: Form::Call(None, name, span, arguments), span: whole });
            }
            _ => Form::Name(name),
        };
        Ok(Syntax { form, span })
    }

    fn postfix(&mut self, mut target: Syntax) -> Result<Syntax, SyntaxProblem> {
        let depth = self.depth;
        loop {
            if matches!(self.peek(), Some(Token::Sign("[" | "{"))) {
                return Err(self.unexpected("`.`"));
            }
            if !self.eat(".") {
                self.depth = depth;
                return Ok(target);
            }
            self.enter()?;
            let at = self.span();
            let Some(Token::Name(name)) = self.peek().cloned() else { return Err(self.unexpected("a name")) };
            self.next += 1;
            let start = target.span.start;
            target = if self.eat("(") {
                let (arguments, end) = self.list(")")?;
                Syntax { form: Form::Call(Some(Box::new(target)), name, at, arguments), span: start..end }
            } else {
                let end = at.end;
                Syntax { form: Form::Field(Box::new(target), name, at), span: start..end }
            };
        }
    }

    /// Values up to the closing sign, which is eaten; and where that ends.
    fn list(&mut self, close: &str) -> Result<(Vec<Syntax>, usize), SyntaxProblem> {
        let mut items = Vec::new();
        loop {
            let end = self.span().end;
            // CEL lets a list end in a comma, but not the arguments of a function.
            if (items.is_empty() || close == "]") && self.eat(close) {
                return Ok((items, end));
            }
            items.push(self.or()?);
            if !self.eat(",") {
                return Ok((items, self.expect(close)?));
            }
        }
    }
}

fn joined(mut parts: Vec<Syntax>, join: impl Fn(Vec<Syntax>) -> Form) -> Syntax {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => {
            let start = parts.first().map_or(0, |part| part.span.start);
            let end = parts.last().map_or(0, |part| part.span.end);
            Syntax { form: join(parts), span: start..end }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tree in brackets, so that precedence can be read.
    fn shown(syntax: &Syntax) -> String {
        let all = |items: &[Syntax]| items.iter().map(shown).collect::<Vec<_>>().join(" ");
        match &syntax.form {
            Form::Null => "null".to_owned(),
            Form::Boolean(value) => value.to_string(),
            Form::Integer(value) => value.to_string(),
            Form::Text(text) => format!("{text:?}"),
            Form::List(items) => format!("[{}]", all(items)),
            Form::Name(name) => name.clone(),
            Form::Field(of, field, _) => format!("{}.{field}", shown(of)),
            Form::Call(None, function, _, arguments) => format!("({function} {})", all(arguments)),
            Form::Call(Some(of), function, _, arguments) => {
                format!("({}.{function} {})", shown(of), all(arguments))
            }
            Form::Not(inner) => format!("(! {})", shown(inner)),
            Form::And(parts) => format!("(&& {})", all(parts)),
            Form::Or(parts) => format!("(|| {})", all(parts)),
            Form::Relation(relation, a, b) => format!("({relation:?} {} {})", shown(a), shown(b)),
        }
    }

    #[track_caller]
    fn check(source: &str, expected: &str) {
        assert_eq!(parse(source).map(|syntax| shown(&syntax)), Ok(expected.to_owned()), "{source}");
    }

    /// The piece that is marked, and words of the message or the help.
    #[track_caller]
    fn check_refused(source: &str, marked: &str, words: &str) {
        let problem = parse(source).expect_err(source);
        assert_eq!(&source[problem.span.clone()], marked, "{problem:?}");
        let said = format!("{} {}", problem.message, problem.help.unwrap_or_default());
        assert!(said.contains(words), "{said}");
    }

    #[test]
    fn precedence_is_cels() {
        check("a || b && !c == d", "(|| a (&& b (Equal (! c) d)))");
        check("a == b == c", "(Equal (Equal a b) c)");
        check("a in [1, -2,] != true", "(NotEqual (In a [1 -2]) true)");
        check("(a || b) && c", "(&& (|| a b) c)");
        check("a && (b && c)", "(&& a (&& b c))");
        check("!a.b('x').c", "(! (a.b \"x\").c)");
        check("f(a, b.all(c, c < 0x1F))", "(f a (b.all c (Less c 31)))");
        check("a // and so on\n >= null", "(GreaterOrEqual a null)");
        check("size([]) <= -9223372036854775808", "(LessOrEqual (size []) -9223372036854775808)");
    }

    #[test]
    fn texts_are_read_as_cel_reads_them() {
        check(r#"'it\'s' == "it's""#, r#"(Equal "it's" "it's")"#);
        check(r"'\n\t\\\x41\u00e9\101\U0001F600'", r#""\n\t\\AéA😀""#);
        check_refused(r"'\q'", r"\q", "escape");
        check_refused(r"'\ud800'", r"\ud800", "escape");
        check_refused(r"'\u00'", r"\u", "escape");
        check_refused("'open", "'", "not closed");
    }

    #[test]
    fn what_is_cel_but_not_admitted_is_said_to_be() {
        check_refused("a + 1 == 2", "+", "arithmetic");
        check_refused("a.b-c == 2", "-", "hearing_panel");
        check_refused("-(1) == a", "-", "arithmetic");
        check_refused("a ? b : c", "?", "(a && b)");
        check_refused("a[0]", "[", "exists");
        check_refused("{'a': 1}", "{", "one by one");
        check_refused("1.5 < a", "1", "whole numbers");
        check_refused("1u < a", "1u", "whole numbers");
        check_refused("r'x' == a", "r'", "single quotes");
        check_refused("'''x'''", "'''", "single quotes");
        check_refused("a.`b`", "`", "underscores");
        check_refused("99999999999999999999 == a", "99999999999999999999", "64 bits");
        check_refused("9223372036854775808 == a", "9223372036854775808", "64 bits");
    }

    #[test]
    fn what_has_no_meaning_is_pointed_at() {
        check_refused("", "", "a value was expected");
        check_refused("a = b", "=", "==");
        check_refused("a & b", "&", "&&");
        check_refused("a b", "b", "the end");
        check_refused("f(a,)", ")", "a value");
        check_refused("(a", "", "`)`");
        check_refused("package.id", "package", "keeps for itself");
        check_refused("a == § ", "§", "no meaning");
        check_refused("a..b", ".", "a name");
    }

    #[test]
    fn nesting_and_length_have_limits() {
        for bomb in ["(", "!", "[", "a.b(", "f(", "- -"] {
            assert!(parse(&bomb.repeat(CONDITION_LENGTH_MAX / bomb.len())).is_err(), "{bomb}");
        }
        check_refused(&format!("{}a", "!".repeat(40)), "!", "nested");
        assert!(parse(&"a.b".repeat(1000)).is_err());
        assert!(parse(&"a == ".repeat(1000)).is_err());
        assert!(parse(&"a".repeat(CONDITION_LENGTH_MAX + 1)).is_err());
        let long = vec!["a"; 1000].join(" && ");
        assert!(parse(&long).is_ok(), "a long condition that is not deep is read");
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_answered(source in "\\PC*") {
            let _ = parse(&source);
        }

        #[test]
        fn whatever_looks_like_a_condition_is_answered(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "a", ".", "b", "(", ")", "[", "]", ",", "==", "<", "in", "!", "-", "1", "'x'", "&&", "||", " ",
                    "exists", "has", "null", "\\", "'", "é", "//", "\n", "?", "{", "date",
                ]),
                0..40,
            )
        ) {
            let source = pieces.concat();
            if let Err(problem) = parse(&source) {
                prop_assert!(source.get(problem.span.clone()).is_some(), "{:?}", problem);
            }
        }
    }
}

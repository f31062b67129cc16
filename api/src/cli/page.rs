//! The page that a command writes: standard output, with colour and tables where somebody looks at it.

use std::io::{self, BufWriter, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::Colour;
use super::answer::Failure;

/// A table on a terminal: a line under its head, nothing else.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The widest page, columns.
pub(super) const WIDTH: u16 = 100;

/// A progress bar appears when the work takes longer than this.
const PROGRESS_AFTER_MS: u128 = 1_000;

/// Where answers are written.
pub(super) struct Page {
    out: BufWriter<Box<dyn Write>>,
    has_colour: bool,
    is_terminal: bool,
    json: bool,
    /// Stands before every line.
    margin: String,
}

impl Page {
    /// A page on standard output.
    pub(super) fn stdout(colour: Colour, json: bool) -> Self {
        let stdout = io::stdout();
        let has_colour = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never,
        };
        let is_terminal = stdout.is_terminal();
        Self { out: BufWriter::new(Box::new(stdout)), has_colour, is_terminal, json, margin: String::new() }
    }

    /// A page on standard error, in the same colours where that is a terminal too.
    pub(super) fn stderr(&self) -> Self {
        let stderr = io::stderr();
        let is_terminal = stderr.is_terminal();
        let has_colour = self.has_colour && (is_terminal || !self.is_terminal);
        let margin = String::new();
        Self { out: BufWriter::new(Box::new(stderr)), has_colour, is_terminal, json: false, margin }
    }

    /// A page that nobody reads.
    pub(super) fn nowhere() -> Self {
        let out: Box<dyn Write> = Box::new(io::sink());
        let margin = String::new();
        Self { out: BufWriter::new(out), has_colour: false, is_terminal: false, json: false, margin }
    }

    /// Sets what stands before every line from here on.
    pub(super) fn set_margin(&mut self, margin: &str) {
        margin.clone_into(&mut self.margin);
    }

    /// Columns that a line may take.
    fn width(&self) -> usize {
        usize::from(WIDTH).saturating_sub(visible_length(&self.margin))
    }

    /// Whether the answer is to be JSON.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether somebody looks at it.
    pub(super) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Writes a line; styles are left out where there is no colour.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        let line = format!("{}{text}", self.margin);
        let line = line.trim_end();
        if self.has_colour {
            writeln!(self.out, "{line}")?;
        } else {
            writeln!(self.out, "{}", anstream::adapter::strip_str(line))?;
        }
        Ok(())
    }

    /// Writes an empty line.
    pub(super) fn gap(&mut self) -> Result<(), Failure> {
        self.line("")
    }

    /// Writes a heading after an empty line.
    pub(super) fn heading(&mut self, text: &str) -> Result<(), Failure> {
        self.gap()?;
        self.line(&strong(text))
    }

    /// Writes a heading across the page after an empty line.
    pub(super) fn rule(&mut self, text: &str) -> Result<(), Failure> {
        let rest = self.width().saturating_sub(text.chars().count() + 4);
        self.gap()?;
        self.line(&format!("{} {} {}", dim("──"), strong(text), dim(&"─".repeat(rest))))
    }

    /// Writes a paragraph, broken to the width of the page, each line after `indent` spaces.
    pub(super) fn paragraph(&mut self, indent: usize, text: &str) -> Result<(), Failure> {
        for line in wrapped(text, self.width().saturating_sub(indent)) {
            self.line(&format!("{:indent$}{line}", ""))?;
        }
        Ok(())
    }

    /// Writes a list item: a mark, then a paragraph that hangs behind it.
    pub(super) fn item(&mut self, indent: usize, mark: &str, text: &str) -> Result<(), Failure> {
        let hang = indent + visible_length(mark) + 1;
        for (index, line) in wrapped(text, self.width().saturating_sub(hang)).iter().enumerate() {
            if index == 0 {
                self.line(&format!("{:indent$}{mark} {line}", ""))?;
            } else {
                self.line(&format!("{:hang$}{line}", ""))?;
            }
        }
        Ok(())
    }

    /// Writes a table. On a terminal it has lines; piped it is plain columns.
    pub(super) fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        let mut table = Table::new();
        table.load_style(if self.is_terminal { RULED } else { presets::NOTHING });
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
        table.set_header(head.iter().copied());
        for row in rows {
            table.add_row(row);
        }
        if let Some(column) = table.column_mut(0) {
            column.set_padding((0, 1));
            column.set_constraint(ColumnConstraint::UpperBoundary(Width::Percentage(40)));
        }
        for (index, line) in table.lines().enumerate() {
            let line = line.trim_end();
            self.line(&if index == 0 { strong(line) } else { line.to_owned() })?;
        }
        Ok(())
    }

    /// Writes one JSON document.
    pub(super) fn json(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut self.out, document).map_err(io::Error::from)?;
        writeln!(self.out)?;
        Ok(())
    }

    /// Writes one line of JSON.
    pub(super) fn json_line(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.out, document).map_err(io::Error::from)?;
        writeln!(self.out)?;
        Ok(())
    }

    /// Writes bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes)?;
        Ok(())
    }

    /// Hands everything on.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush()?;
        Ok(())
    }
}

/// A bar that shows itself only when the work turns out to be long, and only to somebody who looks.
pub(super) struct Progress {
    bar: ProgressBar,
    is_wanted: bool,
}

impl Progress {
    /// A bar for this many steps; 0 where the number is not known.
    pub(super) fn new(page: &Page, what: &'static str, steps: u64) -> Self {
        Self::styled(page, what, steps, "{msg} {wide_bar} {human_pos} of {human_len}, {per_sec}, {eta} left")
    }

    /// A bar for so many bytes; 0 where the number is not known.
    pub(super) fn bytes(page: &Page, what: &'static str, bytes: u64) -> Self {
        let template = match bytes {
            0 => "{msg} {bytes}, {bytes_per_sec}",
            _ => "{msg} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        };
        Self::styled(page, what, bytes, template)
    }

    fn styled(page: &Page, what: &'static str, steps: u64, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target((steps > 0).then_some(steps), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self { bar, is_wanted: !page.is_json() && io::stderr().is_terminal() }
    }

    /// What is being done now.
    pub(super) fn say(&self, what: String) {
        self.bar.set_message(what);
    }

    /// So many steps are done, of so many.
    pub(super) fn reached(&self, done: u64, of: u64) {
        if self.is_wanted && self.bar.is_hidden() && self.bar.elapsed().as_millis() > PROGRESS_AFTER_MS {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if of > 0 {
            self.bar.set_length(of);
        }
        self.bar.set_position(done);
    }

    /// Takes the bar away while something else is written.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Headings, names that matter.
pub(super) fn strong(text: &str) -> String {
    styled(Style::new().bold(), text)
}

/// What may be passed over.
pub(super) fn dim(text: &str) -> String {
    styled(Style::new().dimmed(), text)
}

/// Done, accepted, verified.
pub(super) fn good(text: &str) -> String {
    styled(AnsiColor::Green.on_default().bold(), text)
}

/// Refused, broken.
pub(super) fn bad(text: &str) -> String {
    styled(AnsiColor::Red.on_default().bold(), text)
}

/// Breaches, gaps, things to look at.
pub(super) fn warn(text: &str) -> String {
    styled(AnsiColor::Yellow.on_default(), text)
}

/// Breaks a text into lines of at most `width` visible columns; its own line breaks stay. Styles do not count.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split(' ') {
            let length = visible_length(word);
            if used > 0 && used + 1 + length > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if used > 0 || !line.is_empty() {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
        lines.push(line);
    }
    lines
}

/// Columns that a text takes, styles not counted.
pub(super) fn visible_length(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_broken_between_words() {
        assert_eq!(wrapped("one two three four", 9), ["one two", "three", "four"]);
    }

    #[test]
    fn a_word_longer_than_the_page_stays_whole() {
        assert_eq!(wrapped("a https://example.org/x b", 6), ["a", "https://example.org/x", "b"]);
    }

    #[test]
    fn styles_take_no_room() {
        assert_eq!(visible_length(&bad("Refused")), 7);
    }
}

//! Dates as people read them.

use casebook_engine::case::occurred::Occurred;

/// A date in words: `2022-04` is `April 2022`. The source's own words stay as they are.
pub(super) fn in_words(occurred: &str) -> String {
    if occurred == "unknown" || occurred.is_empty() {
        return "date unknown".to_owned();
    }
    Occurred::parse(occurred).map_or_else(|_| occurred.to_owned(), |occurred| occurred.words())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(occurred: &str, words: &str) {
        assert_eq!(in_words(occurred), words);
    }

    #[test]
    fn a_month_reads_as_a_month() {
        check("2022-04", "April 2022");
    }

    #[test]
    fn the_words_of_the_source_stay() {
        check("earlier that month", "earlier that month");
    }

    #[test]
    fn an_unknown_date_says_so() {
        check("unknown", "date unknown");
    }
}

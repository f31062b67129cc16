//! Which name was probably meant by one that does not exist.

/// Names longer than this, characters, are not compared letter by letter.
const COMPARED_CHARS_MAX: usize = 128;

/// The name nearest to a misspelt one: at most a third of its letters added, removed, changed or swapped.
#[must_use]
pub fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let length = wrong.chars().count();
    if length == 0 || length > COMPARED_CHARS_MAX {
        return None;
    }
    names
        .into_iter()
        .filter_map(|name| {
            let longer = length.max(name.chars().count());
            let most = longer.div_ceil(3).min(longer - 1);
            let is_comparable =
                longer <= COMPARED_CHARS_MAX && longer - length.min(name.chars().count()) <= most;
            let letters = is_comparable.then(|| strsim::damerau_levenshtein(wrong, name))?;
            (letters <= most).then_some((letters, name))
        })
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wrong: &str, names: &[&str], expected: Option<&str>) {
        assert_eq!(nearest(wrong, names.iter().copied()), expected);
    }

    #[test]
    fn a_name_with_few_wrong_letters_is_found() {
        check("gulity", &["guilty", "not-guilty"], Some("guilty"));
        check("plea-enterd", &["plea-indicated", "plea-entered"], Some("plea-entered"));
        check("cort", &["court", "judge"], Some("court"));
    }

    #[test]
    fn a_name_that_is_far_from_all_is_left_alone() {
        check("judge", &["court", "plea"], None);
        check("", &["court"], None);
        check(&"x".repeat(1_000), &["court"], None);
    }
}

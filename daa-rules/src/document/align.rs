//! Where a character of a string value stands in its file.

/// The byte of `source` that the `index`-th character of `value` was read from, where `value` stands in
/// `source[start..end]`, quoted, escaped, folded or indented in whatever way.
///
/// Walks both in step. Spaces and line ends may differ, and escapes are skipped; where that does not explain
/// the difference, the answer is the start of the value.
pub(crate) fn offset_in_value(source: &str, start: usize, end: usize, value: &str, index: usize) -> usize {
    let raw = source.get(start..end).unwrap_or_default();
    let skipped = header(raw);
    let mut raw = raw.char_indices().skip_while(|(at, _)| *at < skipped).peekable();
    let mut last = start;
    for (at, wanted) in value.chars().enumerate() {
        if wanted.is_whitespace() {
            if at == index {
                return last;
            }
            continue;
        }
        loop {
            let Some((offset, found)) = raw.next() else { return start };
            if found == wanted {
                last = start + offset;
                break;
            }
            if !(found.is_whitespace() || found == '\\' || found == '\'') {
                return start;
            }
        }
        if at == index {
            return last;
        }
    }
    // Behind the last character: an expression that ends too early.
    if value.is_empty() { start } else { last + 1 }
}

/// The length of what opens a value: quotes, or the first line of a YAML block.
fn header(raw: &str) -> usize {
    match raw.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let triple: String = [quote; 3].iter().collect();
            if raw.len() >= 6 && raw.starts_with(&triple) { 3 } else { 1 }
        }
        Some('|' | '>') => raw.find('\n').unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(source: &str, value: &str, wanted: char) -> usize {
        let index = value.chars().position(|char| char == wanted).unwrap();
        offset_in_value(source, 0, source.len(), value, index)
    }

    #[test]
    fn walks_through_quotes_escapes_and_folds() {
        assert_eq!(find("'a == x'", "a == x", 'x'), 6);
        assert_eq!(find(r#""a == \"b\" && x""#, r#"a == "b" && x"#, 'x'), 15);
        assert_eq!(find("'''\na ==\n x'''", "a ==\n x", 'x'), 10);
        assert_eq!(find("|\n  a ==\n    x", "a ==\n  x", 'x'), 13);
        assert_eq!(find("'a == ''b'' && x'", "a == 'b' && x", 'x'), 15);
        assert_eq!(offset_in_value("'a +'", 0, 5, "a +", 3), 4);
    }

    #[test]
    fn falls_back_to_the_start_where_it_cannot_follow() {
        assert_eq!(offset_in_value(r#""\u0061 == x""#, 0, 13, "a == x", 5), 0);
    }
}

//! What can be told of a text in Cedar before it is parsed: where its statements are, and how deep it is nested. Parsers
//! recurse, so this is asked first.

use std::ops::Range;

/// The statements of a text, each with its semicolon; what stands behind the last one is one too, unless it is nothing but
/// space and comments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) statements: Vec<Range<usize>>,
    /// The first byte at which brackets are nested deeper than allowed.
    pub(super) too_deep: Option<usize>,
}

impl Scan {
    /// Policies: `<` is a comparison, and no bracket goes beyond a statement.
    pub(super) fn policies(source: &str, nesting: usize) -> Self {
        Self::of(source, nesting, false)
    }

    /// A schema: `<` is a bracket, and statements stand in brackets.
    pub(super) fn schema(source: &str, nesting: usize) -> Self {
        Self::of(source, nesting, true)
    }

    fn of(source: &str, nesting: usize, schema: bool) -> Self {
        let mut scan = Self::default();
        let (mut depth, mut begun): (usize, Option<usize>) = (0, None);
        let mut bytes = source.bytes().enumerate().peekable();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                byte if byte.is_ascii_whitespace() => continue,
                b'/' if bytes.peek().is_some_and(|(_, next)| *next == b'/') => {
                    while bytes.next_if(|(_, next)| *next != b'\n').is_some() {}
                    continue;
                }
                b'"' => {
                    while let Some((_, inside)) = bytes.next() {
                        match inside {
                            b'\\' => drop(bytes.next()),
                            b'"' => break,
                            _ => {}
                        }
                    }
                }
                b'<' | b'>' if !schema => {}
                b'(' | b'[' | b'{' | b'<' => {
                    depth += 1;
                    if depth > nesting && scan.too_deep.is_none() {
                        scan.too_deep = Some(at);
                    }
                }
                b')' | b']' | b'}' | b'>' => depth = depth.saturating_sub(1),
                _ => {}
            }
            let start = *begun.get_or_insert(at);
            if byte == b';' {
                scan.statements.push(start..at + 1);
                begun = None;
                if !schema {
                    depth = 0;
                }
            }
        }
        scan.statements.extend(begun.map(|start| start..source.len()));
        scan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(source: &str) -> Vec<&str> {
        Scan::policies(source, 48).statements.into_iter().map(|at| &source[at]).collect()
    }

    #[test]
    fn statements_end_at_semicolons_that_are_neither_in_texts_nor_in_comments() {
        let source = " // a; b\n@id(\"x;\\\";\") permit(a,b,c); // c;\nforbid(a) when { 1 / 2 };\n// end;";
        assert_eq!(statements(source), ["@id(\"x;\\\";\") permit(a,b,c);", "forbid(a) when { 1 / 2 };"]);
        assert_eq!(statements("a; b "), ["a;", "b "]);
        assert_eq!(statements("\u{e9}\"\\"), ["\u{e9}\"\\"]);
        assert!(statements(" // only this").is_empty());
    }

    #[test]
    fn notices_what_is_nested_too_deep() {
        assert_eq!(Scan::policies("(([[", 3).too_deep, Some(3));
        assert_eq!(Scan::policies("(([)]", 3).too_deep, None);
        assert_eq!(Scan::policies("\"((((\"; // ((((", 3).too_deep, None);
        assert_eq!(Scan::policies("a < 1 && a < 1 && a < 1 && a < 1", 3).too_deep, None);
        assert_eq!(Scan::schema("a<b<c<d<", 3).too_deep, Some(7));
        assert_eq!(Scan::schema("{ a; { b; { c; { d; }}}}", 3).too_deep, Some(15));
    }
}

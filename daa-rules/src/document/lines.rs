//! Lines and columns of a source, without counting from its beginning each time.

use crate::diagnostic::Location;

/// Where the lines of a source begin.
#[derive(Debug)]
pub(crate) struct Lines<'s> {
    source: &'s str,
    starts: Vec<usize>,
}

impl<'s> Lines<'s> {
    pub(crate) fn of(source: &'s str) -> Self {
        let ends = source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { source, starts: std::iter::once(0).chain(ends).collect() }
    }

    /// Where the byte at `offset` stands.
    pub(crate) fn location(&self, offset: usize) -> Location {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or_default();
        let rest = self.source.get(start..).unwrap_or_default();
        let column = rest.char_indices().take_while(|(at, _)| start + at < offset).count() + 1;
        Location { line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_characters_from_the_last_line_end() {
        let source = "ab\n\u{e9}\u{e9}x\n\nend";
        let lines = Lines::of(source);
        let at = |offset| {
            let Location { line, column } = lines.location(offset);
            (line, column)
        };
        assert_eq!([at(0), at(1), at(2), at(3)], [(1, 1), (1, 2), (1, 3), (2, 1)]);
        assert_eq!([at(5), at(7), at(8), at(9), at(10)], [(2, 2), (2, 3), (2, 4), (3, 1), (4, 1)]);
        assert_eq!([at(13), at(99)], [(4, 4), (4, 4)]);
        assert_eq!(Lines::of("").location(0), Location { line: 1, column: 1 });
    }
}

//! The terminal: colours where there is one, plain text elsewhere.

use std::io::{IsTerminal as _, Write as _, stdout};

use super::{How, percentile};

/// Where a report is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    is_coloured: bool,
}

/// Codes of colours (ECMA-48).
const GREEN: u8 = 32;
const RED: u8 = 31;
const YELLOW: u8 = 33;
const CYAN: u8 = 36;
const GREY: u8 = 90;
const BOLD: u8 = 1;

impl Screen {
    pub(crate) fn new() -> Self {
        Self { is_coloured: stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    fn paint(self, colour: u8, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.paint(GREY, text)
    }

    /// The sign of a pair.
    pub(super) fn sign(self, how: How) -> String {
        match how {
            How::Local => self.paint(CYAN, "="),
            How::Direct => self.paint(GREEN, "●"),
            How::Punched => self.paint(CYAN, "◆"),
            How::Relayed => self.paint(YELLOW, "○"),
            How::Unreached => self.paint(RED, "×"),
        }
    }

    pub(super) fn lines(self, lines: &[String]) {
        let mut out = stdout().lock();
        for line in lines {
            // Nobody may be reading.
            let _ = writeln!(out, "{line}");
        }
        let _ = out.flush();
    }

    pub(super) fn title(self, scene: &str, line: &str) {
        self.lines(&[format!("\n  {}  {line}\n", self.paint(BOLD, scene))]);
    }

    pub(super) fn check(self, what: &str, holds: bool, seen: &str) {
        let sign = if holds { self.paint(GREEN, "✓") } else { self.paint(RED, "✗") };
        let line = format!("  {sign} {what:<56}  {}", self.faint(seen));
        self.lines(&[line.trim_end().to_owned()]);
    }

    pub(super) fn note(self, what: &str) {
        self.lines(&[self.faint(&format!("    {what}"))]);
    }

    /// How many pairs are connected so, and how long it took.
    pub(super) fn count(self, how: How, count: usize, times: &[(&str, &[f64])]) {
        let mut line = format!("    {} {count:>4}  {:<26}", self.sign(how), how.word());
        for (what, times) in times {
            if let (Some(half), Some(most)) = (percentile(times, 50), percentile(times, 95)) {
                line += &self
                    .faint(&format!("{what}: median {half:.0} ms, p95 {most:.0} ms ({})   ", times.len()));
            }
        }
        self.lines(&[line]);
    }

    pub(super) fn end(self, is_good: bool, line: &str) {
        let word = if is_good { self.paint(GREEN, "all of it") } else { self.paint(RED, "not all of it") };
        self.lines(&[format!("\n  {word} was seen  {}\n", self.faint(line))]);
    }
}

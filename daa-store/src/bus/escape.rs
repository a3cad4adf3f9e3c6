//! Text in places that do not take every character.

use std::borrow::Cow;
use std::fmt::Write;

use daa_core::digest::Digest;

/// The longest name made of another one; brokers take up to 255 characters, some of them for prefixes.
const MAX_NAME: usize = 150;

/// A name of queues and consumers: letters, digits, `-` and `_` stay, everything else is `=XX`. A long one becomes its
/// digest.
pub(crate) fn escape_name(text: &str) -> String {
    let escaped = escape(text, '=', |byte, _| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if escaped.len() <= MAX_NAME {
        return escaped.into_owned();
    }
    let digest = Digest::builder("daa 2026 bus long name").field(text.as_bytes()).finish();
    format!("=={digest}")
}

/// A value of a header: control characters, `%`, and white space at the ends, which clients trim, become `%XX`.
pub(super) fn escape_value(text: &str) -> Cow<'_, str> {
    let blank = |end: Option<char>| end.filter(|c| c.is_whitespace()).map_or(0, char::len_utf8);
    let (start, end) = (blank(text.chars().next()), text.len() - blank(text.chars().next_back()));
    escape(text, '%', |byte, at| !byte.is_ascii_control() && byte != b'%' && (start..end).contains(&at))
}

fn escape(text: &str, mark: char, stays: impl Fn(u8, usize) -> bool) -> Cow<'_, str> {
    if text.bytes().enumerate().all(|(at, byte)| stays(byte, at)) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for (at, character) in text.char_indices() {
        let mut bytes = [0; 4];
        for (offset, byte) in character.encode_utf8(&mut bytes).bytes().enumerate() {
            if !stays(byte, at + offset) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "{mark}{byte:02X}");
            } else if character.is_ascii() {
                escaped.push(character);
            } else {
                // Bytes of one character stay or go together.
                escaped.push(character);
                break;
            }
        }
    }
    Cow::Owned(escaped)
}

/// `None` for what [`escape_value`] does not make.
pub(super) fn unescape_value(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = behind;
            continue;
        }
        let (digits, behind) = behind.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_stay_apart() {
        assert_eq!(escape_name("a-b_C9"), "a-b_C9");
        assert_eq!(escape_name("a.b/c:d"), "a=2Eb=2Fc=3Ad");
        let (long, longer) = ("x.".repeat(90), "x.".repeat(91));
        assert!(escape_name(&long).len() <= MAX_NAME && escape_name(&long) != escape_name(&longer));
    }

    #[test]
    fn refuses_what_it_does_not_make() {
        for text in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(unescape_value(text), None, "{text}");
        }
    }

    #[test]
    fn no_white_space_is_left_at_the_ends() {
        assert_eq!(escape_value(" a b "), "%20a b%20");
        assert_eq!(escape_value("\u{2000}a\u{2000}"), "%E2%80%80a%E2%80%80");
        assert_eq!(escape_value("\u{2000}"), "%E2%80%80");
    }

    proptest! {
        #[test]
        fn values_come_back(text in "\\PC{0,20}|[ %\\r\\nü☃a]{0,10}") {
            let escaped = escape_value(&text);
            prop_assert!(!escaped.contains(['\r', '\n']) && escaped.trim() == escaped);
            let back = unescape_value(&escaped);
            prop_assert_eq!(back.as_deref(), Some(&*text));
        }
    }
}

//! What to say about a failure in one line.

use std::any::Any;
use std::error::Error;

/// The longest text, in bytes: it goes into events.
const MAX_TEXT: usize = 1_024;

/// What a panic said, of bounded length.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    shortened(text.unwrap_or_else(|| "no message".to_owned()))
}

/// An error and all its causes, of bounded length.
pub(crate) fn error_text(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    shortened(causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")))
}

/// Cut at a character.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let cut = shortened("ü".repeat(MAX_TEXT));
        assert_eq!(cut, "ü".repeat(MAX_TEXT / 2));
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("the upper one")]
        struct Upper(#[source] std::fmt::Error);
        let text = error_text(&Upper(std::fmt::Error));
        assert_eq!(text, format!("the upper one: {}", std::fmt::Error));
    }
}

//! Base64, in the one way in which it is written here.

use data_encoding::BASE64;

/// The bytes of a text in base64. The decoder takes several texts with padding one behind the other for one; here each has
/// one form, so that what was read is written as it was.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.trim_end_matches('=').contains('=') {
        return None;
    }
    BASE64.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_it_writes_and_no_other_form_of_it() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", b"abcd", b"\xff\xfe\xfd\xfc\xfb"] {
            let text = BASE64.encode(bytes);
            assert_eq!(decode(&text).as_deref(), Some(bytes));
        }
        // The bytes "abcd" each, in other forms.
        for text in ["YQ==YmNk", "YWI=Y2Q=", "YWJjZA", "YWJjZB==", "YWJjZA= =", "YWJjZA==\n", "=YWJjZA="] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}

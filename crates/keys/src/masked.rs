//! Texts with keys in them, for parsers that copy what they read.

use zeroize::Zeroizing;

/// Hex digits in a row that are masked.
const RUN: usize = 3;

/// `text` with other digits in place of those of its keys: of the same shape to a parser of TOML, each octet in its
/// place, so that whatever a parser finds here is in `text` at the same offsets.
///
/// What a parser copies, into its errors first of all, is never wiped.
pub fn masked(text: &str) -> Zeroizing<String> {
    // As long as the text, so that it is never moved.
    let mut masked = Zeroizing::new(String::with_capacity(text.len()));
    for piece in text.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
        let run = piece.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        if run.len() < RUN {
            masked.push_str(piece);
            continue;
        }
        // What is no TOML stays none, so that nobody need try: a number with a zero before it, octal digits that are
        // none, a character that there is not. A bare word is no number.
        let digit = if run.bytes().all(|b| b.is_ascii_digit()) { '9' } else { 'd' };
        let first = if run.starts_with('0') && digit == '9' { '0' } else { digit };
        masked.push(first);
        masked.extend(std::iter::repeat_n(digit, run.len() - 1));
        masked.push_str(&piece[run.len()..]);
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_keys_are_exchanged_and_nothing_else() {
        for (text, shown) in [
            ("", ""),
            ("cak = \"c0ffee\" # ok\r\n", "cak = \"dddddd\" # ok\r\n"),
            ("12345", "99999"),
            ("sak=0012", "sak=0999"),
            ("DeadBeef\nx", "dddddddd\nx"),
            ("0xffff_fff0", "0xdddd_dddd"),
            ("an = 10\nreplay_protect = false", "an = 10\nreplay_protect = false"),
            ("\u{e4}bc\u{e4}abc\u{e4}", "\u{e4}bc\u{e4}ddd\u{e4}"),
        ] {
            assert_eq!(masked(text).as_str(), shown);
        }
    }
}

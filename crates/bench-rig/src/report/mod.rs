//! `--report DIR`: a page for people, with the numbers of a run in tables and plots and with what they depend on, and
//! beside it the rows that `--json` prints.
//!
//! The page is one file that needs nothing else: neither scripts nor a network. It knows nothing of what is measured.

mod axis;
mod destination;
mod facts;
mod page;
mod plot;

pub(crate) use destination::Destination;
pub(crate) use facts::Facts;
pub(crate) use page::{Page, Table};
pub(crate) use plot::{Kind, Plot, Scale, Series};

/// The command line of this process, as a shell takes it.
pub(crate) fn command_line() -> String {
    let arguments = std::env::args_os().skip(1).map(|argument| quoted(&argument.to_string_lossy()));
    std::iter::once("macsec-gw bench".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

/// Text as HTML and XML have it, in attributes too.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML has no way to write the others.
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{escaped, quoted};

    #[test]
    fn a_command_can_be_run_again() {
        let quoted = ["--octets", "64,512", "a b", "it's", ""].map(quoted);
        assert_eq!(quoted, ["--octets", "64,512", "'a b'", "'it'\\''s'", "''"]);
    }

    #[test]
    fn what_means_something_to_a_browser_is_escaped() {
        assert_eq!(escaped("a < b & \"c\" > 'd'"), "a &lt; b &amp; &quot;c&quot; &gt; &#39;d&#39;");
        assert_eq!(escaped("48 octets, ×\n"), "48 octets, ×\n");
        assert_eq!(escaped("\u{1b}[0m"), "\u{fffd}[0m");
    }
}

//! What the demo prints.

use serde_json::Value;
use std::fmt::Write;

/// Octets of a frame in a line.
const WIDTH: usize = 8;

/// Two frames in hex and text, in two columns.
pub(super) fn side_by_side(left: &[u8], right: &[u8]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "          {:<31}{}",
        format!("clear, {} octets", left.len()),
        format_args!("protected, {} octets", right.len())
    );
    for at in (0..left.len().max(right.len())).step_by(WIDTH) {
        let [l, r] = [left, right].map(|f| column(f, at));
        let _ = writeln!(text, "   {at:04x}   {l:<28}   {}", r.trim_end());
    }
    text
}

fn column(frame: &[u8], at: usize) -> String {
    let octets = &frame[at.min(frame.len())..(at + WIDTH).min(frame.len())];
    let mut hex = String::new();
    for (i, octet) in octets.iter().enumerate() {
        let _ = write!(hex, "{}{octet:02x}", if i == WIDTH / 2 { " " } else { "" });
    }
    let letters: String =
        octets.iter().map(|o| if o.is_ascii_graphic() { *o as char } else { '.' }).collect();
    format!("{hex:<18} {letters}")
}

/// The SecYs' counters that moved, a column for each gateway.
pub(super) fn counters(gateways: &[(&'static str, Vec<Value>)]) -> String {
    let mut names: Vec<&str> = Vec::new();
    let of_interest = |row: &&Value| ["secy", "tx_sc", "rx_sc"].iter().any(|s| row["scope"] == *s);
    for (_, rows) in gateways {
        for (name, value) in rows.iter().filter(of_interest).filter_map(Value::as_object).flatten() {
            if value.as_u64().is_some_and(|n| n > 0) && !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    let total = |rows: &[Value], name: &str| {
        rows.iter().filter(of_interest).filter_map(|r| r[name].as_u64()).sum::<u64>()
    };
    let mut text = format!("   {:<22}", "");
    for (gateway, _) in gateways {
        let _ = write!(text, "{gateway:>14}");
    }
    text.push('\n');
    for name in names {
        let _ = write!(text, "   {name:<22}");
        for (_, rows) in gateways {
            let _ = write!(text, "{:>14}", total(rows, name));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_also_where_one_frame_is_shorter() {
        let text = side_by_side(b"0123456789", b"abcdefghijklmnopq");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "   0000   30313233 34353637  01234567    61626364 65666768  abcdefgh");
        assert_eq!(lines[2], "   0008   3839               89          696a6b6c 6d6e6f70  ijklmnop");
        assert_eq!(lines[3], "   0010                                  71                 q");
    }

    #[test]
    fn counters_that_moved_are_shown_for_all() {
        let row = |n: u64| serde_json::json!({"scope": "rx_sc", "sci": "x", "InPktsOK": n, "InPktsLate": 0});
        let text = counters(&[("left", vec![row(5)]), ("right", vec![row(0)])]);
        assert!(text.contains("InPktsOK                           5             0"), "{text}");
        assert!(!text.contains("InPktsLate"), "{text}");
    }
}

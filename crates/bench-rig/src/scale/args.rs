//! The command line of `bench scale`.

use super::Options;
use super::case::Way;
use super::measure::MOST_SLICES;
use crate::gateway_bench::FrameSize;
use clap::Args;
use datapath::MAX_CRYPTO_WORKERS;
use std::path::PathBuf;
use wire::CipherSuite;

#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// Crypto workers at most; all numbers from none to this are measured [default: as many as have a core beside the
    /// owner's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=MAX_CRYPTO_WORKERS as i64))]
    workers: Option<u8>,
    /// Sizes of frames, in octets with FCS, or "imix"
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "64,512,1518,imix")]
    octets: Vec<FrameSize>,
    /// Suites: gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128, gcm-aes-xpn-256
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "gcm-aes-128,gcm-aes-256")]
    suite: Vec<CipherSuite>,
    /// Paths
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "protect,verify")]
    path: Vec<Way>,
    /// The owner's core, and then one for each crypto worker; on path both the first two are owners' [default: the last
    /// that this process may use]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cores: Vec<usize>,
    /// Slices of ten milliseconds for each number of crypto workers [default: 30, or 5 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SLICES)))]
    slices: Option<u32>,
    /// Few slices: seconds, and rough
    #[arg(long)]
    quick: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    /// Also write DIR/index.html, a page with tables and plots, and DIR/results.jsonl, what --json prints; they
    /// take the place of those of an earlier report
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

impl From<ScaleArgs> for Options {
    fn from(args: ScaleArgs) -> Self {
        Options {
            workers: args.workers.map(usize::from),
            sizes: args.octets,
            suites: args.suite,
            ways: args.path,
            cores: args.cores,
            slices: args.slices.unwrap_or(if args.quick { 5 } else { 30 }) as usize,
            json: args.json,
            report: args.report,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: ScaleArgs,
    }

    fn options(line: &str) -> Result<Options, String> {
        let words = std::iter::once("scale").chain(line.split_whitespace());
        Ok(Line::try_parse_from(words).map_err(|e| e.to_string())?.args.into())
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let usual = options("").unwrap();
        let octets = FrameSize::Octets;
        assert_eq!(usual.sizes, [octets(64), octets(512), octets(1518), FrameSize::Imix]);
        assert_eq!(usual.suites, [CipherSuite::GcmAes128, CipherSuite::GcmAes256]);
        assert_eq!(usual.ways, [Way::Protect, Way::Verify]);
        assert_eq!((usual.workers, usual.slices, usual.json), (None, 30, false));
        let some = options("--workers 2 --cores 3,1,2 --path verify --quick").unwrap();
        assert_eq!((some.workers, &some.cores[..], some.slices), (Some(2), &[3, 1, 2][..], 5));
        assert_eq!(some.ways, [Way::Verify]);
    }

    #[test]
    fn mistakes_name_the_value_and_what_would_do() {
        for (line, says) in [
            ("--workers 0", &["0", "--workers", "1..=32"][..]),
            ("--workers 33", &["33", "1..=32"]),
            ("--octets 63", &["'63'", "64 to 9604", "imix"]),
            ("--suite aes", &["'aes'", "--suite"]),
            ("--path clear", &["'clear'", "protect, verify, both"]),
            ("--slices 1001", &["1001", "1..=1000"]),
        ] {
            let said = options(line).unwrap_err();
            assert!(says.iter().all(|word| said.contains(word)), "{line}: {said}");
        }
    }
}

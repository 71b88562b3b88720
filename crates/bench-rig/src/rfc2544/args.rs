//! The command line of `bench rfc2544`.

use super::Options;
use super::frame::{DEFAULT_MACS, MAX_FLOWS, Shape};
use super::method::Plan;
use super::results::Test;
use super::size::{self, FrameSize};
use super::trial::Habits;
use crate::BadUsage;
use crate::ports::PortArgs;
use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;
use wire::MacAddr;

/// VLANs that there can be: identifiers 1 to 4094.
const VLANS: u16 = 4094;

#[derive(Debug, Args)]
pub(crate) struct Rfc2544Args {
    /// The port that frames are sent on: a DPDK device, such as 0000:3b:00.0 or net_af_packet0,iface=veth0
    #[arg(long, value_name = "PORT")]
    tx: String,
    /// The port that they come back on; the same as --tx where the device, or a cable, sends them back
    #[arg(long, value_name = "PORT")]
    rx: String,
    /// Only these tests
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',')]
    test: Vec<Test>,
    /// Octets of a frame, with FCS and VLAN tag, 64 to 9728, or imix [default: 64,128,256,512,1024,1280,1518]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    frame_sizes: Vec<FrameSize>,
    /// The rate of the line, which 100 % stand for, in Gbit/s [default: that of the slower of two NICs; with virtual
    /// ports what the generator reaches]
    #[arg(long, value_name = "GBIT", value_parser = positive)]
    rate: Option<f64>,
    /// Traffic both ways at once; a rate passes when it does so both ways
    #[arg(long)]
    bidirectional: bool,
    /// Length of a trial, in seconds; RFC 2544 wants 60, and 120 for latency
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = trial_seconds)]
    trial: f64,
    /// How long stragglers are waited for after a trial that lacks frames, in milliseconds; RFC 2544 wants 2000
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    drain: u32,
    /// How long the device is left alone between learning frames and a trial, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    settle: u32,
    /// How long to wait for the first frame to come through, in seconds: for links, and for keys to be agreed on
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    wait: u32,
    /// How much of its frames a trial may lose and pass, in percent
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = tolerance)]
    loss_tolerance: Share,
    /// How exactly a throughput is found, in percent of the line's rate, and a burst, in percent of its length
    #[arg(long, value_name = "PERCENT", default_value = "0.5", value_parser = part)]
    resolution: Share,
    /// Steps of the loss test, in percent of the line's rate; it ends with two rates without loss
    #[arg(long, value_name = "PERCENT", default_value = "10", value_parser = part)]
    loss_step: Share,
    /// Where latency is taken, in percent of the throughput
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "100,50,10", value_parser = part)]
    latency_shares: Vec<Share>,
    /// How often a trial of latency is repeated, of which all frames count together (RFC 2544 averages over one of each),
    /// and the search for a burst, of which the mean counts; RFC 2544 wants 20 and 50
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repetitions: u32,
    /// Flows: each has IP addresses of its own, in 198.18.0.0/15, and a UDP source port, all the same MACs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_FLOWS)))]
    flows: Option<u16>,
    /// Give frames an 802.1Q tag, and deal the flows to so many VLANs; that many flows at least
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=i64::from(VLANS)))]
    vlans: u16,
    /// The first VLAN's identifier
    #[arg(long, value_name = "VID", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=i64::from(VLANS)))]
    vlan_base: u16,
    /// Where frames say that they are from; in reverse, where they go to
    #[arg(long, value_name = "MAC", default_value_t = DEFAULT_MACS[0], value_parser = mac)]
    src_mac: MacAddr,
    /// Where frames go to; in reverse, where they say that they are from
    #[arg(long, value_name = "MAC", default_value_t = DEFAULT_MACS[1], value_parser = mac)]
    dst_mac: MacAddr,
    /// One core: generator and receiver take turns. Two: one for each. Four, with --bidirectional: one for each of
    /// each way. [default: as many as there is use for and this process may use, from the last]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cores: Vec<usize>,
    /// Print JSON, one object a line, as it is found
    #[arg(long)]
    json: bool,
    /// Also write DIR/index.html, a page with tables and plots, and DIR/results.jsonl, what --json prints; they
    /// take the place of those of an earlier report
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    // Last, for its heading.
    #[command(flatten)]
    ports: PortArgs,
}

/// A part of a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share(f64);

fn number(text: &str, what: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
    text.parse().ok().filter(|&number| fits(number)).ok_or_else(|| format!("write {what}"))
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, "Gbit/s, such as 25 or 2.5", |gbit| gbit > 0.0 && gbit <= 10_000.0)
}

fn trial_seconds(text: &str) -> Result<f64, String> {
    number(text, "seconds, 0.01 to 86400", |seconds| (0.01..=86_400.0).contains(&seconds))
}

fn tolerance(text: &str) -> Result<Share, String> {
    let percent =
        number(text, "percent, from 0 to less than 100", |percent| (0.0..100.0).contains(&percent))?;
    Ok(Share(percent / 100.0))
}

fn part(text: &str) -> Result<Share, String> {
    let percent = number(text, "percent, 0.01 to 100", |percent| (0.01..=100.0).contains(&percent))?;
    Ok(Share(percent / 100.0))
}

fn mac(text: &str) -> Result<MacAddr, String> {
    let mac = MacAddr::from_str(text)
        .map_err(|_| "write six octets in hex, such as 02:00:00:00:00:01".to_owned())?;
    if mac.is_group() {
        return Err("it is the address of a group; one station's has an even first octet".to_owned());
    }
    Ok(mac)
}

impl TryFrom<Rfc2544Args> for Options {
    type Error = BadUsage;

    fn try_from(args: Rfc2544Args) -> Result<Self, BadUsage> {
        let is_loop = device_name(&args.tx) == device_name(&args.rx);
        if is_loop && args.bidirectional {
            let text =
                format!("--bidirectional takes two ports; --tx and --rx are both {}", device_name(&args.tx));
            return Err(BadUsage(text));
        }
        if is_loop && args.tx != args.rx {
            let name = device_name(&args.tx);
            let text = format!(
                "--rx {}: --tx has {name} with other arguments; write the same, or another name",
                args.rx
            );
            return Err(BadUsage(text));
        }
        let flows = args.flows.unwrap_or(args.vlans.max(1));
        if flows < args.vlans {
            let text =
                format!("--flows {flows}: fewer than the {} VLANs; write as many at least", args.vlans);
            return Err(BadUsage(text));
        }
        if args.vlan_base + args.vlans > VLANS + 1 {
            let most = VLANS + 1 - args.vlans;
            let text =
                format!("--vlan-base {}: with --vlans {} it is {most} at most", args.vlan_base, args.vlans);
            return Err(BadUsage(text));
        }
        let shares = |shares: Vec<Share>| shares.into_iter().map(|share| share.0).collect();
        let or = |sizes: Vec<FrameSize>| match sizes.is_empty() {
            true => size::USUAL.map(FrameSize::Octets).into(),
            false => sizes,
        };
        let all = [Test::Throughput, Test::Latency, Test::Loss, Test::BackToBack];
        let milliseconds = |ms: u32| f64::from(ms) / 1e3;
        Ok(Options {
            plan: Plan {
                sizes: or(args.frame_sizes),
                tests: if args.test.is_empty() { all.into() } else { args.test },
                gbit: args.rate,
                seconds: args.trial,
                tolerance: args.loss_tolerance.0,
                resolution: args.resolution.0,
                step: args.loss_step.0,
                latency_shares: shares(args.latency_shares),
                repetitions: args.repetitions,
            },
            habits: Habits {
                shape: Shape {
                    src: args.src_mac,
                    dst: args.dst_mac,
                    flows,
                    vlans: args.vlans,
                    vlan_base: args.vlan_base,
                },
                settle: milliseconds(args.settle),
                drain: milliseconds(args.drain),
                bidirectional: args.bidirectional,
            },
            cores: args.cores,
            wait: f64::from(args.wait),
            json: args.json,
            report: args.report,
            tx: args.tx,
            rx: args.rx,
            ports: args.ports,
        })
    }
}

/// What DPDK tells devices by.
fn device_name(device: &str) -> &str {
    device.split(',').next().unwrap_or(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Rfc2544Args,
    }

    fn options(line: &str) -> Result<Options, String> {
        let words = ["rfc2544", "--tx", "net_null0", "--rx"].into_iter().chain(line.split_whitespace());
        let args = Line::try_parse_from(words).map_err(|e| e.to_string())?.args;
        args.try_into().map_err(|e: BadUsage| e.to_string())
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let usual = options("net_null1").unwrap();
        assert_eq!((&*usual.tx, &*usual.rx), ("net_null0", "net_null1"));
        assert_eq!(usual.plan.sizes, size::USUAL.map(FrameSize::Octets));
        assert_eq!(usual.plan.tests.len(), 4);
        assert_eq!((usual.plan.seconds, usual.plan.tolerance, usual.plan.resolution), (2.0, 0.0, 0.005));
        assert_eq!((&usual.plan.latency_shares[..], usual.plan.repetitions), (&[1.0, 0.5, 0.1][..], 1));
        assert_eq!(usual.habits.shape, Shape::default());
        assert!(!usual.habits.bidirectional && !usual.json && usual.cores.is_empty());
    }

    #[test]
    fn lists_and_numbers_are_taken_apart() {
        let line = "net_null0 --frame-sizes 64,imix --test loss,back-to-back --rate 2.5 --trial 0.1 --vlans 3 \
                    --latency-shares 90 --repetitions 20 --cores 3,1 --src-mac 02:00:00:00:00:0a --eal-arg --log-level=6";
        let some = options(line).unwrap();
        assert_eq!(some.plan.sizes, [FrameSize::Octets(64), FrameSize::Imix]);
        assert_eq!(some.plan.tests, [Test::Loss, Test::BackToBack]);
        assert_eq!((some.plan.gbit, some.plan.seconds, some.cores), (Some(2.5), 0.1, vec![3, 1]));
        // A flow for each VLAN.
        assert_eq!((some.habits.shape.vlans, some.habits.shape.flows), (3, 3));
        assert_eq!(some.habits.shape.src.to_string(), "02:00:00:00:00:0a");
        assert_eq!((&some.plan.latency_shares[..], some.plan.repetitions), (&[0.9][..], 20));
        assert_eq!(some.ports.eal_args, ["--log-level=6"]);
    }

    #[test]
    fn mistakes_name_the_value_and_what_would_do() {
        for (line, says) in [
            ("net_null1 --frame-sizes 60", &["'60'", "--frame-sizes", "64 to 9728", "imix"][..]),
            ("net_null1 --test speed", &["'speed'", "throughput, latency, loss, back-to-back"]),
            ("net_null1 --rate 0", &["'0'", "--rate", "Gbit/s, such as"]),
            ("net_null1 --trial 0", &["'0'", "--trial", "0.01 to 86400"]),
            ("net_null1 --loss-tolerance 100", &["'100'", "less than 100"]),
            ("net_null1 --resolution 0", &["'0'", "0.01 to 100"]),
            ("net_null1 --flows 0", &["0", "--flows"]),
            ("net_null1 --repetitions 0", &["0", "--repetitions", "1..=1000"]),
            ("net_null1 --flows 2 --vlans 3", &["--flows 2", "3 VLANs"]),
            ("net_null1 --vlans 4000", &["--vlan-base 100", "95 at most"]),
            ("net_null1 --src-mac 02:00", &["'02:00'", "02:00:00:00:00:01"]),
            ("net_null1 --dst-mac 01:80:c2:00:00:03", &["group"]),
            ("net_null0 --bidirectional", &["--bidirectional takes two ports", "net_null0"]),
            ("net_null0,no-rx=1", &["--rx net_null0,no-rx=1", "the same"]),
            ("net_null1 --memory 1", &["1", "--memory"]),
            ("net_null1 --cores first", &["'first'", "--cores"]),
        ] {
            let said = options(line).unwrap_err();
            assert!(says.iter().all(|word| said.contains(word)), "{line}: {said}");
        }
        assert!(options("").is_err());
    }
}

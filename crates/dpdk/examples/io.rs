//! Forwards frames from one device to another, untouched, and prints how many per second: what `dpdk-testpmd` does
//! with `--forward-mode=io`.
//!
//! ```text
//! io [--hugepages] [--core N] RX_DEVICE TX_DEVICE SECONDS
//! ```

use std::process::ExitCode;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use dpdk::{DEFAULT_DATA_ROOM, Eal, EalOptions, Mbuf, Pool, Port, PortConfig};

const BURST: usize = 32;
const USAGE: &str = "usage: io [--hugepages] [--core N] RX_DEVICE TX_DEVICE SECONDS";

type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    let mut options = EalOptions { hugepages: false, ..EalOptions::default() };
    let mut positional = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--hugepages" => options.hugepages = true,
            "--core" => options.control_core = Some(arguments.next().ok_or(USAGE)?.parse()?),
            _ => positional.push(argument),
        }
    }
    let [rx_device, tx_device, seconds]: [String; 3] = positional.try_into().map_err(|_| USAGE)?;
    let duration = Duration::from_secs(seconds.parse()?);
    options.allowed_pci =
        [&rx_device, &tx_device].into_iter().filter(|d| !d.starts_with("net_")).cloned().collect();

    let eal = Eal::init(options)?;
    let pool = Pool::new(&eal, "io", 16383, 256, DEFAULT_DATA_ROOM, None)?;
    let rx_port = Port::open(&eal, &PortConfig::new(rx_device), &pool)?;
    let tx_port = Port::open(&eal, &PortConfig::new(tx_device), &pool)?;
    let mut rx = rx_port.take_rx_queue(0).ok_or("no receive queue")?;
    let mut tx = tx_port.take_tx_queue(0).ok_or("no transmit queue")?;

    let mut frames: ArrayVec<Mbuf, BURST> = ArrayVec::new();
    let (mut received, mut dropped) = (0_u64, 0_u64);
    let start = Instant::now();
    let mut last = start;
    let mut last_received = 0;
    while last.duration_since(start) < duration {
        for _ in 0..1 << 16 {
            received += rx.rx_burst(&mut frames) as u64;
            tx.tx_burst(&mut frames);
            dropped += frames.len() as u64;
            frames.clear();
        }
        let now = Instant::now();
        let elapsed = now.duration_since(last);
        if elapsed >= Duration::from_secs(1) {
            println!("{:.3} Mpps", (received - last_received) as f64 / elapsed.as_secs_f64() / 1e6);
            (last, last_received) = (now, received);
        }
    }
    let mean = received as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!("mean {mean:.3} Mpps, {received} received, {dropped} dropped");
    Ok(())
}

//! Frames of pcapng files.

use super::{CaptureError, Captured, Found, check_link_type};
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

/// The next frame; `None` at the end.
pub(super) fn next(
    path: &Path,
    reader: &mut PcapNgReader<BufReader<File>>,
) -> Result<Option<Found>, CaptureError> {
    loop {
        let (frame, original, interface) = match reader.next_block() {
            None => return Ok(None),
            Some(Err(e)) => return Ok(Some(Err(e))),
            Some(Ok(Block::EnhancedPacket(p))) => {
                // The reader takes the counter for nanoseconds, whatever the interface says it counts.
                let ticks = p.timestamp.as_nanos() as u64;
                let frame = Captured { time: Duration::from_nanos(ticks), octets: p.data.into_owned() };
                (frame, p.original_len as usize, p.interface_id as usize)
            }
            Some(Ok(Block::SimplePacket(p))) => {
                let frame = Captured { time: Duration::ZERO, octets: p.data.into_owned() };
                (frame, p.original_len as usize, 0)
            }
            Some(Ok(_)) => continue,
        };
        let Some(interface) = reader.interfaces().get(interface) else {
            let what = format!("a frame of interface {interface}, which the file does not describe");
            return Err(CaptureError::Format { path: path.into(), what });
        };
        check_link_type(path, interface.linktype)?;
        let resolution = interface.options.iter().find_map(|o| match o {
            InterfaceDescriptionOption::IfTsResol(r) => Some(*r),
            _ => None,
        });
        let time = ticks_to_time(frame.time.as_nanos() as u64, resolution.unwrap_or(6));
        return Ok(Some(Ok((Captured { time, ..frame }, original))));
    }
}

/// Time of a pcapng counter whose unit is 10^-`resolution` s, or 2^-n s with the high bit set.
fn ticks_to_time(ticks: u64, resolution: u8) -> Duration {
    let exponent = u32::from(resolution & 0x7f);
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    let nanos =
        base.checked_pow(exponent).map_or(0, |per_second| u128::from(ticks) * 1_000_000_000 / per_second);
    Duration::from_nanos(nanos.min(u64::MAX.into()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_time() {
        let time = |ticks, resolution| ticks_to_time(ticks, resolution).as_nanos();
        assert_eq!(time(1_500_000, 6), 1_500_000_000);
        assert_eq!(time(1_500_000, 9), 1_500_000);
        assert_eq!(time(3, 0x81), 1_500_000_000);
        assert_eq!(time(u64::MAX, 0), u128::from(u64::MAX));
        assert_eq!(time(1, 0x7f), 0);
    }
}

//! What a direction counts beside its SecY.

use secy::Counter;

/// Frames of one direction of a link, at its ends.
///
/// `rx_frames` is the sum of the SecY's counters, which never sees what made way, and what it passes is
/// `tx_frames + tx_dropped + tx_too_long`.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct PathCounters {
    /// Frames received.
    pub rx_frames: Counter,
    /// Frames freed unread, for the line brought more than is verified and key agreement waited for MKPDUs.
    pub rx_made_way: Counter,
    /// Frames transmitted.
    pub tx_frames: Counter,
    /// Frames freed because the transmit queue was full.
    pub tx_dropped: Counter,
    /// Frames freed because they are longer than the port they should leave by carries.
    pub tx_too_long: Counter,
    /// EAPOL frames handed to key agreement, or sent for it. Not part of `tx_frames`.
    pub eapol_frames: Counter,
    /// EAPOL frames set aside for key agreement and dropped: there is none, or it has too many to read.
    pub eapol_dropped: Counter,
}

impl PathCounters {
    /// Each counter's name and value.
    pub fn values(&self) -> [(&'static str, u64); 7] {
        [
            ("rx_frames", self.rx_frames.get()),
            ("rx_made_way", self.rx_made_way.get()),
            ("tx_frames", self.tx_frames.get()),
            ("tx_dropped", self.tx_dropped.get()),
            ("tx_too_long", self.tx_too_long.get()),
            ("eapol_frames", self.eapol_frames.get()),
            ("eapol_dropped", self.eapol_dropped.get()),
        ]
    }
}

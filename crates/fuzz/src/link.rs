//! Both ends of a link.

use crate::Input;
use keys::{Sak, Salt};
use secy::{
    Command, RxConfig, RxSa, RxSaCounters, RxSc, RxSecY, SaParams, SciMode, TxConfig, TxSa, TxSaCounters,
    TxSecY, ValidateFrames, Xpn,
};
use std::sync::Arc;
use wire::{An, CipherSuite, ConfidentialityOffset, L2Header, Sci, Ssci};

/// How both ends of a link are set up: the first octets of an input.
#[derive(Clone, Debug)]
pub struct Link {
    /// How the transmitter is set up.
    pub tx: TxConfig,
    /// How the receiver is set up.
    pub rx: RxConfig,
    an: An,
    offset: ConfidentialityOffset,
    first_pn: u64,
}

impl Link {
    /// Reads a set-up. Whatever a configuration file allows may come.
    pub fn read(input: &mut Input<'_>) -> Self {
        let suite = input.pick(&CipherSuite::ALL);
        let encrypt = input.pick(&[true, true, false]);
        let offsets = match encrypt && !suite.is_xpn() {
            true => [
                ConfidentialityOffset::None,
                ConfidentialityOffset::Octets30,
                ConfidentialityOffset::Octets50,
            ],
            false => [ConfidentialityOffset::None; 3],
        };
        let offset = input.pick(&offsets);
        let clear_vlan_tags = input.pick(&[0, 1, 2]);
        let modes = [SciMode::Explicit, SciMode::EndStation, SciMode::SingleCopyBroadcast, SciMode::Implicit];
        let sci_mode = input.pick(&modes);
        let port = match sci_mode {
            SciMode::SingleCopyBroadcast => Sci::PORT_SINGLE_COPY_BROADCAST,
            _ => Sci::PORT_END_STATION,
        };
        let validate = [ValidateFrames::Strict, ValidateFrames::Check, ValidateFrames::Disabled];
        let validate_frames = input.pick(&validate);
        let replay_protect = input.pick(&[true, false]);
        let replay_window = input.pick(&[0, 0, 1, 64, (1 << 30) - 1]);
        let max_frame = input.pick(&[1554, 100, 9654]);
        let first_pn = input.pick(&[1, 0x7fff_fff0, 0xffff_fff0]);
        let first_pn =
            if suite.is_xpn() { input.pick(&[0, 1 << 32, 0xffff_ffff << 32]) + first_pn } else { first_pn };
        let sci = Sci::new(wire::MacAddr([2, 0, 0, 0, 0, 1]), port);
        Link {
            tx: TxConfig { sci, protect_frames: true, encrypt, sci_mode, clear_vlan_tags, max_frame },
            rx: RxConfig { suite, validate_frames, replay_protect, replay_window, clear_vlan_tags },
            an: input.pick(&An::ALL),
            offset,
            first_pn,
        }
    }

    fn with_params<T>(&self, make: impl FnOnce(&SaParams<'_>) -> T) -> T {
        let suite = self.rx.suite;
        let sak = Sak::from_octets(&vec![0x5a; suite.sak_len()]).expect("the suite's length");
        let xpn = suite.is_xpn().then_some(Xpn { ssci: Ssci(1), salt: Salt([7; 12]) });
        make(&SaParams {
            suite,
            sak: &sak,
            sci: self.tx.sci,
            xpn,
            offset: self.offset,
            first_pn: self.first_pn,
        })
    }

    /// A transmitter and the counters of its SA.
    pub fn transmitter(&self) -> (TxSecY, Arc<TxSaCounters>) {
        let sa = self.with_params(|p| TxSa::new(p, u64::MAX)).expect("parameters of an SA");
        let counters = sa.counters();
        let mut tx = TxSecY::new(self.tx.clone());
        assert!(tx.apply(Command::InstallTxSa { an: self.an, sa: Box::new(sa) }).is_none());
        assert!(tx.apply(Command::EncodeWith(Some(self.an))).is_none());
        (tx, counters)
    }

    /// A receiver with the transmitter's channel.
    pub fn receiver(&self) -> RxSecY {
        let (sci, an) = (self.tx.sci, self.an);
        let sa = self.with_params(RxSa::new).expect("parameters of an SA");
        let mut rx = RxSecY::new(self.rx.clone());
        assert!(rx.apply(Command::AddRxSc(RxSc::new(sci))).is_none());
        assert!(rx.apply(Command::InstallRxSa { sci, an, sa: Box::new(sa) }).is_none());
        rx
    }

    /// Whether a receiver can bring back all that was protected.
    pub fn is_restorable(&self) -> bool {
        self.rx.validate_frames != ValidateFrames::Disabled || !self.tx.encrypt
    }

    /// What of a plain frame is authenticated: the addresses, and what follows VLAN tags in the clear.
    pub fn authenticated(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let header = L2Header::parse(plain, self.tx.clear_vlan_tags)?;
        Some([&plain[..12], &plain[header.len..]].concat())
    }

    /// Fails when a frame came out of which nothing in `sent` is the authenticated part. One that must not be
    /// delivered again is taken out of `sent`.
    pub fn assert_sent(&self, delivered: &[u8], sent: &mut Vec<Vec<u8>>) {
        // Whoever is on the line may put VLAN tags in the clear there, or take them away.
        let found = (0..=self.rx.clear_vlan_tags).find_map(|tags| {
            let header = L2Header::parse(delivered, tags).filter(|h| h.vlan_len() == 4 * tags)?;
            let part = [&delivered[..12], &delivered[header.len..]].concat();
            sent.iter().position(|s| *s == part)
        });
        let found = found.unwrap_or_else(|| panic!("{delivered:02x?} was not sent, or was delivered before"));
        if self.rx.replay_protect && self.rx.replay_window == 0 {
            sent.swap_remove(found);
        }
    }
}

/// Frames that a receiver counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Delivered.
    pub delivered: u64,
    /// Set aside.
    pub set_aside: u64,
    /// Dropped.
    pub dropped: u64,
}

impl Received {
    /// Sums up all counters of `rx`.
    pub fn of(rx: &RxSecY) -> Self {
        let mut sum = Received::default();
        sum.add(rx.counters().values());
        for sc in rx.channels() {
            let counters = sc.counters();
            sum.add(counters.retired.values());
            counters.without_sa.iter().for_each(|c| sum.add(RxSaCounters::values(c)));
            An::ALL.iter().filter_map(|an| sc.sa(*an)).for_each(|sa| sum.add(sa.counters().values()));
        }
        sum
    }

    fn add(&mut self, values: impl Iterator<Item = (&'static str, u64)>) {
        for (name, n) in values {
            match name {
                "InOctetsValidated" | "InOctetsDecrypted" => {}
                "InPktsEapol" => self.set_aside += n,
                "InPktsUntagged" | "InPktsUnknownSCI" | "InPktsUnchecked" | "InPktsDelayed" | "InPktsOK"
                | "InPktsInvalid" | "InPktsUnusedSA" => self.delivered += n,
                _ => self.dropped += n,
            }
        }
    }
}

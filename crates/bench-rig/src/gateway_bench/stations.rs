//! The two halves of a SecY that talk to each other.

use secy::{
    Command, RxConfig, RxSa, RxSc, RxSecY, SaParams, SciMode, TxConfig, TxSa, TxSecY, ValidateFrames, Xpn,
};
use wire::{An, CipherSuite, ConfidentialityOffset, Sci, Ssci};

use anyhow::{Context, Result};
use keys::{Sak, Salt};

/// Who transmits.
const SCI: Sci = Sci::from_bytes([2, 0, 0, 0, 0, 1, 0, 1]);
const AN: An = An::ALL[0];

/// Counts the frames that a half brought through as it should.
pub(crate) type Done = Box<dyn Fn() -> u64 + Send>;

/// What both ends know of a key.
pub(crate) struct Keying {
    pub(crate) suite: CipherSuite,
    pub(crate) sak: Sak,
    xpn: Option<Xpn>,
}

impl Keying {
    /// A key that is no secret.
    ///
    /// # Errors
    /// None that could happen.
    pub(crate) fn new(suite: CipherSuite) -> Result<Self> {
        let sak = Sak::from_octets(&[0x5c; 32][..suite.sak_len()]).context("a SAK of the suite's length")?;
        let xpn = suite.is_xpn().then_some(Xpn { ssci: Ssci(1), salt: Salt([0x36; 12]) });
        Ok(Keying { suite, sak, xpn })
    }

    fn params(&self) -> SaParams<'_> {
        SaParams {
            suite: self.suite,
            sak: &self.sak,
            sci: SCI,
            xpn: self.xpn,
            offset: ConfidentialityOffset::None,
            first_pn: 1,
        }
    }

    /// A transmit half that encrypts, or passes frames on as they come.
    ///
    /// # Errors
    /// None that could happen.
    pub(crate) fn transmit_half(&self, protect_frames: bool) -> Result<TxSecY> {
        Ok(self.watched_transmit_half(protect_frames)?.0)
    }

    /// The same, and how many frames it encrypted, or passed on.
    ///
    /// # Errors
    /// None that could happen.
    pub(crate) fn watched_transmit_half(&self, protect_frames: bool) -> Result<(TxSecY, Done)> {
        let mut half = TxSecY::new(TxConfig {
            sci: SCI,
            protect_frames,
            encrypt: true,
            sci_mode: SciMode::Explicit,
            clear_vlan_tags: 0,
            max_frame: usize::MAX,
        });
        let sa = TxSa::new(&self.params(), u64::MAX)?;
        let (counters, encrypted) = (half.counters(), sa.counters());
        half.apply(Command::InstallTxSa { an: AN, sa: Box::new(sa) });
        half.apply(Command::EncodeWith(Some(AN)));
        let done: Done = match protect_frames {
            true => Box::new(move || encrypted.out_pkts_encrypted.get()),
            false => Box::new(move || counters.out_pkts_untagged.get()),
        };
        Ok((half, done))
    }

    /// A receive half that is strict about everything: at replay window 0, or, for frames that `come_again`, at one
    /// within which they may.
    ///
    /// # Errors
    /// None that could happen.
    pub(crate) fn receive_half(&self, come_again: bool) -> Result<RxSecY> {
        Ok(self.watched_receive_half(come_again)?.0)
    }

    /// The same, and how many frames were authentic.
    ///
    /// # Errors
    /// None that could happen.
    pub(crate) fn watched_receive_half(&self, come_again: bool) -> Result<(RxSecY, Done)> {
        let sci = SCI;
        let mut half = RxSecY::new(RxConfig {
            suite: self.suite,
            validate_frames: ValidateFrames::Strict,
            replay_protect: true,
            // None of them is late, as on a link.
            replay_window: if come_again { u32::MAX.into() } else { 0 },
            clear_vlan_tags: 0,
        });
        half.apply(Command::AddRxSc(RxSc::new(sci)));
        let sa = RxSa::new(&self.params())?;
        let counters = sa.counters();
        half.apply(Command::InstallRxSa { sci, an: AN, sa: Box::new(sa) });
        Ok((half, Box::new(move || counters.in_pkts_ok.get())))
    }
}

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
        let mut half = TxSecY::new(TxConfig {
            sci: SCI,
            protect_frames,
            encrypt: true,
            sci_mode: SciMode::Explicit,
            clear_vlan_tags: 0,
            max_frame: usize::MAX,
        });
        half.apply(Command::InstallTxSa { an: AN, sa: Box::new(TxSa::new(&self.params(), u64::MAX)?) });
        half.apply(Command::EncodeWith(Some(AN)));
        Ok(half)
    }

    /// A receive half that is strict about everything, but for replay unless `replay_protect`.
    ///
    /// # Errors
    /// None that could happen.
    pub(crate) fn receive_half(&self, replay_protect: bool) -> Result<RxSecY> {
        let sci = SCI;
        let mut half = RxSecY::new(RxConfig {
            suite: self.suite,
            validate_frames: ValidateFrames::Strict,
            replay_protect,
            replay_window: 0,
            clear_vlan_tags: 0,
        });
        half.apply(Command::AddRxSc(RxSc::new(sci)));
        half.apply(Command::InstallRxSa { sci, an: AN, sa: Box::new(RxSa::new(&self.params())?) });
        Ok(half)
    }
}

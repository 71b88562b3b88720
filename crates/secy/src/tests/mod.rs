//! The SecY as a whole.

mod batches;
mod hostile;
mod rules;
mod vectors;

use crate::*;
use gcm::Engine;
use keys::{Sak, Salt};
use std::sync::Arc;
use wire::{An, CipherSuite, ConfidentialityOffset, Sci, Ssci};

/// How both ends of a test link are set up.
#[derive(Clone, Debug)]
struct Setup {
    suite: CipherSuite,
    sak: Sak,
    sci: Sci,
    xpn: Option<Xpn>,
    an: An,
    tx_pn: u64,
    rx_pn: u64,
    encrypt: bool,
    offset: ConfidentialityOffset,
    sci_mode: SciMode,
    clear_vlan_tags: usize,
    validate_frames: ValidateFrames,
    replay_protect: bool,
    replay_window: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Setup::with_suite(CipherSuite::GcmAes128)
    }
}

impl Setup {
    fn with_suite(suite: CipherSuite) -> Self {
        Setup {
            suite,
            sak: Sak::from_octets(&vec![0x5a; suite.sak_len()]).unwrap(),
            sci: "0200000000010001".parse().unwrap(),
            xpn: suite.is_xpn().then_some(Xpn { ssci: Ssci(1), salt: Salt([7; 12]) }),
            an: An::ALL[0],
            tx_pn: 1,
            rx_pn: 1,
            encrypt: true,
            offset: ConfidentialityOffset::None,
            sci_mode: SciMode::Explicit,
            clear_vlan_tags: 0,
            validate_frames: ValidateFrames::Strict,
            replay_protect: true,
            replay_window: 0,
        }
    }

    fn params(&self, first_pn: u64) -> SaParams<'_> {
        let Setup { suite, sci, xpn, offset, .. } = *self;
        SaParams { suite, sak: &self.sak, sci, xpn, offset, first_pn }
    }

    fn tx_sa(&self) -> Box<TxSa> {
        Box::new(TxSa::new(&self.params(self.tx_pn), u64::MAX).unwrap())
    }

    fn rx_sa(&self) -> Box<RxSa> {
        Box::new(RxSa::new(&self.params(self.rx_pn)).unwrap())
    }

    fn tx(&self) -> TxSecY {
        let mut tx = TxSecY::new(TxConfig {
            sci: self.sci,
            protect_frames: true,
            encrypt: self.encrypt,
            sci_mode: self.sci_mode,
            clear_vlan_tags: self.clear_vlan_tags,
            max_frame: 9622,
        });
        assert!(tx.apply(Command::InstallTxSa { an: self.an, sa: self.tx_sa() }).is_none());
        assert!(tx.apply(Command::EncodeWith(Some(self.an))).is_none());
        tx
    }

    fn rx(&self) -> RxSecY {
        let mut rx = RxSecY::new(RxConfig {
            suite: self.suite,
            validate_frames: self.validate_frames,
            replay_protect: self.replay_protect,
            replay_window: self.replay_window,
            clear_vlan_tags: self.clear_vlan_tags,
        });
        assert!(rx.apply(Command::AddRxSc(RxSc::new(self.sci))).is_none());
        assert!(rx.apply(Command::InstallRxSa { sci: self.sci, an: self.an, sa: self.rx_sa() }).is_none());
        rx
    }
}

fn protect(tx: &mut TxSecY, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut burst: Burst<MemFrame> = frames.iter().map(|f| MemFrame::new(f)).collect();
    tx.protect(&mut Engine::new(), &mut burst);
    burst.iter().map(MemFrame::to_vec).collect()
}

fn verify(rx: &mut RxSecY, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut burst: Burst<MemFrame> = frames.iter().map(|f| MemFrame::new(f)).collect();
    rx.verify(&mut Engine::new(), &mut burst, &mut Burst::new());
    burst.iter().map(MemFrame::to_vec).collect()
}

/// A frame of `len` octets from the station with the default SCI.
fn frame(len: usize) -> Vec<u8> {
    let mut f = hex::decode("0200000000020200000000010800").unwrap();
    f.truncate(len);
    f.extend((f.len()..len).map(|i| i as u8));
    f
}

/// All receive counters that have moved, over the half, its channels and its SAs.
fn moved(rx: &RxSecY) -> Vec<(&'static str, u64)> {
    let mut sums: Vec<(&'static str, u64)> = rx.counters().values().collect();
    let mut add = |values: &mut dyn Iterator<Item = (&'static str, u64)>| {
        for (name, n) in values {
            match sums.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += n,
                None => sums.push((name, n)),
            }
        }
    };
    for counters in rx.all_sa_counters() {
        add(&mut counters.values());
    }
    sums.retain(|(name, n)| *n > 0 && !name.starts_with("InOctets"));
    sums
}

impl RxSecY {
    fn all_sa_counters(&self) -> Vec<Arc<RxSaCounters>> {
        let copy = |c: &RxSaCounters| {
            let sum = RxSaCounters::default();
            sum.absorb(c);
            Arc::new(sum)
        };
        let mut all = Vec::new();
        for sc in self.channels() {
            let counters = sc.counters();
            all.push(copy(&counters.retired));
            all.extend(counters.without_sa.iter().map(copy));
            all.extend(An::ALL.iter().filter_map(|an| Some(sc.sa(*an)?.counters())));
        }
        all
    }
}

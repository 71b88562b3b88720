//! The SecY over real mbufs: hostile frames by the million, jumbo frames in many segments, and not one mbuf lost.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used)]

use datapath::{DpdkFrame, DpdkRx, DpdkTx, Protect, Task};
use dpdk::{Eal, EalOptions, Mbuf, Pool, Port, PortConfig};
use keys::Sak;
use secy::{
    Batch, Burst, Command, Engine, FrameBuf, RxConfig, RxSa, RxSc, RxSecY, SaParams, SciMode, TxConfig, TxSa,
    TxSecY, ValidateFrames,
};
use std::sync::OnceLock;
use wire::{An, CipherSuite, ConfidentialityOffset, Sci};

const SUITE: CipherSuite = CipherSuite::GcmAes128;
const HOSTILE_FRAMES: u64 = 10_000_000;

fn eal() -> &'static Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    EAL.get_or_init(|| {
        Eal::init(EalOptions { hugepages: false, memory_mib: Some(256), ..EalOptions::default() }).unwrap()
    })
}

fn pool(name: &str, data_room: u16) -> Pool {
    Pool::new(eal(), name, 4095, 0, data_room, None).unwrap()
}

fn sci() -> Sci {
    "0200000000010001".parse().unwrap()
}

fn params(sak: &Sak) -> SaParams<'_> {
    SaParams { suite: SUITE, sak, sci: sci(), xpn: None, offset: ConfidentialityOffset::None, first_pn: 1 }
}

fn tx(encrypt: bool) -> TxSecY {
    let mut tx = TxSecY::new(TxConfig {
        sci: sci(),
        protect_frames: true,
        encrypt,
        sci_mode: SciMode::Explicit,
        clear_vlan_tags: 0,
        max_frame: 9700,
    });
    let sak = Sak::from_octets(&[3; 16]).unwrap();
    let sa = Box::new(TxSa::new(&params(&sak), u64::MAX).unwrap());
    assert!(tx.apply(Command::InstallTxSa { an: An::ALL[0], sa }).is_none());
    assert!(tx.apply(Command::EncodeWith(Some(An::ALL[0]))).is_none());
    tx
}

fn rx(replay_window: u64) -> RxSecY {
    let mut rx = RxSecY::new(RxConfig {
        suite: SUITE,
        validate_frames: ValidateFrames::Strict,
        replay_protect: true,
        replay_window,
        clear_vlan_tags: 1,
    });
    let sak = Sak::from_octets(&[3; 16]).unwrap();
    assert!(rx.apply(Command::AddRxSc(RxSc::new(sci()))).is_none());
    let sa = Box::new(RxSa::new(&params(&sak)).unwrap());
    assert!(rx.apply(Command::InstallRxSa { sci: sci(), an: An::ALL[0], sa }).is_none());
    rx
}

fn mbuf(pool: &Pool, octets: &[u8]) -> DpdkFrame {
    let mut mbuf = pool.alloc().unwrap();
    assert!(mbuf.extend_from_slice(octets));
    mbuf.into()
}

fn octets(frame: DpdkFrame) -> Vec<u8> {
    let mbuf: Mbuf = frame.into();
    mbuf.segments().flatten().copied().collect()
}

fn frame(len: usize) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    f.extend((f.len()..len).map(|i| (i % 251) as u8));
    f
}

fn counted(rx: &RxSecY) -> u64 {
    let half: u64 = rx.counters().values().map(|(_, n)| n).sum();
    let verdicts = |(name, n): (&str, u64)| if name.starts_with("InPkts") { n } else { 0 };
    let sc = &rx.channels()[0];
    let sas = sc.sa(An::ALL[0]).unwrap().counters().values().map(verdicts).sum::<u64>();
    let without_sa = sc.counters().without_sa.iter().flat_map(|c| c.values()).map(verdicts).sum::<u64>();
    half + sas + without_sa
}

/// Whether the passes come one after the other, or apart, as with crypto workers.
#[derive(Clone, Copy, Debug)]
enum Passes {
    AtOnce,
    Apart,
}

impl Passes {
    const BOTH: [Passes; 2] = [Passes::AtOnce, Passes::Apart];

    fn protect(self, tx: &mut TxSecY, engine: &mut Engine, burst: &mut Burst<DpdkFrame>) {
        match self {
            Passes::AtOnce => tx.protect(engine, burst),
            Passes::Apart => {
                let mut batch = Batch::new();
                batch.frames_mut().extend(burst.drain(..));
                tx.begin(&mut batch);
                batch.crypt(engine);
                tx.finish(&mut batch);
                burst.extend(batch.frames_mut().drain(..));
            }
        }
    }

    fn verify(
        self,
        rx: &mut RxSecY,
        engine: &mut Engine,
        burst: &mut Burst<DpdkFrame>,
        set_aside: &mut Burst<DpdkFrame>,
    ) {
        match self {
            Passes::AtOnce => {
                rx.verify(engine, burst, set_aside);
            }
            Passes::Apart => {
                let mut batch = Batch::new();
                batch.frames_mut().extend(burst.drain(..));
                rx.begin(&mut batch);
                batch.crypt(engine);
                rx.finish(engine, &mut batch, set_aside);
                burst.extend(batch.frames_mut().drain(..));
            }
        }
    }
}

/// Spoils a frame in one of the ways that make it strange without making all of them alike.
fn mutate(f: &mut Vec<u8>, rng: &mut fastrand::Rng) {
    match rng.u8(..8) {
        0 => f.truncate(rng.usize(..=f.len())),
        1 => {
            let at = rng.usize(..f.len());
            f[at] ^= 1 << rng.u8(..8);
        }
        2 => f[14] = rng.u8(..),
        3 => f[15] = rng.u8(..),
        4 => f[16..20].copy_from_slice(&rng.u32(..).to_be_bytes()),
        5 => f.resize(f.len() + rng.usize(1..200), rng.u8(..)),
        6 => {
            *f = vec![0; rng.usize(..200)];
            rng.fill(f);
            if f.len() > 20 && rng.bool() {
                f[12..14].copy_from_slice(&[0x88, 0xe5]);
            }
        }
        _ => {}
    }
}

#[test]
fn ten_million_hostile_frames_are_each_counted_once_and_freed() {
    // Small buffers, so that a good part of the frames has several segments.
    let pool = pool("hostile", 128 + 128);
    let mut engine = Engine::new();
    let mut rng = fastrand::Rng::with_seed(0x5ec7_a600);
    let mut sealed: Vec<Vec<u8>> = Vec::new();
    for (encrypt, passes) in [true, false].into_iter().zip(Passes::BOTH) {
        let mut burst: Burst<DpdkFrame> = (0..32).map(|i| mbuf(&pool, &frame(20 + i * 7))).collect();
        passes.protect(&mut tx(encrypt), &mut engine, &mut burst);
        sealed.extend(burst.into_iter().map(octets));
    }
    // In one buffer each: bursts of these, with few others among them, are read by who opens them.
    let short: Vec<_> = sealed.iter().filter(|f| f.len() <= 128).cloned().collect();
    let mut rx = rx(1 << 31);
    let (mut offered, mut delivered, mut of_short) = (0, 0, 0);
    let mut set_aside = Burst::new();
    while offered < HOSTILE_FRAMES {
        let mut burst: Burst<DpdkFrame> = Burst::new();
        let is_short = offered / 64 % 4 > 1;
        while !burst.is_full() {
            let from = if is_short { &short } else { &sealed };
            let mut f = from[rng.usize(..from.len())].clone();
            if !is_short || rng.u8(..32) == 0 {
                mutate(&mut f, &mut rng);
            }
            burst.push(mbuf(&pool, &f));
        }
        let passes = Passes::BOTH[(offered / 64 % 2) as usize];
        offered += burst.len() as u64;
        passes.verify(&mut rx, &mut engine, &mut burst, &mut set_aside);
        *(if is_short { &mut of_short } else { &mut delivered }) += burst.len() as u64;
        set_aside.clear();
    }
    assert_eq!(counted(&rx), offered);
    let half = offered / 2;
    assert!(delivered > half / 20 && delivered < half / 2, "{delivered} of {half} delivered");
    assert!(of_short > half * 9 / 10 && of_short < half, "{of_short} of {half} delivered");
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn frames_in_any_segments_come_out_as_they_went_in() {
    for (data_room, passes) in [128 + 64, 128 + 700, 128 + 2048]
        .into_iter()
        .flat_map(|room| Passes::BOTH.map(|passes| (room, passes)))
    {
        let pool = pool(&format!("segments-{data_room}"), data_room);
        let (mut tx, mut rx) = (tx(true), rx(0));
        let mut engine = Engine::new();
        // Around the segments' ends the ICV lies across two of them, or in one of its own.
        let longest = (usize::from(data_room) - 128) * 14;
        for len in (14..2200).chain((2200..9600).step_by(97)).filter(|len| *len < longest) {
            let what = format!("{len} octets in segments of {data_room}, {passes:?}");
            let plain = frame(len);
            let mut burst: Burst<DpdkFrame> = [mbuf(&pool, &plain)].into_iter().collect();
            passes.protect(&mut tx, &mut engine, &mut burst);
            assert_eq!(burst.len(), 1, "{what}");
            // Received in other segments than sent.
            let sealed = octets(burst.pop().unwrap());
            assert_eq!(sealed.len(), len + 32);
            let mut burst: Burst<DpdkFrame> = [mbuf(&pool, &sealed)].into_iter().collect();
            passes.verify(&mut rx, &mut engine, &mut burst, &mut Burst::new());
            assert_eq!(burst.pop().map(octets), Some(plain), "{what}");
        }
        assert_eq!(pool.in_use(), 0);
    }
}

#[test]
fn a_frame_in_too_many_segments_is_counted_and_freed() {
    let pool = pool("too-many", 128 + 64);
    let mut burst: Burst<DpdkFrame> = [mbuf(&pool, &frame(64 * 20))].into_iter().collect();
    assert!(burst[0].len() > 64 * 19);
    let mut tx = tx(true);
    tx.protect(&mut Engine::new(), &mut burst);
    assert!(burst.is_empty());
    assert_eq!(tx.counters().out_pkts_malformed.get(), 1);

    let mut sealed = frame(64 * 20);
    sealed[12..28].copy_from_slice(&[0x88, 0xe5, 0x2c, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 1]);
    let mut burst: Burst<DpdkFrame> = [mbuf(&pool, &sealed)].into_iter().collect();
    let mut rx = rx(0);
    rx.verify(&mut Engine::new(), &mut burst, &mut Burst::new());
    assert!(burst.is_empty());
    assert_eq!(rx.counters().in_pkts_overrun.get(), 1);
    assert_eq!(pool.in_use(), 0);
}

/// A core that does everything receives fewer middling frames at once, and one that leaves the crypto to others does not.
#[test]
fn bursts_from_a_port_are_shorter_where_frames_are_middling() {
    let pool = pool("bursts", 2176);
    for (number, (octets, bursts)) in
        [(60, [48, 48, 48]), (508, [48, 16, 16]), (1514, [48, 48, 48])].into_iter().enumerate()
    {
        for workers in [0, 1] {
            let device = format!("net_null{number}{workers},size={octets}");
            let port = Port::open(eal(), &PortConfig::new(&*device), &pool).unwrap();
            let rx = DpdkRx::new(port.take_rx_queue(0).unwrap());
            let out = DpdkTx::new(port.take_tx_queue(0).unwrap(), pool.clone());
            let (mut protect, _crypto) = Protect::new(rx, tx(true), out).with_crypto_workers(workers);
            let (counters, mut engine) = (protect.counters(), Engine::new());
            let received = [(); 3].map(|()| {
                let before = counters.rx_frames.get();
                protect.poll(&mut engine);
                counters.rx_frames.get() - before
            });
            assert_eq!(
                received,
                if workers == 0 { bursts } else { [48; 3] },
                "{octets} octets, {workers} workers"
            );
        }
    }
    assert_eq!(pool.in_use(), 0);
}

//! A KaY among stations that know the CAK and say whatever they like: nothing panics, what it keeps is bounded, and no
//! key comes twice.
#![no_main]
#![forbid(unsafe_code)]

use fuzz::Input;
use keys::{Cak, Ckn, Ick};
use libfuzzer_sys::fuzz_target;
use mka::{Action, Config, Kay, KeyIdentifier, Time};
use std::collections::HashSet;
use wire::{
    BasicRepr, Capability, CipherSuite, CknRef, MacAddr, MemberId, Mkpdu, MkpduWriter, ParameterSet, Sci,
};

/// What happens in one input, at most.
const STEPS: usize = 200;
/// Stations that a KaY keeps, at most.
const MAX_PEERS: usize = 256;

/// A KaY, and what came out of it.
struct Station {
    kay: Kay,
    claimed: HashSet<KeyIdentifier>,
    used: HashSet<KeyIdentifier>,
    /// The last frame that it sent.
    said: Vec<u8>,
    confirm: u64,
    /// What it is to know of whether it used it before.
    claim: Option<KeyIdentifier>,
}

impl Station {
    fn new(number: u16, suite: CipherSuite) -> Self {
        let [high, low] = number.to_be_bytes();
        let sci = Sci::new(MacAddr([2, 0, 0, 0, high, low]), 1);
        let config = Config {
            suites: vec![suite],
            delay_protect: number == 1,
            rekey_period: Some(Time::from_secs(30)),
            ..Config::new(sci, cak(), ckn())
        };
        let mut state = number;
        let random = Box::new(move |octets: &mut [u8]| {
            octets.iter_mut().for_each(|octet| {
                state = state.wrapping_mul(25173).wrapping_add(13849);
                *octet = (state >> 8) as u8;
            });
        });
        Station {
            kay: Kay::new(config, random, Time::ZERO),
            claimed: HashSet::new(),
            used: HashSet::new(),
            said: Vec::new(),
            confirm: 0,
            claim: None,
        }
    }

    /// Lets it do what it wants. Says how many frames it sent.
    fn drain(&mut self, now: Time) -> usize {
        let mut buffer = [0; MkpduWriter::MAX_FRAME_LEN];
        let mut sent = 0;
        for turn in 0.. {
            assert!(turn < 10_000, "it goes on and on");
            if let Some(action) = self.kay.poll_action() {
                match action {
                    Action::Confirm(number) => self.confirm = number,
                    Action::Claim(key) => self.claim = Some(key.identifier),
                    Action::InstallTxSa(key) => {
                        assert!(self.claimed.remove(&key.identifier), "{} without a claim", key.identifier);
                        assert!(self.used.insert(key.identifier), "{} again", key.identifier);
                        let sscis: HashSet<_> = key.sscis.iter().map(|(_, ssci)| ssci.0).collect();
                        assert_eq!(sscis.len(), key.sscis.len(), "an SSCI for each station");
                    }
                    _ => {}
                }
            } else if let Some(len) = self.kay.poll_transmit(now, &mut buffer) {
                assert!(Mkpdu::new_checked(&buffer[..len]).is_ok());
                self.said = buffer[..len].to_vec();
                sent += 1;
            } else if self.kay.poll_event().is_none() {
                break;
            }
        }
        let status = self.kay.status(now);
        assert!(status.peers.len() <= MAX_PEERS && status.sas.len() <= 2);
        sent
    }

    /// What is heard is ignored or not.
    fn hear(&mut self, now: Time, frame: &[u8]) {
        let _ = self.kay.handle_frame(now, frame);
        self.drain(now);
    }
}

fn cak() -> Cak {
    Cak::from_octets(&[0x5a; 16]).expect("16 octets")
}

fn ckn() -> Ckn {
    Ckn::from_octets(&[1]).expect("an octet")
}

fuzz_target!(|octets: &[u8]| {
    let mut input = Input::new(octets);
    let suite = input.pick(&CipherSuite::ALL);
    let (mut one, mut other) = (Station::new(1, suite), Station::new(2, suite));
    let ick = cak().ick(&ckn());
    let mut now = Time::ZERO;
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        match input.octet() % 12 {
            // What should happen, mostly: time passes, both speak and are heard, and do as they are told.
            0..=4 => {
                now += Time::from_millis(input.pick(&[0, 5, 50, 500, 2000, 7000]));
                for this in [true, false] {
                    let (from, to) = if this { (&mut one, &mut other) } else { (&mut other, &mut one) };
                    from.kay.handle_timeout(now);
                    if from.drain(now) > 0 {
                        to.hear(now, &from.said);
                    }
                }
            }
            5 => {
                for station in [&mut one, &mut other] {
                    if let Some(key) = station.claim.take() {
                        station.claimed.insert(key);
                        station.kay.handle_claimed(now, key);
                        station.drain(now);
                    }
                    station.kay.handle_done(now, station.confirm);
                    station.drain(now);
                }
            }
            6 => {
                one.kay.rekey(now);
                one.drain(now);
            }
            7 => {
                let pn = input.pick(&[1, 0xbfff_ffff, 0xc000_0000, u64::MAX]);
                for sa in one.kay.status(now).sas {
                    one.kay.handle_next_pn(now, sa.key, pn);
                }
                one.drain(now);
            }
            8 => {
                let newest = one.kay.status(now).sas.first().map(|sa| sa.key);
                let newest = one.claim.take().or(newest);
                newest.into_iter().for_each(|key| one.kay.handle_refused(now, key));
                one.drain(now);
            }
            // What somebody said, with sets changed.
            9 | 10 => {
                let said = if input.octet() & 1 == 0 { &other.said } else { &one.said };
                if let Some(frame) = changed(&mut input, said, &ick) {
                    one.hear(now, &frame);
                }
            }
            _ => {
                if let Some(frame) = forged(&mut input, &one, &other, now, &ick) {
                    one.hear(now, &frame);
                }
            }
        }
    }
});

/// A frame with some of its octets changed, and the ICV right for what it is now.
fn changed(input: &mut Input<'_>, frame: &[u8], ick: &Ick) -> Option<Vec<u8>> {
    let mut frame = frame.to_vec();
    for _ in 0..input.octet() % 8 {
        let at = usize::from(input.short()) % frame.len().max(1);
        *frame.get_mut(at)? = input.octet();
    }
    let pdu = Mkpdu::new_checked(&frame).ok()?;
    let icv = ick.icv(&pdu.authenticated());
    let len = frame.len();
    // No padding: what was sent ends with its ICV.
    frame.get_mut(len.checked_sub(icv.len())?..)?.copy_from_slice(&icv);
    Some(frame)
}

/// A frame of anybody's, with any sets.
fn forged(input: &mut Input<'_>, one: &Station, other: &Station, now: Time, ick: &Ick) -> Option<Vec<u8>> {
    let (mine, others) = (one.kay.status(now), other.kay.status(now));
    let stranger = MemberId([input.octet(); 12]);
    let mis = [others.mi, stranger, mine.mi];
    let flags = input.octet();
    let basic = BasicRepr {
        version: input.pick(&[3, 1, 2, 255]),
        priority: input.octet(),
        key_server: flags & 1 != 0,
        macsec_desired: flags & 2 != 0,
        capability: Capability::ConfidentialityOffsets,
        sci: input.pick(&[others.sci, Sci::from_bytes([7; 8]), mine.sci]),
        mi: input.pick(&mis),
        mn: input.pick(&[others.mn + 1, 1, u32::MAX, mine.mn]),
        agility: BasicRepr::AGILITY,
        ckn: CknRef::new(&[1]).ok()?,
    };
    let mut buffer = [0; MkpduWriter::MAX_FRAME_LEN];
    let mut writer = MkpduWriter::new(&mut buffer, MacAddr([2; 6]), wire::PAE_GROUP, 3, &basic).ok()?;
    // It knows who it speaks to, mostly.
    if flags & 4 == 0 {
        let mn = input.pick(&[mine.mn, mine.mn.wrapping_add(1), 0]);
        let count = usize::from(input.octet() % 100);
        let listed = mis.iter().cycle().take(count).map(|mi| (*mi, 1));
        let list = [(mine.mi, mn)].into_iter().chain(listed);
        let ssci = input.octet();
        let written =
            if flags & 8 == 0 { writer.live_peers(ssci, list) } else { writer.potential_peers(list) };
        // What does not fit is left out.
        let _ = written;
    }
    for _ in 0..input.octet() % 5 {
        let copied = match input.octet() {
            kind @ 0..=9 => {
                let (flags, len) = ([input.octet(), input.octet()], usize::from(input.octet()));
                writer.unknown(kind, flags, input.octets(len))
            }
            which => {
                match Mkpdu::new_checked(&other.said).ok().and_then(|pdu| nth_set(&pdu, which, &mut writer)) {
                    Some(copied) => copied,
                    None => continue,
                }
            }
        };
        let _ = copied;
    }
    Some(writer.finish(flags & 16 != 0, |parts| ick.icv(&parts)).to_vec())
}

/// Copies a set.
fn nth_set(pdu: &Mkpdu<'_>, which: u8, writer: &mut MkpduWriter<'_>) -> Option<Result<(), wire::Full>> {
    let sets: Vec<ParameterSet<'_>> = pdu.sets().collect();
    let set = sets.get(usize::from(which).checked_rem(sets.len())?)?;
    Some(writer.set(set))
}

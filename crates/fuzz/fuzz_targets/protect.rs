//! Any frames to protect: each is sent or counted as dropped, and what was sent is restored at the other end.
#![no_main]
#![forbid(unsafe_code)]

use fuzz::{Frame, Input, Link, Received};
use libfuzzer_sys::fuzz_target;
use secy::{Batch, Burst, FrameBuf, MemFrame};

fuzz_target!(|octets: &[u8]| {
    let mut input = Input::new(octets);
    let link = Link::read(&mut input);
    let ((mut tx, sa), mut rx) = (link.transmitter(), link.receiver());
    // One whose passes are apart, as on several cores, must come to the same end.
    let (mut apart, apart_sa) = link.transmitter();
    let mut batch = Batch::new();
    let mut engine = gcm::Engine::new();
    let (mut offered, mut sent) = (0, 0);
    while !input.is_empty() {
        let mut plain = Vec::new();
        let mut burst: Burst<MemFrame> = Burst::new();
        while !input.is_empty() && !burst.is_full() {
            let frame = Frame::read(&mut input);
            burst.push(frame.scattered(frame.octets));
            plain.push(frame.octets.to_vec());
        }
        offered += burst.len() as u64;
        *batch.frames_mut() = burst.clone();
        tx.protect(&mut engine, &mut burst);
        apart.begin(&mut batch);
        batch.crypt(&mut engine);
        apart.finish(&mut batch);
        assert!(burst.iter().map(MemFrame::to_vec).eq(batch.frames_mut().iter().map(MemFrame::to_vec)));
        assert!(apart.counters().values().eq(tx.counters().values()) && apart_sa.values().eq(sa.values()));
        sent += burst.len() as u64;
        let dropped: u64 = tx.counters().values().map(|(_, n)| n).sum();
        assert_eq!(sent + dropped, offered);
        assert_eq!(sa.out_pkts_encrypted.get() + sa.out_pkts_protected.get(), sent);
        assert!(burst.iter().all(|f| f.len() <= link.tx.max_frame));
        if !link.is_restorable() {
            continue;
        }
        rx.verify(&mut engine, &mut burst, &mut Burst::new());
        assert_eq!(Received::of(&rx), Received { delivered: sent, ..Received::default() });
        let mut rest = plain.iter();
        assert!(burst.iter().all(|out| rest.any(|f| *f == out.to_vec())), "not what was offered, in order");
    }
});

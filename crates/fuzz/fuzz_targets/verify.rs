//! Frames by friend and foe: each is counted once, and under strict validation only what was sent comes out.
#![no_main]
#![forbid(unsafe_code)]

use fuzz::{Frame, Input, Link, Received};
use libfuzzer_sys::fuzz_target;
use secy::{Batch, Burst, MemFrame, ValidateFrames};

fuzz_target!(|octets: &[u8]| {
    let mut input = Input::new(octets);
    let link = Link::read(&mut input);
    let ((mut tx, _), mut rx) = (link.transmitter(), link.receiver());
    // One whose passes are apart, as on several cores, must come to the same end.
    let (mut apart, mut batch) = (link.receiver(), Batch::new());
    let mut engine = gcm::Engine::new();
    let (mut sent, mut offered) = (Vec::new(), 0);
    while !input.is_empty() {
        let mut burst = Burst::new();
        let size = usize::from(input.octet()).clamp(1, secy::MAX_BURST);
        while !input.is_empty() && burst.len() < size {
            let frame = Frame::read(&mut input);
            let mut wire = frame.octets.to_vec();
            if frame.protected {
                let mut one = Burst::from_iter([MemFrame::new(frame.octets)]);
                tx.protect(&mut engine, &mut one);
                let Some(protected) = one.first() else { continue };
                sent.extend(link.authenticated(frame.octets));
                wire = protected.to_vec();
            }
            burst.push(frame.scattered(&frame.mutated(wire)));
        }
        let before = Received::of(&rx);
        offered += burst.len() as u64;
        let (mut set_aside, mut apart_set_aside) = (Burst::new(), Burst::new());
        *batch.frames_mut() = burst.clone();
        rx.verify(&mut engine, &mut burst, &mut set_aside);
        apart.begin(&mut batch);
        batch.crypt(&mut engine);
        apart.finish(&mut engine, &mut batch, &mut apart_set_aside);
        assert!(burst.iter().map(MemFrame::to_vec).eq(batch.frames_mut().iter().map(MemFrame::to_vec)));
        assert_eq!(set_aside.len(), apart_set_aside.len());
        assert_eq!(Received::of(&apart), Received::of(&rx));
        let after = Received::of(&rx);
        assert_eq!(after.delivered - before.delivered, burst.len() as u64);
        assert_eq!(after.set_aside - before.set_aside, set_aside.len() as u64);
        assert_eq!(after.delivered + after.set_aside + after.dropped, offered);
        if link.rx.validate_frames == ValidateFrames::Strict {
            for delivered in burst.iter().map(MemFrame::to_vec) {
                link.assert_sent(&delivered, &mut sent);
            }
        }
    }
});

//! Looks for time that depends on secrets: branches and addresses that keys, or what follows from them, decide.
//!
//! Under Valgrind, secrets are marked as if never initialised, which Memcheck follows through every instruction: a
//! jump or an address that depends on one is an error. `scripts/test constant-time` runs this. An argument makes it
//! do wrong instead, to see that it is noticed: `branch` or `address`.
#![cfg_attr(not(target_arch = "x86_64"), allow(unused))]

use gcm::{Backend, Burst, Engine, Key, Verdicts};

/// Lengths of AAD and payload: those of frames, all tails of a block, several parts.
const LENGTHS: [(usize, usize); 12] = [
    (28, 48),
    (28, 1500),
    (0, 0),
    (1528, 0),
    (12, 1),
    (20, 15),
    (7, 16),
    (28, 131),
    (300, 242),
    (28, 517),
    (28, 9000),
    (20, 10_500),
];
const SCATTERED: usize = 7;
/// Lengths of messages that are alike, so many of each: nothing to encrypt, and in a row of few registers and of many. With
/// registers of one block, which alone Valgrind knows, none are side by side.
const ALIKE: [(usize, usize); 4] = [(76, 0), (28, 48), (28, 112), (28, 562)];
const OF_EACH: usize = 5;

/// What Memcheck calls its client requests (memcheck.h).
#[derive(Clone, Copy)]
enum Request {
    MakeUndefined = 0x4d43_0001,
    MakeDefined = 0x4d43_0002,
    GetVbits = 0x4d43_0008,
    RunningOnValgrind = 0x1001,
}

/// Asks Valgrind. Without it, nothing happens, and the answer is 0.
#[cfg(target_arch = "x86_64")]
fn ask(request: Request, address: *mut u8, second: usize, third: usize) -> usize {
    let arguments = [request as usize, address as usize, second, third, 0, 0];
    let mut answer = 0;
    // SAFETY: what valgrind.h says for this CPU. The rotations add up to whole turns and the exchange is none; rbx is
    // as before. Memcheck reads the arguments, writes marks of its own, and for `GetVbits` to memory of the caller's.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            inout("rdx") answer,
            in("rax") &raw const arguments,
            in("rdi") 0usize,
        );
    }
    answer
}

#[cfg(not(target_arch = "x86_64"))]
fn ask(_: Request, _: *mut u8, _: usize, _: usize) -> usize {
    0
}

/// From here on nothing may be decided by these octets.
fn secret(octets: &mut [u8]) {
    ask(Request::MakeUndefined, octets.as_mut_ptr(), octets.len(), 0);
}

/// These octets go out on the line, or to whoever asked.
fn public(octets: &mut [u8]) {
    ask(Request::MakeDefined, octets.as_mut_ptr(), octets.len(), 0);
}

/// Whether each octet follows from secrets, as far as Memcheck can tell.
fn follows_from_secrets(octets: &[u8]) -> bool {
    let mut marks = vec![0u8; octets.len()];
    ask(Request::GetVbits, octets.as_ptr().cast_mut(), marks.as_mut_ptr() as usize, octets.len());
    marks.iter().all(|mark| *mark != 0)
}

#[derive(Clone)]
struct Message {
    aad: Vec<u8>,
    payload: Vec<u8>,
    tag: [u8; 16],
}

fn messages() -> Vec<Message> {
    let octets = |len: usize| (0..len).map(|i| (i * 7 + len) as u8).collect();
    let alike = ALIKE.iter().flat_map(|lengths| [lengths; OF_EACH]);
    let message = |(aad, payload): &(usize, usize)| {
        let (aad, payload) = (octets(*aad), octets(*payload));
        Message { aad, payload, tag: [0; 16] }
    };
    LENGTHS.iter().chain(alike).map(message).collect()
}

/// Seals, or opens, all with the keys in turn, but those that are alike with one.
fn run(seal: bool, keys: &[Key], messages: &mut [Message]) -> Verdicts {
    let mut burst = Burst::new();
    for (i, Message { aad, payload, tag }) in messages.iter_mut().enumerate() {
        let mut nonce = [0x5a; 12];
        nonce[11] = i as u8;
        let key = &keys[if i < LENGTHS.len() { i / 2 % keys.len() } else { 0 }];
        let pushed = if i == SCATTERED {
            burst.push_scattered(key, nonce, [&mut aad[..]], payload.chunks_mut(50), tag)
        } else {
            burst.push(key, nonce, aad, payload, tag)
        };
        pushed.expect("a burst has room for these");
    }
    let mut engine = Engine::new();
    if seal {
        engine.seal(&mut burst);
        Verdicts::default()
    } else {
        engine.open(&mut burst)
    }
}

/// Opens all and makes the verdicts public.
fn open(keys: &[Key], messages: &mut [Message]) -> Vec<bool> {
    let verdicts = run(false, keys, messages);
    let one = |i| {
        let mut verdict = [u8::from(verdicts.is_authentic(i))];
        public(&mut verdict);
        verdict[0] == 1
    };
    (0..messages.len()).map(one).collect()
}

/// Keys, plaintext and all that is made of them are secret until they leave.
fn check(backend: Backend, lengths: &[usize]) {
    let name = backend.name();
    let expand = |len: &usize| {
        let mut octets: Vec<u8> = (0..*len).map(|i| i as u8 ^ 0x3c).collect();
        secret(&mut octets);
        Key::with_backend(backend, &octets).expect("16 or 32 octets")
    };
    let keys: Vec<_> = lengths.iter().map(expand).collect();
    let (plain, mut sealed) = (messages(), messages());
    sealed.iter_mut().for_each(|m| secret(&mut m.payload));
    run(true, &keys, &mut sealed);
    for m in &mut sealed {
        // That marks have come this far shows that they are not lost on the way.
        assert!(follows_from_secrets(&m.payload) && follows_from_secrets(&m.tag), "{name}: marks got lost");
        public(&mut m.payload);
        public(&mut m.tag);
    }
    // All octets that come in are known to whoever is on the line. That a verdict decides is in constant-time.supp.
    let mut spoiled = sealed.clone();
    assert!(open(&keys, &mut sealed).iter().all(|authentic| *authentic), "{name}");
    for (m, plain) in sealed.iter_mut().zip(&plain) {
        assert!(follows_from_secrets(&m.payload), "{name}: marks got lost");
        public(&mut m.payload);
        assert_eq!(m.payload, plain.payload, "{name}");
    }
    spoiled.iter_mut().for_each(|m| m.tag[15] ^= 1);
    assert!(open(&keys, &mut spoiled).iter().all(|authentic| !authentic), "{name}");
}

/// What must not be.
fn do_wrong(how: &str) {
    let mut octets = *b"0123456789abcdef";
    secret(&mut octets);
    match how {
        // What the compiler cannot do both of and choose between.
        "branch" if octets[3] > b'4' => _ = std::hint::black_box(1),
        // Looked up in memory, not worked out.
        "address" => {
            println!("{}", std::hint::black_box(*b"16 octets, hexed")[usize::from(octets[3] & 15)] & 1)
        }
        _ => {}
    }
}

fn main() {
    if ask(Request::RunningOnValgrind, std::ptr::null_mut(), 0, 0) == 0 {
        eprintln!("this is for Valgrind: scripts/test constant-time");
        std::process::exit(2);
    }
    if let Some(how) = std::env::args().nth(1) {
        return do_wrong(&how);
    }
    for backend in Backend::available() {
        for lengths in [&[16, 16][..], &[32], &[16, 32]] {
            check(backend, lengths);
        }
        println!("{}", backend.name());
    }
}

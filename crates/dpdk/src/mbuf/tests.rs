use std::sync::{LazyLock, OnceLock};

use arrayvec::ArrayVec;
use proptest::prelude::*;

use super::*;
use crate::{DEFAULT_DATA_ROOM, Eal, EalOptions, HEADROOM, Pool};

/// Octets for data in a fresh segment of the small pools used here.
const ROOM: usize = 256;
const SMALL: u16 = HEADROOM + ROOM as u16;

fn eal() -> Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    EAL.get_or_init(|| {
        let options = EalOptions { hugepages: false, memory_mib: Some(128), ..EalOptions::default() };
        Eal::init(options).expect("the EAL comes up without hugepages")
    })
    .clone()
}

fn pool(name: &str, count: u32, data_room: u16) -> Pool {
    Pool::new(&eal(), name, count, 0, data_room, None).expect("memory for a small pool")
}

fn frame(pool: &Pool, octets: &[u8]) -> Mbuf {
    let mut frame = pool.alloc().expect("a free buffer");
    assert!(frame.extend_from_slice(octets));
    frame
}

fn octets(frame: &Mbuf) -> Vec<u8> {
    frame.segments().collect::<Vec<_>>().concat()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// What DPDK itself has to say about the chain, and the length fields by ours.
fn assert_consistent(frame: &Mbuf) {
    let mut reason = std::ptr::null();
    // SAFETY: the frame is live and `reason` is writable.
    let rc = unsafe { dpdk_sys::rte_mbuf_check(frame.raw.as_ptr(), 1, &mut reason) };
    assert_eq!(rc, 0, "DPDK finds fault with {frame:?}");
    assert_eq!(frame.segments().count(), frame.segment_count());
    assert_eq!(frame.segments().map(<[u8]>::len).sum::<usize>(), frame.len());
    assert_eq!(frame.is_contiguous(), frame.segment_count() == 1);
}

#[test]
fn a_frame_is_as_large_as_a_pointer() {
    assert_eq!(size_of::<Mbuf>(), size_of::<usize>());
    assert_eq!(size_of::<Option<Mbuf>>(), size_of::<usize>());
}

#[test]
fn a_new_frame_is_empty_with_room_on_both_sides() {
    let pool = pool("fresh", 7, DEFAULT_DATA_ROOM);
    let frame = pool.alloc().expect("a free buffer");
    assert_consistent(&frame);
    assert_eq!((frame.len(), frame.segment_count()), (0, 1));
    assert_eq!((frame.headroom(), frame.tailroom()), (usize::from(HEADROOM), 2048));
    assert_eq!(pool.in_use(), 1);
    drop(frame);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn both_ends_grow_into_their_room_and_no_further() {
    let pool = pool("grow", 3, SMALL);
    let mut frame = frame(&pool, b"middle");
    assert!(frame.prepend(6));
    frame.data_mut()[..6].copy_from_slice(b"front ");
    assert!(frame.append(4));
    let end = frame.len() - 4;
    frame.data_mut()[end..].copy_from_slice(b" end");
    assert_eq!(frame.data(), b"front middle end");
    assert_consistent(&frame);
    assert!(!frame.prepend(frame.headroom() + 1));
    assert_eq!(frame.data(), b"front middle end");
    assert!(frame.prepend(frame.headroom()));
    assert_eq!(frame.headroom(), 0);
    assert!(frame.is_contiguous());
    assert_consistent(&frame);
}

#[test]
fn a_frame_in_one_segment_grows_and_narrows_at_both_ends_at_once() {
    let pool = pool("both", 3, SMALL);
    let mut frame = frame(&pool, b"middle");
    let (head, tail) = (frame.headroom(), frame.tailroom());
    assert!(frame.has_room(head, tail) && !frame.has_room(head + 1, 0) && !frame.has_room(0, tail + 1));
    let all = frame.grow(6, 4);
    assert_eq!((all.len(), &all[6..12]), (16, &b"middle"[..]));
    all[..6].copy_from_slice(b"front ");
    all[12..].copy_from_slice(b" end");
    assert_eq!(frame.data(), b"front middle end");
    assert_eq!((frame.headroom(), frame.tailroom()), (head - 6, tail - 4));
    assert_consistent(&frame);
    assert_eq!(frame.narrow(6, 6), b"front middle end", "what it was");
    assert_eq!((frame.data(), frame.headroom()), (&b"middle"[..], head));
    assert_consistent(&frame);
    assert!(frame.narrow(0, 6).len() == 6 && frame.narrow(6, 0).len() == 6 && frame.is_empty());
    assert_eq!(frame.grow(frame.headroom(), frame.tailroom()).len(), head + tail + 6);
    assert_consistent(&frame);
}

#[test]
fn a_frame_does_not_grow_or_narrow_beyond_its_segment() {
    type Wrong = fn(&mut Mbuf) -> usize;
    let wrong: [Wrong; 5] = [
        |f| f.grow(f.headroom() + 1, 0).len(),
        |f| f.grow(0, f.tailroom() + 1).len(),
        |f| f.narrow(3, 4).len(),
        |f| f.narrow(7, 0).len(),
        // What is added up overflows.
        |f| f.narrow(7, usize::MAX - 6).len(),
    ];
    let pool = pool("beyond", 3, SMALL);
    for wrong in wrong {
        let mut frame = frame(&pool, b"middle");
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wrong(&mut frame))).unwrap_err();
        assert_eq!(frame.data(), b"middle");
        assert_consistent(&frame);
    }
    let mut frame = frame(&pool, &pattern(ROOM - 3));
    assert!(frame.append(16) && !frame.has_room(1, 1));
}

#[test]
fn append_past_the_tailroom_chains_one_contiguous_segment() {
    let pool = pool("chain", 2, SMALL);
    let mut frame = frame(&pool, &pattern(ROOM - 3));
    assert!(frame.append(16));
    assert_consistent(&frame);
    assert_eq!((frame.len(), frame.segment_count(), pool.in_use()), (ROOM + 13, 2, 2));
    assert_eq!(frame.segments().nth(1).map(<[u8]>::len), Some(16));
    for (i, segment) in frame.segments_mut().enumerate() {
        segment.fill(i as u8);
    }
    assert_eq!(octets(&frame)[ROOM - 4..ROOM - 1], [0, 1, 1]);
    // The pool is empty now.
    assert!(!frame.append(ROOM));
    assert_eq!((frame.len(), frame.segment_count()), (ROOM + 13, 2));
    assert_consistent(&frame);
    drop(frame);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn append_of_more_than_a_segment_changes_nothing() {
    let pool = pool("large", 7, SMALL);
    let mut frame = frame(&pool, b"x");
    for n in [ROOM + 1, usize::from(u16::MAX), usize::from(u16::MAX) + 2, usize::MAX] {
        assert!(!frame.append(n), "{n}");
        assert!(!frame.prepend(n), "{n}");
        assert!(!frame.trim_front(n), "{n}");
    }
    assert_eq!((octets(&frame), pool.in_use()), (b"x".to_vec(), 1));
    assert_consistent(&frame);
}

#[test]
fn extending_takes_as_many_segments_as_needed_or_none() {
    let pool = pool("extend", 4, SMALL);
    let mut long = frame(&pool, &pattern(3 * ROOM + 1));
    assert_consistent(&long);
    assert_eq!((long.segment_count(), pool.available()), (4, 0));
    assert_eq!(octets(&long), pattern(3 * ROOM + 1));
    long.truncate(ROOM + 1);
    assert_eq!((long.segment_count(), pool.available()), (2, 2));
    assert!(!long.extend_from_slice(&pattern(4 * ROOM)));
    assert_eq!((octets(&long), pool.available()), (pattern(ROOM + 1), 2));
    assert_consistent(&long);
}

#[test]
fn trimming_the_front_crosses_segments() {
    let pool = pool("trim", 8, SMALL);
    let original = pattern(2 * ROOM + 50);
    for n in [0, 1, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM, 2 * ROOM + 49, 2 * ROOM + 50] {
        let mut frame = frame(&pool, &original);
        assert!(frame.trim_front(n), "{n}");
        assert_consistent(&frame);
        assert_eq!(octets(&frame), original[n..], "{n}");
        assert_eq!(pool.in_use(), frame.segment_count());
        assert!(!frame.trim_front(original.len() - n + 1));
        // What went is headroom now, as far as it was in the segment that is first.
        let headroom = frame.headroom();
        assert!(frame.prepend(headroom), "{n}");
        assert_consistent(&frame);
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn truncating_frees_what_it_empties() {
    let pool = pool("truncate", 8, SMALL);
    let original = pattern(2 * ROOM + 50);
    for len in [0, 1, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM, 2 * ROOM + 49, 2 * ROOM + 50, usize::MAX] {
        let mut frame = frame(&pool, &original);
        frame.truncate(len);
        assert_consistent(&frame);
        assert_eq!(octets(&frame), original[..len.min(original.len())]);
        let segments = len.min(original.len()).div_ceil(ROOM).max(1);
        assert_eq!((frame.segment_count(), pool.in_use()), (segments, segments));
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_stripped_vlan_tag_is_taken_once() {
    let pool = pool("vlan", 3, SMALL);
    let mut frame = frame(&pool, &pattern(60));
    assert_eq!(frame.take_stripped_vlan(), None);
    // SAFETY: a member of a live, owned frame.
    unsafe {
        frame.raw.cast::<u8>().add(dpdk_sys::DPDK_SYS_MBUF_VLAN_TCI as usize).cast::<u16>().write(0xa123)
    };
    let rss_hash = 1 << 1;
    frame.head().set_ol_flags(VLAN_FLAGS | rss_hash);
    assert_eq!(frame.take_stripped_vlan(), Some(0xa123));
    assert_eq!(frame.head().ol_flags(), rss_hash);
    assert_eq!(frame.take_stripped_vlan(), None);
}

#[test]
fn a_new_first_segment_inherits_the_frames_description() {
    let pool = pool("inherit", 3, SMALL);
    let mut frame = frame(&pool, &pattern(ROOM + 10));
    // SAFETY: a member of a live, owned frame.
    unsafe { frame.raw.cast::<u8>().add(dpdk_sys::DPDK_SYS_MBUF_VLAN_TCI as usize).cast::<u16>().write(7) };
    frame.head().set_ol_flags(VLAN_FLAGS);
    assert!(frame.trim_front(ROOM + 1));
    assert_eq!((frame.segment_count(), frame.take_stripped_vlan()), (1, Some(7)));
}

/// Counts to a panic, as a conversion of someone else's might.
struct Brittle(Mbuf);

thread_local! {
    static FUSE: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

fn burn() {
    let left = FUSE.get();
    FUSE.set(left.wrapping_sub(1));
    assert_ne!(left, 0, "the fuse has burnt down");
}

impl From<Mbuf> for Brittle {
    fn from(frame: Mbuf) -> Self {
        burn();
        Self(frame)
    }
}

impl From<Brittle> for Mbuf {
    fn from(frame: Brittle) -> Self {
        burn();
        frame.0
    }
}

#[test]
fn a_panicking_conversion_leaks_and_frees_twice_nothing() {
    let pool = pool("panic", 31, SMALL);
    for fuse in 0..5 {
        let mut frames = ArrayVec::<Brittle, 8>::new();
        FUSE.set(usize::MAX);
        assert!(pool.alloc_bulk(2, &mut frames));
        FUSE.set(fuse);
        let attempt = std::panic::AssertUnwindSafe(|| pool.alloc_bulk(5, &mut frames));
        assert!(std::panic::catch_unwind(attempt).is_err());
        assert_eq!((frames.len(), pool.in_use()), (2, 2));
    }
    // Five conversions to mbufs, of which two are taken, and three back.
    for fuse in 0..8 {
        let mut frames = ArrayVec::<Brittle, 8>::new();
        FUSE.set(usize::MAX);
        assert!(pool.alloc_bulk(5, &mut frames));
        FUSE.set(fuse);
        let mut taken = Vec::new();
        let attempt = std::panic::AssertUnwindSafe(|| {
            // SAFETY: the first two are taken, and the others left alone.
            unsafe {
                crate::burst::drain(&mut frames, |slots, count| {
                    assert_eq!(count, 5);
                    taken.extend((0..2).map(|i| Mbuf::from_raw(NonNull::new_unchecked(*slots.add(i)))));
                    2
                })
            }
        });
        assert!(std::panic::catch_unwind(attempt).is_err(), "{fuse}");
        assert!(frames.is_empty());
        assert_eq!(pool.in_use(), taken.len());
    }
    FUSE.set(usize::MAX);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn frames_not_taken_stay_in_order() {
    let pool = pool("order", 31, SMALL);
    for taken in 0..=5 {
        let mut frames: ArrayVec<Mbuf, 8> = (0..5).map(|i| frame(&pool, &[i])).collect();
        // SAFETY: as many are taken as is said, from the first.
        let sent = unsafe {
            crate::burst::drain(&mut frames, |slots, _| {
                for i in 0..taken {
                    drop(Mbuf::from_raw(NonNull::new_unchecked(*slots.add(usize::from(i)))));
                }
                taken
            })
        };
        assert_eq!(sent, usize::from(taken));
        let left: Vec<u8> = frames.iter().map(|frame| frame.data()[0]).collect();
        assert_eq!(left, (taken as u8..5).collect::<Vec<_>>());
        assert_eq!(pool.in_use(), frames.len());
    }
    assert_eq!(pool.in_use(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Prepend(usize),
    Append(usize),
    Extend(usize),
    TrimFront(usize),
    Truncate(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let some = prop_oneof![0..40_usize, 0..2 * ROOM];
    prop_oneof![
        (0..160_usize).prop_map(Step::Prepend),
        some.clone().prop_map(Step::Append),
        (0..3 * ROOM).prop_map(Step::Extend),
        some.clone().prop_map(Step::TrimFront),
        prop_oneof![0..40_usize, 0..6 * ROOM].prop_map(Step::Truncate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A frame holds what a plain vector holds after the same operations, and gives all its buffers back.
    #[test]
    fn a_frame_does_what_a_vector_does(steps in prop::collection::vec(step(), 0..40)) {
        static POOL: LazyLock<Pool> = LazyLock::new(|| pool("model", 15, SMALL));
        let mut frame = POOL.alloc().expect("all buffers are free between cases");
        let mut model: Vec<u8> = Vec::new();
        for (tag, step) in steps.into_iter().enumerate() {
            let tag = tag as u8;
            match step {
                Step::Prepend(n) => {
                    let fits = n <= frame.headroom();
                    prop_assert_eq!(frame.prepend(n), fits);
                    if fits {
                        frame.data_mut()[..n].fill(tag);
                        model.splice(..0, std::iter::repeat_n(tag, n));
                    }
                }
                Step::Append(n) => {
                    let fits = n <= frame.tailroom() || (n <= ROOM && POOL.available() > 0);
                    prop_assert_eq!(frame.append(n), fits);
                    if fits {
                        let last = frame.segments_mut().last().expect("one segment at least");
                        let start = last.len() - n;
                        last[start..].fill(tag);
                        model.extend(std::iter::repeat_n(tag, n));
                    }
                }
                Step::Extend(n) => {
                    let octets: Vec<u8> = (0..n).map(|i| tag.wrapping_add(i as u8)).collect();
                    let fits = n <= frame.tailroom() + POOL.available() * ROOM;
                    prop_assert_eq!(frame.extend_from_slice(&octets), fits);
                    if fits {
                        model.extend(octets);
                    }
                }
                Step::TrimFront(n) => {
                    let fits = n <= model.len();
                    prop_assert_eq!(frame.trim_front(n), fits);
                    if fits {
                        model.drain(..n);
                    }
                }
                Step::Truncate(n) => {
                    frame.truncate(n);
                    model.truncate(n);
                }
            }
            assert_consistent(&frame);
            prop_assert_eq!(octets(&frame), &model[..]);
            prop_assert_eq!(POOL.in_use(), frame.segment_count());
        }
        drop(frame);
        prop_assert_eq!(POOL.in_use(), 0);
    }
}

#[test]
fn a_located_frame_is_changed_through_its_octets_alone_and_is_the_same_frame() {
    let pool = pool("locate", 7, SMALL);
    let mut frame = frame(&pool, &pattern(100));
    assert!(frame.trim_front(10));
    let raw = frame.raw;
    let mut located = frame.locate().expect("a frame in one segment");
    assert_eq!(located.as_ref(), &pattern(100)[10..]);
    located.as_mut()[0] = 255;
    assert_eq!(format!("{located:?}"), "Located { len: 90, .. }");
    let frame = std::thread::spawn(|| Mbuf::from(located)).join().expect("no panic");
    assert_eq!((frame.raw, frame.len(), frame.data()[0]), (raw, 90, 255));
    assert_consistent(&frame);
    // Whoever has it frees it.
    let located = frame.locate().expect("still in one segment");
    assert_eq!(pool.in_use(), 1);
    drop(located);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_frame_that_cannot_be_located_comes_back_as_it_is() {
    let pool = pool("unlocated", 7, SMALL);
    let scattered = frame(&pool, &pattern(2 * ROOM));
    let scattered = scattered.locate().expect_err("in two segments");
    assert_eq!(octets(&scattered), pattern(2 * ROOM));
    assert_consistent(&scattered);
}

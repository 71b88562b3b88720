//! Moving frames between an [`ArrayVec`] of the caller's frame type and the pointer arrays that DPDK takes.
//!
//! Both directions work in the vector's own storage: a frame type is as large as an mbuf pointer, so each slot
//! holds either a frame or its raw pointer. With conversions that compile to nothing, the loops do too.

use std::ptr::NonNull;

use arrayvec::ArrayVec;
use dpdk_sys::rte_mbuf;

use crate::mbuf::Mbuf;

/// Compile-time conditions on the frame type and the vector.
struct Check<T, const N: usize>(std::marker::PhantomData<T>);

impl<T, const N: usize> Check<T, N> {
    const OK: () = {
        assert!(
            size_of::<T>() == size_of::<Mbuf>() && align_of::<T>() == align_of::<Mbuf>(),
            "a frame type must be a newtype of Mbuf, without further fields"
        );
        assert!(N <= u16::MAX as usize, "bursts have at most 65535 frames");
    };
}

/// Slots of which `frames` hold a `T` and `raw` hold an mbuf pointer. Frees both if a conversion panics.
struct Slots<T> {
    base: *mut T,
    frames: std::ops::Range<usize>,
    raw: std::ops::Range<usize>,
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        for i in self.frames.clone() {
            // SAFETY: the slot holds an initialised `T` that nobody else will drop: the vector's length does not
            // cover it.
            unsafe { self.base.add(i).drop_in_place() };
        }
        for i in self.raw.clone() {
            // SAFETY: the slot holds the pointer of an mbuf that this burst owns.
            unsafe { drop(take(self.base, i)) };
        }
    }
}

/// The mbuf whose pointer is in slot `i`.
///
/// # Safety
///
/// Slot `i` holds the pointer of an mbuf that the caller owns, and is not read again.
#[inline(always)]
unsafe fn take<T>(base: *mut T, i: usize) -> Mbuf {
    // SAFETY: the caller guarantees an owned, hence non-null, pointer in a slot that is large enough (`Check`).
    unsafe { Mbuf::from_raw(NonNull::new_unchecked(base.cast::<*mut rte_mbuf>().add(i).read())) }
}

/// Appends to `out` what `produce` writes: it gets `room` slots and their number, and returns how many it filled.
/// Returns the same.
///
/// # Safety
///
/// `room` is at most the vector's remaining capacity. `produce` returns no more than it is offered, and has
/// filled that many slots, from the first, with mbufs that become the caller's.
#[inline(always)]
pub(crate) unsafe fn fill<T: From<Mbuf>, const N: usize>(
    out: &mut ArrayVec<T, N>,
    room: usize,
    produce: impl FnOnce(*mut *mut rte_mbuf, u16) -> u16,
) -> usize {
    const { Check::<T, N>::OK };
    let len = out.len();
    // SAFETY: `len` is within the vector's storage.
    let base = unsafe { out.as_mut_ptr().add(len) };
    // Lossless: `room` is at most `N`, and `Check` bounds that.
    let got = usize::from(produce(base.cast(), room as u16));
    let mut slots = Slots { base, frames: 0..0, raw: 0..got };
    for i in 0..got {
        slots.raw.start = i + 1;
        // SAFETY: `produce` filled slot `i`; it becomes a frame in the same place.
        unsafe { base.add(i).write(T::from(take(base, i))) };
        slots.frames.end = i + 1;
    }
    std::mem::forget(slots);
    // SAFETY: `got` frames were initialised behind the first `len`, within capacity.
    unsafe { out.set_len(len + got) };
    got
}

/// Offers all of `frames` to `send` as mbuf pointers and keeps those that it did not take, in order. Returns how
/// many it took.
///
/// # Safety
///
/// `send` returns no more than it is offered, and has taken ownership of that many mbufs, from the first, leaving
/// the others alone.
#[inline(always)]
pub(crate) unsafe fn drain<T: From<Mbuf> + Into<Mbuf>, const N: usize>(
    frames: &mut ArrayVec<T, N>,
    send: impl FnOnce(*mut *mut rte_mbuf, u16) -> u16,
) -> usize {
    const { Check::<T, N>::OK };
    let len = frames.len();
    // SAFETY: zero is within capacity; `slots` owns the frames from here on.
    unsafe { frames.set_len(0) };
    let base = frames.as_mut_ptr();
    let raw = base.cast::<*mut rte_mbuf>();
    let mut slots = Slots { base, frames: 0..len, raw: 0..0 };
    for i in 0..len {
        slots.frames.start = i + 1;
        // SAFETY: slot `i` holds a frame; it becomes that frame's pointer in the same place.
        unsafe { raw.add(i).write(base.add(i).read().into().into_raw().as_ptr()) };
        slots.raw.end = i + 1;
    }
    // Lossless: `len` is at most `N`, and `Check` bounds that.
    let sent = usize::from(send(raw, len as u16));
    slots.frames = 0..0;
    for (to, from) in (sent..len).enumerate() {
        slots.raw = from + 1..len;
        // SAFETY: `send` left the mbuf in slot `from` to us; slot `to` is that one, or one already moved from.
        unsafe { base.add(to).write(T::from(take(base, from))) };
        slots.frames.end = to + 1;
    }
    std::mem::forget(slots);
    // SAFETY: the frames left over were moved to the front.
    unsafe { frames.set_len(len - sent) };
    sent
}

//! Packet buffers.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use dpdk_sys::rte_mbuf;

use crate::pool;

/// A frame: a chain of one or more buffer segments, owned, and returned to its pool on drop.
///
/// Not `Clone`: DPDK could share a buffer between frames, but nothing here makes or accepts that, so exclusive
/// access to an `Mbuf` is exclusive access to its octets.
///
/// Octets that a frame gains without being written ([`Mbuf::prepend`], [`Mbuf::append`]) hold whatever an earlier
/// frame left there. They are initialised all the same: a pool's memory is mapped, zeroed by the kernel, for as
/// long as any of its buffers is out.
#[repr(transparent)]
pub struct Mbuf {
    raw: NonNull<rte_mbuf>,
}

// SAFETY: an mbuf is plain memory owned by one `Mbuf`, and returning it to its pool is allowed on any thread.
unsafe impl Send for Mbuf {}
// SAFETY: methods on `&Mbuf` only read.
unsafe impl Sync for Mbuf {}

/// One segment, by address. Members are read by offset: the nesting of `struct rte_mbuf` varies with the release.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Segment(NonNull<rte_mbuf>);

macro_rules! members {
    ($($(#[$doc:meta])* $get:ident $(, $set:ident)?: $type:ty = $offset:ident;)*) => {
        $(
            $(#[$doc])*
            #[inline(always)]
            fn $get(self) -> $type {
                // SAFETY: the segment is live (`Segment::new`), and the C compiler vouches for offset and type.
                unsafe { self.0.cast::<u8>().add(dpdk_sys::$offset as usize).cast::<$type>().read() }
            }

            $(
                #[inline(always)]
                fn $set(self, value: $type) {
                    // SAFETY: as for reading; the segment is also exclusively ours (`Segment::new`).
                    unsafe { self.0.cast::<u8>().add(dpdk_sys::$offset as usize).cast::<$type>().write(value) }
                }
            )?
        )*
    };
}

impl Segment {
    /// # Safety
    ///
    /// The segment belongs to a frame that the caller borrows, mutably if a setter is used, and is not used after
    /// it was freed.
    #[inline(always)]
    unsafe fn new(raw: NonNull<rte_mbuf>) -> Self {
        Self(raw)
    }

    members! {
        buf_addr: *mut u8 = DPDK_SYS_MBUF_BUF_ADDR;
        /// Where the data starts in the buffer.
        data_off, set_data_off: u16 = DPDK_SYS_MBUF_DATA_OFF;
        /// Of the whole frame; valid in the first segment only.
        nb_segs, set_nb_segs: u16 = DPDK_SYS_MBUF_NB_SEGS;
        ol_flags, set_ol_flags: u64 = DPDK_SYS_MBUF_OL_FLAGS;
        /// Of the whole frame; valid in the first segment only.
        pkt_len, set_pkt_len: u32 = DPDK_SYS_MBUF_PKT_LEN;
        data_len, set_data_len: u16 = DPDK_SYS_MBUF_DATA_LEN;
        vlan_tci: u16 = DPDK_SYS_MBUF_VLAN_TCI;
        buf_len: u16 = DPDK_SYS_MBUF_BUF_LEN;
        pool: *mut dpdk_sys::rte_mempool = DPDK_SYS_MBUF_POOL;
        raw_next, set_raw_next: *mut rte_mbuf = DPDK_SYS_MBUF_NEXT;
    }

    #[inline(always)]
    fn next(self) -> Option<Self> {
        NonNull::new(self.raw_next()).map(Self)
    }

    fn last(self) -> Self {
        let mut last = self;
        while let Some(next) = last.next() {
            last = next;
        }
        last
    }

    #[inline(always)]
    fn tailroom(self) -> u16 {
        // DPDK keeps data_off + data_len <= buf_len; saturate rather than trust a driver with memory safety.
        self.buf_len().saturating_sub(self.data_off()).saturating_sub(self.data_len())
    }

    #[inline(always)]
    fn data_ptr(self) -> *mut u8 {
        // SAFETY: `data_off` is at most `buf_len`, so the result is within the buffer or at its end.
        unsafe { self.buf_addr().add(usize::from(self.data_off())) }
    }

    /// # Safety
    ///
    /// The frame stays borrowed for `'a`.
    #[inline(always)]
    unsafe fn data<'a>(self) -> &'a [u8] {
        // SAFETY: `data_len` octets from `data_ptr` lie in the segment's buffer, which is mapped and was zeroed by
        // the kernel before DPDK had it; the caller guarantees the borrow.
        unsafe { std::slice::from_raw_parts(self.data_ptr(), usize::from(self.data_len())) }
    }

    /// # Safety
    ///
    /// The frame stays mutably borrowed for `'a`, and no other slice of this segment exists.
    #[inline(always)]
    unsafe fn data_mut<'a>(self) -> &'a mut [u8] {
        // SAFETY: as for `data`; buffers are never shared between frames.
        unsafe { std::slice::from_raw_parts_mut(self.data_ptr(), usize::from(self.data_len())) }
    }
}

/// Flags that say what kind of buffer a segment has, not what frame is in it.
const BUFFER_FLAGS: u64 = dpdk_sys::DPDK_SYS_MBUF_F_INDIRECT | dpdk_sys::DPDK_SYS_MBUF_F_EXTERNAL;

/// A VLAN tag beside the data: found so on receive, or to be inserted on transmit.
const VLAN_FLAGS: u64 = dpdk_sys::DPDK_SYS_MBUF_F_RX_VLAN
    | dpdk_sys::DPDK_SYS_MBUF_F_RX_VLAN_STRIPPED
    | dpdk_sys::DPDK_SYS_MBUF_F_TX_VLAN;

impl Mbuf {
    /// Takes ownership.
    ///
    /// # Safety
    ///
    /// `raw` is the first segment of a consistent chain that nobody else owns or refers to.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(raw: NonNull<rte_mbuf>) -> Self {
        Self { raw }
    }

    /// Gives up ownership.
    #[inline(always)]
    pub(crate) fn into_raw(self) -> NonNull<rte_mbuf> {
        std::mem::ManuallyDrop::new(self).raw
    }

    #[inline(always)]
    fn head(&self) -> Segment {
        // SAFETY: the first segment lives as long as `self`; setters are only used by methods on `&mut self`.
        unsafe { Segment::new(self.raw) }
    }

    /// Octets in the frame, all segments together.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.head().pkt_len() as usize
    }

    /// Whether the frame has no octets.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the frame is in one segment.
    #[inline(always)]
    pub fn is_contiguous(&self) -> bool {
        self.head().nb_segs() == 1
    }

    /// Segments in the frame, at least 1.
    #[inline(always)]
    pub fn segment_count(&self) -> usize {
        usize::from(self.head().nb_segs())
    }

    /// The octets in the first segment: the whole frame if [`Mbuf::is_contiguous`].
    #[inline(always)]
    pub fn data(&self) -> &[u8] {
        // SAFETY: the slice borrows `self`.
        unsafe { self.head().data() }
    }

    /// The octets in the first segment, to be changed.
    #[inline(always)]
    pub fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: the slice mutably borrows `self`.
        unsafe { self.head().data_mut() }
    }

    /// The octets segment by segment, in order. Slices may be empty.
    #[inline]
    pub fn segments(&self) -> Segments<'_> {
        Segments { next: Some(self.head()), frame: PhantomData }
    }

    /// The octets segment by segment, in order, to be changed. Slices may be empty.
    #[inline]
    pub fn segments_mut(&mut self) -> SegmentsMut<'_> {
        SegmentsMut { next: Some(self.head()), frame: PhantomData }
    }

    /// Octets by which the front can grow.
    #[inline(always)]
    pub fn headroom(&self) -> usize {
        usize::from(self.head().data_off())
    }

    /// Octets by which the end can grow within the last segment.
    #[inline]
    pub fn tailroom(&self) -> usize {
        usize::from(self.head().last().tailroom())
    }

    /// Grows the front by `n` octets, in the first segment; their content is arbitrary. `false`, and no change,
    /// if the headroom is too small.
    #[inline(always)]
    pub fn prepend(&mut self, n: usize) -> bool {
        let head = self.head();
        if n > usize::from(head.data_off()) {
            return false;
        }
        // Lossless: the headroom is a u16.
        let n = n as u16;
        head.set_data_off(head.data_off() - n);
        head.set_data_len(head.data_len() + n);
        head.set_pkt_len(head.pkt_len() + u32::from(n));
        true
    }

    /// Grows the end by `n` octets, contiguous, and of arbitrary content: in the last segment if it has room,
    /// and otherwise in one more segment from the same pool. `false`, and no change, if `n` does not fit one
    /// either, or the pool is exhausted.
    #[inline]
    pub fn append(&mut self, n: usize) -> bool {
        let head = self.head();
        let last = if self.is_contiguous() { head } else { head.last() };
        if n > usize::from(last.tailroom()) {
            return self.chain(last, n);
        }
        // Lossless: the tailroom is a u16.
        let n = n as u16;
        last.set_data_len(last.data_len() + n);
        head.set_pkt_len(head.pkt_len() + u32::from(n));
        true
    }

    /// Puts a further segment of `n` octets behind `last`, the last one.
    #[cold]
    fn chain(&mut self, last: Segment, n: usize) -> bool {
        let head = self.head();
        if u32::from(head.nb_segs()) >= dpdk_sys::DPDK_SYS_MBUF_MAX_NB_SEGS {
            return false;
        }
        let Some(pool) = NonNull::new(head.pool()) else { return false };
        // SAFETY: `self` is a buffer of that pool, and stays here.
        let Some(raw) = (unsafe { pool::alloc_sibling(pool) }) else { return false };
        // SAFETY: the new segment is ours alone.
        let new = unsafe { Segment::new(raw) };
        if n > usize::from(new.tailroom()) {
            // SAFETY: nothing refers to the new segment.
            unsafe { dpdk_sys::rte_pktmbuf_free_seg(raw.as_ptr()) };
            return false;
        }
        // Lossless: the tailroom is a u16.
        let n = n as u16;
        new.set_data_len(n);
        new.set_pkt_len(u32::from(n));
        last.set_raw_next(raw.as_ptr());
        head.set_nb_segs(head.nb_segs() + 1);
        head.set_pkt_len(head.pkt_len() + u32::from(n));
        true
    }

    /// Whether the frame is in one segment that has so much headroom and tailroom.
    #[inline(always)]
    pub fn has_room(&self, front: usize, back: usize) -> bool {
        let head = self.head();
        let off = usize::from(head.data_off());
        let end = off + usize::from(head.data_len());
        self.is_contiguous() && front <= off && end.saturating_add(back) <= usize::from(head.buf_len())
    }

    /// Grows a frame by so many octets before and behind, of arbitrary content, for which it
    /// [has room](Self::has_room), and hands all of it out.
    ///
    /// # Panics
    /// It has no room.
    #[inline(always)]
    pub fn grow(&mut self, front: usize, back: usize) -> &mut [u8] {
        assert!(self.has_room(front, back));
        let head = self.head();
        // Lossless: neither is more than the room that a u16 measures, nor is their sum.
        let off = head.data_off() - front as u16;
        let len = head.data_len() + (front + back) as u16;
        head.set_data_off(off);
        head.set_data_len(len);
        head.set_pkt_len(u32::from(len));
        // SAFETY: the first `len` octets from `off` lie in the segment's buffer, and the slice mutably borrows `self`.
        // What was just stored is not loaded again.
        unsafe { std::slice::from_raw_parts_mut(head.buf_addr().add(usize::from(off)), usize::from(len)) }
    }

    /// Makes a frame in one segment consist of the `len` octets after the first `front` alone, and hands out all that it
    /// consisted of.
    ///
    /// # Panics
    /// It is in several segments, or shorter.
    #[inline(always)]
    pub fn narrow(&mut self, front: usize, len: usize) -> &mut [u8] {
        let head = self.head();
        let (all, off) = (head.data_len(), head.data_off());
        // Without an addition, which could overflow.
        assert!(self.is_contiguous() && front <= usize::from(all) && len <= usize::from(all) - front);
        let start = head.data_ptr();
        // Lossless: both are within the segment, which a u16 measures.
        head.set_data_off(off + front as u16);
        head.set_data_len(len as u16);
        head.set_pkt_len(len as u32);
        // SAFETY: `all` octets from there lie in the segment's buffer, and the slice mutably borrows `self`.
        unsafe { std::slice::from_raw_parts_mut(start, usize::from(all)) }
    }

    /// Removes `n` octets from the front, freeing segments that become empty. `false`, and no change, if the frame
    /// is shorter.
    #[inline(always)]
    pub fn trim_front(&mut self, n: usize) -> bool {
        let head = self.head();
        if n < usize::from(head.data_len()) {
            // Lossless: `n` is below a u16.
            advance(head, n as u16);
            head.set_pkt_len(head.pkt_len() - n as u32);
            return true;
        }
        self.trim_segments(n)
    }

    /// [`Mbuf::trim_front`] where the first segment goes, or the frame ends.
    #[cold]
    fn trim_segments(&mut self, n: usize) -> bool {
        if n > self.len() {
            return false;
        }
        let mut left = n;
        while left >= usize::from(self.head().data_len()) {
            let head = self.head();
            let Some(next) = head.next() else { break };
            left -= usize::from(head.data_len());
            let remaining = head.pkt_len() - u32::from(head.data_len());
            // SAFETY: both segments are ours; the frame's description moves to the one that becomes the first.
            unsafe { dpdk_sys::__rte_pktmbuf_copy_hdr(next.0.as_ptr(), head.0.as_ptr()) };
            next.set_ol_flags((head.ol_flags() & !BUFFER_FLAGS) | (next.ol_flags() & BUFFER_FLAGS));
            next.set_pkt_len(remaining);
            next.set_nb_segs(head.nb_segs() - 1);
            self.raw = next.0;
            // DPDK wants a segment that goes back to its pool to stand alone.
            head.set_raw_next(std::ptr::null_mut());
            head.set_nb_segs(1);
            // SAFETY: the former first segment is out of the chain.
            unsafe { dpdk_sys::rte_pktmbuf_free_seg(head.0.as_ptr()) };
        }
        let head = self.head();
        // Lossless: at most what is left in the segment.
        advance(head, left as u16);
        head.set_pkt_len(head.pkt_len() - left as u32);
        true
    }

    /// Shortens the frame to `len` octets, freeing trailing segments that become empty. No effect on a frame that
    /// is no longer than that.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        let head = self.head();
        if len >= self.len() {
            return;
        }
        if self.is_contiguous() {
            // Lossless: below the length of one segment.
            head.set_data_len(len as u16);
            head.set_pkt_len(len as u32);
            return;
        }
        self.truncate_segments(len);
    }

    fn truncate_segments(&mut self, len: usize) {
        let head = self.head();
        let mut kept = head;
        let mut count = 1;
        let mut left = len;
        while left > usize::from(kept.data_len()) {
            left -= usize::from(kept.data_len());
            let Some(next) = kept.next() else { break };
            kept = next;
            count += 1;
        }
        // Lossless: at most what the segment had.
        kept.set_data_len(left as u16);
        let rest = kept.raw_next();
        kept.set_raw_next(std::ptr::null_mut());
        head.set_nb_segs(count);
        // Lossless: below a u32.
        head.set_pkt_len(len as u32);
        // SAFETY: the rest of the chain is cut off and ours; null is allowed.
        unsafe { dpdk_sys::rte_pktmbuf_free(rest) };
    }

    /// Copies `octets` behind the end, chaining segments as needed. `false`, with octets and segments as they
    /// were, if the pool is exhausted.
    pub fn extend_from_slice(&mut self, octets: &[u8]) -> bool {
        let before = self.len();
        let mut rest = octets;
        while !rest.is_empty() {
            let mut n = rest.len().min(self.tailroom());
            if n == 0 {
                n = rest.len().min(usize::from(self.fresh_room()));
            }
            if n == 0 || !self.append(n) {
                self.truncate(before);
                return false;
            }
            let (now, later) = rest.split_at(n);
            // SAFETY: the slice mutably borrows `self`, and it is the only one.
            let data = unsafe { self.head().last().data_mut() };
            let start = data.len() - n;
            data[start..].copy_from_slice(now);
            rest = later;
        }
        true
    }

    /// Data octets that a new segment has room for, taking the first segment as the pool's usual.
    fn fresh_room(&self) -> u16 {
        self.head().buf_len().saturating_sub(pool::HEADROOM)
    }

    /// The TCI (PCP, DEI, VID) of a tag that the port took out of the frame on receive, in host order. The frame then
    /// no longer has it, not even for a later transmit: whoever takes it puts it where it belongs.
    #[inline(always)]
    pub fn take_stripped_vlan(&mut self) -> Option<u16> {
        let head = self.head();
        let flags = head.ol_flags();
        if flags & dpdk_sys::DPDK_SYS_MBUF_F_RX_VLAN_STRIPPED == 0 {
            return None;
        }
        head.set_ol_flags(flags & !VLAN_FLAGS);
        Some(head.vlan_tci())
    }
}

/// Moves the start of a segment's data forward by `n`, at most its length.
#[inline(always)]
fn advance(segment: Segment, n: u16) {
    segment.set_data_off(segment.data_off() + n);
    segment.set_data_len(segment.data_len() - n);
}

/// A frame in one segment, and where its octets are: whoever works on these alone has no look at the mbuf, whose cache line
/// stays where it is. [Locating](Mbuf::locate) a frame changes nothing of it, nor does taking it back (`into`).
pub struct Located {
    frame: Mbuf,
    /// How far behind the start of the mbuf the octets are.
    behind: u32,
    len: u32,
}

const _: () = assert!(size_of::<Option<Located>>() == 16, "four in a cache line");

impl Mbuf {
    /// Asks the CPU to have what says where the octets are near soon. No more than a hint.
    #[inline(always)]
    pub fn expect(&self) {
        #[cfg(target_arch = "x86_64")]
        {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: SSE is part of x86-64, and a prefetch of any address is harmless.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.raw.as_ptr().cast()) };
        }
    }

    /// Notes where the octets are. The frame comes back as it is where it is in several segments, or its octets are not
    /// within 4 GiB behind the mbuf, as they are in a buffer of its own.
    #[inline(always)]
    pub fn locate(self) -> Result<Located, Self> {
        let head = self.head();
        let behind = head.data_ptr().addr().checked_sub(self.raw.addr().get());
        match behind.map(u32::try_from) {
            Some(Ok(behind)) if self.is_contiguous() => {
                let len = head.data_len().into();
                Ok(Located { frame: self, behind, len })
            }
            _ => Err(self),
        }
    }
}

impl From<Located> for Mbuf {
    #[inline(always)]
    fn from(located: Located) -> Self {
        located.frame
    }
}

impl Located {
    #[inline(always)]
    fn data_ptr(&self) -> *mut u8 {
        self.frame.raw.as_ptr().cast::<u8>().wrapping_add(self.behind as usize)
    }
}

impl AsRef<[u8]> for Located {
    #[inline(always)]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as for `Segment::data`: so many octets were there, and nobody changed the mbuf since, which is owned and
        // never lent. The slice borrows it.
        unsafe { std::slice::from_raw_parts(self.data_ptr(), self.len as usize) }
    }
}

impl AsMut<[u8]> for Located {
    #[inline(always)]
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `as_ref`; the slice mutably borrows the mbuf, whose buffer is not shared.
        unsafe { std::slice::from_raw_parts_mut(self.data_ptr(), self.len as usize) }
    }
}

impl fmt::Debug for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Located").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the chain is ours, and this is the last use of it.
        unsafe { dpdk_sys::rte_pktmbuf_free(self.raw.as_ptr()) };
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mbuf").field("len", &self.len()).field("segments", &self.segment_count()).finish()
    }
}

/// The segments of a frame; see [`Mbuf::segments`].
pub struct Segments<'a> {
    next: Option<Segment>,
    frame: PhantomData<&'a Mbuf>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let segment = self.next?;
        self.next = segment.next();
        // SAFETY: the frame is borrowed for `'a`.
        Some(unsafe { segment.data() })
    }
}

/// The segments of a frame, to be changed; see [`Mbuf::segments_mut`].
pub struct SegmentsMut<'a> {
    next: Option<Segment>,
    frame: PhantomData<&'a mut Mbuf>,
}

impl<'a> Iterator for SegmentsMut<'a> {
    type Item = &'a mut [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a mut [u8]> {
        let segment = self.next?;
        self.next = segment.next();
        // SAFETY: the frame is mutably borrowed for `'a`, and each segment is visited once.
        Some(unsafe { segment.data_mut() })
    }
}

#[cfg(test)]
mod tests;

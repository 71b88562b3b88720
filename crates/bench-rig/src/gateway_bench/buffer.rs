//! A frame in a buffer like those of a packet pool, but in ordinary memory.

use secy::FrameBuf;

/// Octets of the longest frame, FCS not counted.
pub(crate) const LONGEST: usize = 9600;
/// Octets before a frame, as a pool leaves them free.
const HEADROOM: usize = 128;
/// Octets of buffers, as pools have them for usual frames and for long ones. An odd number of cache lines, or buffers in a
/// row would use every other set of the cache only.
const USUAL: usize = 37 * 64;
const LONG: usize = 155 * 64;
/// Of these what is known of the frame, in a cache line of its own.
const META: usize = 64;
/// Octets that protecting adds behind a frame.
const TAILROOM: usize = 16;

#[derive(Debug)]
#[repr(C, align(64))]
struct Meta {
    start: u32,
    len: u32,
    /// Whatever the rig wants to know it by.
    stamp: u64,
}

#[derive(Debug)]
#[repr(C)]
struct Inner<T: ?Sized> {
    meta: Meta,
    octets: T,
}

const NEW: Meta = Meta { start: 0, len: 0, stamp: 0 };

const _: () =
    assert!(size_of::<Inner<[u8; USUAL - META]>>() == USUAL && size_of::<Inner<[u8; LONG - META]>>() == LONG);
const _: () = assert!(LONGEST + HEADROOM + TAILROOM + META <= LONG);

/// A pointer to everything, as an mbuf is.
#[derive(Debug)]
pub(crate) struct Buffer(Box<Inner<[u8]>>);

impl Buffer {
    /// Room for a frame of so many octets.
    pub(crate) fn new(octets: usize) -> Self {
        if HEADROOM + octets + TAILROOM + META <= USUAL {
            Buffer(Box::new(Inner { meta: NEW, octets: [0; USUAL - META] }))
        } else {
            Buffer(Box::new(Inner { meta: NEW, octets: [0; LONG - META] }))
        }
    }

    /// Makes it hold a frame for which it has room.
    pub(crate) fn fill(&mut self, octets: &[u8]) {
        self.reset(octets.len());
        self.head_mut().copy_from_slice(octets);
    }

    /// Makes it hold a frame of so many octets that begins like this; of the rest any octets will do.
    pub(crate) fn begin(&mut self, octets: &[u8], len: usize) {
        self.reset(len);
        self.head_mut()[..octets.len()].copy_from_slice(octets);
    }

    /// Makes it hold a frame of so many octets, whatever they are.
    pub(crate) fn reset(&mut self, len: usize) {
        assert!(HEADROOM + len <= self.0.octets.len(), "no room for {len} octets");
        (self.0.meta.start, self.0.meta.len) = (HEADROOM as u32, len as u32);
    }

    /// Leaves the frame's octets where a NIC leaves them, in the last-level cache, if the CPU can be asked for that.
    pub(crate) fn leave(&self) {
        gcm::leave_to_all(self.head());
    }

    /// Has what is known of the frame come near, to be changed.
    #[inline(always)]
    pub(crate) fn take_over(&self) {
        gcm::prefetch_to_write(&self.0.meta);
    }

    /// Whatever it is to be known by, beside the frame.
    pub(crate) fn set_stamp(&mut self, stamp: u64) {
        self.0.meta.stamp = stamp;
    }

    /// What was [set](Self::set_stamp) last.
    pub(crate) fn stamp(&self) -> u64 {
        self.0.meta.stamp
    }
}

impl From<&[u8]> for Buffer {
    fn from(octets: &[u8]) -> Self {
        let mut buffer = Buffer::new(octets.len());
        buffer.fill(octets);
        buffer
    }
}

/// A frame and where its octets are.
#[derive(Debug)]
pub(crate) struct Located {
    buffer: Buffer,
    start: u32,
    len: u32,
}

impl AsRef<[u8]> for Located {
    #[inline(always)]
    fn as_ref(&self) -> &[u8] {
        &self.buffer.0.octets[self.start as usize..][..self.len as usize]
    }
}

impl AsMut<[u8]> for Located {
    #[inline(always)]
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.0.octets[self.start as usize..][..self.len as usize]
    }
}

impl From<Located> for Buffer {
    #[inline(always)]
    fn from(located: Located) -> Self {
        located.buffer
    }
}

impl FrameBuf for Buffer {
    type Located = Located;

    #[inline(always)]
    fn len(&self) -> usize {
        self.0.meta.len as usize
    }

    #[inline(always)]
    fn head(&self) -> &[u8] {
        &self.0.octets[self.0.meta.start as usize..][..self.0.meta.len as usize]
    }

    #[inline(always)]
    fn head_mut(&mut self) -> &mut [u8] {
        let (start, len) = (self.0.meta.start as usize, self.0.meta.len as usize);
        &mut self.0.octets[start..][..len]
    }

    fn segments_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        std::iter::once(self.head_mut())
    }

    #[inline(always)]
    fn is_contiguous(&self) -> bool {
        true
    }

    #[inline(always)]
    fn prepend(&mut self, octets: usize) -> bool {
        let fits = octets <= self.0.meta.start as usize;
        if fits {
            self.0.meta.start -= octets as u32;
            self.0.meta.len += octets as u32;
        }
        fits
    }

    #[inline(always)]
    fn append(&mut self, octets: usize) -> bool {
        let end = (self.0.meta.start + self.0.meta.len) as usize;
        let fits = octets <= self.0.octets.len() - end;
        if fits {
            self.0.meta.len += octets as u32;
        }
        fits
    }

    #[inline(always)]
    fn has_room(&self, front: usize, back: usize) -> bool {
        let Inner { meta: Meta { start, len, .. }, octets } = &*self.0;
        // As in `grow`, so that the compiler sees that it was asked.
        front <= *start as usize && *start as usize + *len as usize + back <= octets.len()
    }

    #[inline(always)]
    fn grow(&mut self, front: usize, back: usize) -> &mut [u8] {
        let Inner { meta: Meta { start, len, .. }, octets } = &mut *self.0;
        let (first, count) = (*start as usize, *len as usize);
        assert!(front <= first && first + count + back <= octets.len());
        (*start, *len) = ((first - front) as u32, (front + count + back) as u32);
        &mut octets[first - front..first + count + back]
    }

    #[inline(always)]
    fn narrow(&mut self, front: usize, len: usize) -> &mut [u8] {
        let Inner { meta: Meta { start, len: all, .. }, octets } = &mut *self.0;
        let (first, count) = (*start as usize, *all as usize);
        assert!(front + len <= count);
        (*start, *all) = ((first + front) as u32, len as u32);
        &mut octets[first..][..count]
    }

    #[inline(always)]
    fn trim_front(&mut self, octets: usize) -> bool {
        let fits = octets <= self.0.meta.len as usize;
        if fits {
            self.0.meta.start += octets as u32;
            self.0.meta.len -= octets as u32;
        }
        fits
    }

    #[inline(always)]
    fn truncate(&mut self, len: usize) {
        self.0.meta.len = self.0.meta.len.min(len as u32);
    }

    #[inline(always)]
    fn expect(&self) {
        gcm::prefetch(&self.0.meta);
    }

    #[inline(always)]
    fn locate(self) -> Result<Located, Self> {
        let Meta { start, len, .. } = self.0.meta;
        Ok(Located { buffer: self, start, len })
    }
}

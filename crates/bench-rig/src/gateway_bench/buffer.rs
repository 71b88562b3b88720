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
/// Octets that protecting adds behind a frame.
const TAILROOM: usize = 16;

#[derive(Debug)]
#[repr(C, align(64))]
struct Inner<T: ?Sized> {
    start: u32,
    len: u32,
    octets: T,
}

const _: () =
    assert!(size_of::<Inner<[u8; USUAL - 8]>>() == USUAL && size_of::<Inner<[u8; LONG - 8]>>() == LONG);
const _: () = assert!(LONGEST + HEADROOM + TAILROOM + 8 <= LONG);

/// A pointer to everything, as an mbuf is.
#[derive(Debug)]
pub(crate) struct Buffer(Box<Inner<[u8]>>);

impl Buffer {
    /// Room for a frame of so many octets.
    pub(crate) fn new(octets: usize) -> Self {
        if HEADROOM + octets + TAILROOM + 8 <= USUAL {
            Buffer(Box::new(Inner { start: 0, len: 0, octets: [0; USUAL - 8] }))
        } else {
            Buffer(Box::new(Inner { start: 0, len: 0, octets: [0; LONG - 8] }))
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

    fn reset(&mut self, len: usize) {
        assert!(HEADROOM + len <= self.0.octets.len(), "no room for {len} octets");
        (self.0.start, self.0.len) = (HEADROOM as u32, len as u32);
    }
}

impl From<&[u8]> for Buffer {
    fn from(octets: &[u8]) -> Self {
        let mut buffer = Buffer::new(octets.len());
        buffer.fill(octets);
        buffer
    }
}

impl FrameBuf for Buffer {
    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len as usize
    }

    #[inline(always)]
    fn head(&self) -> &[u8] {
        &self.0.octets[self.0.start as usize..][..self.0.len as usize]
    }

    #[inline(always)]
    fn head_mut(&mut self) -> &mut [u8] {
        let (start, len) = (self.0.start as usize, self.0.len as usize);
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
        let fits = octets <= self.0.start as usize;
        if fits {
            self.0.start -= octets as u32;
            self.0.len += octets as u32;
        }
        fits
    }

    #[inline(always)]
    fn append(&mut self, octets: usize) -> bool {
        let end = (self.0.start + self.0.len) as usize;
        let fits = octets <= self.0.octets.len() - end;
        if fits {
            self.0.len += octets as u32;
        }
        fits
    }

    #[inline(always)]
    fn has_room(&self, front: usize, back: usize) -> bool {
        let Inner { start, len, octets } = &*self.0;
        front <= *start as usize && (*start + *len) as usize + back <= octets.len()
    }

    #[inline(always)]
    fn grow(&mut self, front: usize, back: usize) -> &mut [u8] {
        assert!(self.has_room(front, back));
        self.0.start -= front as u32;
        self.0.len += (front + back) as u32;
        self.head_mut()
    }

    #[inline(always)]
    fn narrow(&mut self, front: usize, len: usize) -> &mut [u8] {
        let Inner { start, len: all, octets } = &mut *self.0;
        let (first, count) = (*start as usize, *all as usize);
        assert!(front + len <= count);
        (*start, *all) = ((first + front) as u32, len as u32);
        &mut octets[first..][..count]
    }

    #[inline(always)]
    fn trim_front(&mut self, octets: usize) -> bool {
        let fits = octets <= self.0.len as usize;
        if fits {
            self.0.start += octets as u32;
            self.0.len -= octets as u32;
        }
        fits
    }

    #[inline(always)]
    fn truncate(&mut self, len: usize) {
        self.0.len = self.0.len.min(len as u32);
    }
}

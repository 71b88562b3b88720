//! What the SecY needs of a frame, and a frame in ordinary memory.

/// A frame that is owned and can be changed in place, in one or more segments.
///
/// The first segment must hold all headers up to the SecTAG's end, 36 octets at most, or the whole frame; the
/// SecY takes a frame for malformed otherwise.
///
/// Growing leaves the content of the new octets unspecified.
#[allow(clippy::len_without_is_empty)]
pub trait FrameBuf: Sized {
    /// A frame in one piece and where its octets are, so that another core has these without a look at what else is known of
    /// the frame, which its owner has to change again soon.
    type Located: AsRef<[u8]> + AsMut<[u8]> + Into<Self> + Send;

    /// Octets of the whole frame, without FCS.
    fn len(&self) -> usize;

    /// The first segment.
    fn head(&self) -> &[u8];

    /// The first segment.
    fn head_mut(&mut self) -> &mut [u8];

    /// All segments in order.
    fn segments_mut(&mut self) -> impl Iterator<Item = &mut [u8]>;

    /// Whether the first segment is the whole frame.
    fn is_contiguous(&self) -> bool {
        self.head().len() == self.len()
    }

    /// Grows the first segment by `octets` at its front. `false`, changing nothing, when there is no room.
    #[must_use]
    fn prepend(&mut self, octets: usize) -> bool;

    /// Grows the frame by `octets` at its end, in one piece. `false`, changing nothing, when there is no room.
    #[must_use]
    fn append(&mut self, octets: usize) -> bool;

    /// Whether the frame is in one piece that can [grow](Self::grow) by so many octets.
    fn has_room(&self, front: usize, back: usize) -> bool;

    /// Grows a frame by so many octets before and behind, for which it [has room](Self::has_room), and hands all of it
    /// out.
    ///
    /// # Panics
    /// It has no room.
    fn grow(&mut self, front: usize, back: usize) -> &mut [u8];

    /// Makes a frame in one piece consist of the `len` octets after the first `front` alone, and hands out all that it
    /// consisted of.
    ///
    /// # Panics
    /// It is in several pieces, or shorter.
    fn narrow(&mut self, front: usize, len: usize) -> &mut [u8];

    /// Removes `octets` from the front of the first segment. `false`, changing nothing, when it is shorter.
    #[must_use]
    fn trim_front(&mut self, octets: usize) -> bool;

    /// Cuts the frame to `len` octets; no effect when it is not longer.
    fn truncate(&mut self, len: usize);

    /// Asks for what is known of the frame beside its octets to be near soon, as far as it is kept apart. No more than a
    /// hint.
    fn expect(&self);

    /// Notes where the octets of a frame in one piece are. A frame whose octets cannot be had so comes back as it is.
    fn locate(self) -> Result<Self::Located, Self>;
}

/// Octets kept free before and after the data of a [`MemFrame`].
const ROOM: usize = 64;

#[derive(Clone, Debug, Default)]
struct Segment {
    octets: Vec<u8>,
    start: usize,
    end: usize,
}

impl Segment {
    fn new(data: &[u8]) -> Self {
        let mut octets = vec![0; data.len() + 2 * ROOM];
        octets[ROOM..ROOM + data.len()].copy_from_slice(data);
        Segment { octets, start: ROOM, end: ROOM + data.len() }
    }

    fn data(&self) -> &[u8] {
        &self.octets[self.start..self.end]
    }

    fn data_mut(&mut self) -> &mut [u8] {
        &mut self.octets[self.start..self.end]
    }
}

/// A frame in ordinary memory: for tests, capture files and the benchmark's replay.
#[derive(Clone, Debug, Default)]
pub struct MemFrame {
    head: Segment,
    tail: Vec<Segment>,
    /// As of an mbuf whose buffer is far away.
    #[cfg(test)]
    pub(crate) not_to_be_located: bool,
}

/// A [`MemFrame`] in one piece.
#[derive(Debug)]
pub struct WholeMemFrame(MemFrame);

impl MemFrame {
    /// A frame in one piece.
    pub fn new(octets: &[u8]) -> Self {
        MemFrame { head: Segment::new(octets), ..MemFrame::default() }
    }

    /// A frame in the given pieces.
    pub fn scattered<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut pieces = pieces.into_iter().map(Segment::new);
        let mut frame = MemFrame { head: pieces.next().unwrap_or_default(), ..MemFrame::default() };
        frame.tail.extend(pieces);
        frame
    }

    /// All octets, copied together.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = self.head.data().to_vec();
        self.tail.iter().for_each(|s| out.extend_from_slice(s.data()));
        out
    }
}

impl From<&[u8]> for MemFrame {
    fn from(octets: &[u8]) -> Self {
        MemFrame::new(octets)
    }
}

impl AsRef<[u8]> for WholeMemFrame {
    fn as_ref(&self) -> &[u8] {
        self.0.head()
    }
}

impl AsMut<[u8]> for WholeMemFrame {
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.head_mut()
    }
}

impl From<WholeMemFrame> for MemFrame {
    fn from(whole: WholeMemFrame) -> Self {
        whole.0
    }
}

impl FrameBuf for MemFrame {
    type Located = WholeMemFrame;

    fn len(&self) -> usize {
        self.head.data().len() + self.tail.iter().map(|s| s.data().len()).sum::<usize>()
    }

    fn head(&self) -> &[u8] {
        self.head.data()
    }

    fn head_mut(&mut self) -> &mut [u8] {
        self.head.data_mut()
    }

    fn segments_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        std::iter::once(&mut self.head).chain(&mut self.tail).map(Segment::data_mut)
    }

    fn prepend(&mut self, octets: usize) -> bool {
        let fits = octets <= self.head.start;
        if fits {
            self.head.start -= octets;
        }
        fits
    }

    fn append(&mut self, octets: usize) -> bool {
        let last = self.tail.last_mut().unwrap_or(&mut self.head);
        let fits = octets <= last.octets.len() - last.end;
        if fits {
            last.end += octets;
        }
        fits
    }

    fn has_room(&self, front: usize, back: usize) -> bool {
        let Segment { octets, start, end } = &self.head;
        self.tail.is_empty() && front <= *start && back <= octets.len() - *end
    }

    fn grow(&mut self, front: usize, back: usize) -> &mut [u8] {
        assert!(self.has_room(front, back));
        let Segment { octets, start, end } = &mut self.head;
        (*start, *end) = (*start - front, *end + back);
        &mut octets[*start..*end]
    }

    fn narrow(&mut self, front: usize, len: usize) -> &mut [u8] {
        let MemFrame { head: Segment { octets, start, end }, tail, .. } = self;
        let all = *start..*end;
        assert!(tail.iter().all(|s| s.data().is_empty()) && front + len <= all.len());
        *start += front;
        *end = *start + len;
        &mut octets[all]
    }

    fn trim_front(&mut self, octets: usize) -> bool {
        let fits = octets <= self.head.data().len();
        if fits {
            self.head.start += octets;
        }
        fits
    }

    fn truncate(&mut self, len: usize) {
        let mut left = len;
        for segment in std::iter::once(&mut self.head).chain(&mut self.tail) {
            let keep = segment.data().len().min(left);
            segment.end = segment.start + keep;
            left -= keep;
        }
        self.tail.retain(|s| !s.data().is_empty());
    }

    fn expect(&self) {}

    fn locate(self) -> Result<WholeMemFrame, MemFrame> {
        #[cfg(test)]
        if self.not_to_be_located {
            return Err(self);
        }
        if self.is_contiguous() { Ok(WholeMemFrame(self)) } else { Err(self) }
    }
}

//! Bursts whose passes happen on different cores.

use crate::plan::{IcvRoom, Plan};
use crate::{Burst, FrameBuf, MAX_BURST, rx, tx};
use gcm::Engine;
use std::fmt;
use wire::ICV_LEN;

/// A burst on its way through the passes, with everything that the second one needs.
///
/// The owner of a half begins it and finishes it ([`TxSecY::begin`](crate::TxSecY::begin),
/// [`RxSecY::begin`](crate::RxSecY::begin)); in between anybody may have it and [`crypt`](Self::crypt). Made once and used
/// again and again, it allocates nothing on its way. Of a batch that was not begun and finished with the frames that it
/// began with nothing is sent or delivered, and of one that was not carried out nothing but what needs no crypto and what its
/// owner itself verified.
pub struct Batch<F: FrameBuf> {
    pub(crate) frames: Burst<F>,
    pub(crate) work: Work<F>,
}

/// What is known of a batch beside its frames.
pub(crate) struct Work<F: FrameBuf> {
    pub(crate) plan: Plan<F>,
    seal: bool,
    /// It began, and nobody had its frames since.
    begun: bool,
    pub(crate) sent: tx::Found,
    /// SecTAGs are still to be written to its frames.
    pub(crate) unwritten: Option<tx::Unwritten>,
    pub(crate) received: rx::Found,
    /// Its frames are still to be read, and should be like this.
    pub(crate) unread: rx::Unread,
    rooms: [IcvRoom; MAX_BURST],
}

impl<F: FrameBuf> Work<F> {
    /// Hands out the frames that it began with. `false` where it never began, or in the other half.
    #[inline(always)]
    pub(crate) fn end(&mut self, frames: &mut Burst<F>, seal: bool) -> bool {
        self.plan.give_back(frames);
        std::mem::take(&mut self.begun) && self.seal == seal
    }
}

impl<F: FrameBuf> Batch<F> {
    /// An empty one.
    pub fn new() -> Self {
        let (sent, unwritten, received, unread) = Default::default();
        let work = Work {
            plan: Plan::default(),
            seal: false,
            begun: false,
            sent,
            unwritten,
            received,
            unread,
            rooms: [[0; ICV_LEN]; MAX_BURST],
        };
        Batch { frames: Burst::new(), work }
    }

    /// The frames: to be filled before it begins, to be taken when it is finished. In between this undoes the beginning, of
    /// which frames to be sealed are spoilt: there are none then.
    pub fn frames_mut(&mut self) -> &mut Burst<F> {
        self.forget();
        &mut self.frames
    }

    /// It never began.
    fn forget(&mut self) {
        self.work.plan.give_back(&mut self.frames);
        if std::mem::take(&mut self.work.begun) && self.work.seal {
            // They have grown by what nobody wrote. Sealed again, they would take what was there before along.
            self.frames.clear();
        }
        self.work.plan.clear();
        self.work.unwritten = None;
        self.work.unread.clear();
    }

    /// Begins anew, to be sealed or opened.
    pub(crate) fn begin(&mut self, seal: bool) -> &mut Self {
        self.forget();
        (self.work.seal, self.work.begun) = (seal, true);
        self
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.frames.len() + self.work.plan.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The second pass, wherever that is. Again it does nothing: a nonce would be used again, and what was encrypted
    /// would be in the clear.
    pub fn crypt(&mut self, engine: &mut Engine) {
        let Work { plan, seal, rooms, received, unwritten, unread, .. } = &mut self.work;
        if *seal {
            match unwritten.take() {
                Some(unwritten) => unwritten.write(plan, engine),
                None => plan.carry_out(engine, rooms, true),
            }
        } else if unread.is_empty() {
            plan.carry_out(engine, rooms, false);
            if plan.is_carried_out() {
                received.move_addresses(plan);
            }
        } else {
            received.read(unread, plan, engine);
        }
    }

    /// Lets keys go, which it otherwise keeps until it has others, in case it has the same again. Undoes its beginning.
    pub fn let_keys_go(&mut self) {
        self.forget();
        self.work.plan.let_keys_go();
    }
}

impl<F: FrameBuf> Default for Batch<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: FrameBuf> fmt::Debug for Batch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("frames", &self.len()).finish_non_exhaustive()
    }
}

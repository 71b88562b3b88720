//! The two directions of a link.

use crate::{ControlInlet, ControlOutlet, FrameRx, FrameTx, PathCounters};
use secy::{Burst, Command, Engine, Event, FrameBuf, Pass, RxSecY, TxSecY};
use std::sync::Arc;

/// One direction of a link, as a worker sees it.
pub trait Task: Send {
    /// Receives a burst and brings it to its end. Says how many frames there were.
    fn poll(&mut self, engine: &mut Engine) -> usize;

    /// Changes the SecY.
    fn apply(&mut self, command: Command) -> Option<Event>;

    /// What the SecY has to say.
    fn poll_event(&mut self) -> Option<Event>;
}

/// The parts of a round, for whoever measures them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// From the receive queue.
    Receive,
    /// Through the SecY.
    Pass(Pass),
    /// Into the transmit queue.
    Transmit,
}

/// Transmits what the queue takes. The rest is freed and counted: waiting would only move the loss to where
/// nobody counts it.
#[inline(always)]
fn transmit<T: FrameTx>(tx: &mut T, frames: &mut Burst<T::Frame>, counters: &PathCounters) {
    let offered = frames.len();
    if offered == 0 {
        return;
    }
    tx.tx_burst(frames);
    let left = frames.len();
    counters.tx_frames.add((offered - left) as u64);
    if left > 0 {
        counters.tx_dropped.add(left as u64);
        frames.clear();
    }
}

/// From the plain port to the line.
pub struct Protect<R: FrameRx, T> {
    rx: R,
    tx: T,
    secy: TxSecY,
    frames: Burst<R::Frame>,
    control: Option<ControlOutlet>,
    counters: Arc<PathCounters>,
}

impl<R: FrameRx, T: FrameTx<Frame = R::Frame>> Protect<R, T> {
    /// Joins the plain port's receive queue, the SecY's transmit half and the line's transmit queue.
    pub fn new(rx: R, secy: TxSecY, tx: T) -> Self {
        Protect { rx, tx, secy, frames: Burst::new(), control: None, counters: Arc::default() }
    }

    /// Sends what the control core has for the line, before all data.
    #[must_use]
    pub fn with_control(self, outlet: ControlOutlet) -> Self {
        Protect { control: Some(outlet), ..self }
    }

    /// What finds no room now is offered again in the next round.
    #[cold]
    fn send_control(&mut self) -> usize {
        let Protect { control, tx, frames, counters, .. } = self;
        let sent = control.as_mut().map_or(0, |control| {
            control.offer(|octets| {
                frames.extend(tx.make_frame(octets));
                let made = !frames.is_empty();
                tx.tx_burst(frames);
                let taken = made && frames.is_empty();
                frames.clear();
                taken
            })
        });
        counters.eapol_frames.add(sent as u64);
        sent
    }

    /// The direction's counters.
    pub fn counters(&self) -> Arc<PathCounters> {
        self.counters.clone()
    }

    /// A round as [`poll`](Task::poll) does it, saying when each part is over.
    pub fn poll_marked(&mut self, engine: &mut Engine, mut over: impl FnMut(Part)) -> usize {
        self.rx.rx_burst(&mut self.frames);
        over(Part::Receive);
        let received = self.frames.len();
        self.counters.rx_frames.add(received as u64);
        self.secy.protect_marked(engine, &mut self.frames, |pass| over(Part::Pass(pass)));
        transmit(&mut self.tx, &mut self.frames, &self.counters);
        over(Part::Transmit);
        received
    }
}

impl<R: FrameRx, T: FrameTx<Frame = R::Frame>> Task for Protect<R, T> {
    fn poll(&mut self, engine: &mut Engine) -> usize {
        let waiting = self.control.as_ref().is_some_and(|control| !control.is_empty());
        let sent = if waiting { self.send_control() } else { 0 };
        self.rx.rx_burst(&mut self.frames);
        let received = self.frames.len();
        if received > 0 {
            self.counters.rx_frames.add(received as u64);
            self.secy.protect(engine, &mut self.frames);
            transmit(&mut self.tx, &mut self.frames, &self.counters);
        }
        sent + received
    }

    fn apply(&mut self, command: Command) -> Option<Event> {
        self.secy.apply(command)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.secy.poll_event()
    }
}

/// From the line to the plain port.
pub struct Verify<R: FrameRx, T> {
    rx: R,
    tx: T,
    secy: RxSecY,
    frames: Burst<R::Frame>,
    eapol: Burst<R::Frame>,
    control: Option<ControlInlet>,
    max_frame: usize,
    counters: Arc<PathCounters>,
}

impl<R: FrameRx, T: FrameTx<Frame = R::Frame>> Verify<R, T> {
    /// Joins the line's receive queue, the SecY's receive half and the plain port's transmit queue, which carries
    /// frames of up to `max_frame` octets, FCS not counted.
    pub fn new(rx: R, secy: RxSecY, tx: T, max_frame: usize) -> Self {
        let counters = Arc::default();
        let (frames, eapol) = (Burst::new(), Burst::new());
        Verify { rx, tx, secy, frames, eapol, control: None, max_frame, counters }
    }

    /// Hands EAPOL frames of the line to the control core.
    #[must_use]
    pub fn with_control(self, inlet: ControlInlet) -> Self {
        Verify { control: Some(inlet), ..self }
    }

    #[cold]
    fn hand_over_eapol(&mut self) {
        let Verify { control, eapol, .. } = self;
        let taken = match control {
            Some(control) => eapol.iter().filter(|frame| control.put(*frame)).count(),
            None => 0,
        };
        self.counters.eapol_frames.add(taken as u64);
        self.counters.eapol_dropped.add((self.eapol.len() - taken) as u64);
        self.eapol.clear();
    }

    /// The direction's counters.
    pub fn counters(&self) -> Arc<PathCounters> {
        self.counters.clone()
    }

    /// Brings out what was verified.
    #[inline(always)]
    fn deliver(&mut self) {
        if !self.eapol.is_empty() {
            self.hand_over_eapol();
        }
        let verified = self.frames.len();
        if self.frames.iter().any(|f| f.len() > self.max_frame) {
            self.frames.retain(|f| f.len() <= self.max_frame);
            self.counters.tx_too_long.add((verified - self.frames.len()) as u64);
        }
        transmit(&mut self.tx, &mut self.frames, &self.counters);
    }

    /// A round as [`poll`](Task::poll) does it, saying when each part is over.
    pub fn poll_marked(&mut self, engine: &mut Engine, mut over: impl FnMut(Part)) -> usize {
        self.rx.rx_burst(&mut self.frames);
        over(Part::Receive);
        let received = self.frames.len();
        self.counters.rx_frames.add(received as u64);
        let Verify { secy, frames, eapol, .. } = self;
        secy.verify_marked(engine, frames, eapol, |pass| over(Part::Pass(pass)));
        self.deliver();
        over(Part::Transmit);
        received
    }
}

impl<R: FrameRx, T: FrameTx<Frame = R::Frame>> Task for Verify<R, T> {
    fn poll(&mut self, engine: &mut Engine) -> usize {
        self.rx.rx_burst(&mut self.frames);
        let received = self.frames.len();
        if received > 0 {
            self.counters.rx_frames.add(received as u64);
            self.secy.verify(engine, &mut self.frames, &mut self.eapol);
            self.deliver();
        }
        received
    }

    fn apply(&mut self, command: Command) -> Option<Event> {
        self.secy.apply(command)
    }

    fn poll_event(&mut self) -> Option<Event> {
        None
    }
}

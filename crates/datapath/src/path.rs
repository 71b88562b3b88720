//! The two directions of a link.

use crate::fan_out::FanOut;
use crate::io::at_once;
use crate::line_rx::LineRx;
use crate::{ControlInlet, ControlOutlet, FrameRx, FrameTx, PathCounters, SampleInlet};
use secy::{Burst, Command, Engine, Event, FrameBuf, Pass, RxSecY, TxSecY};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long data wait, at most, while the line has no room for what the control core has for it. Some 80 frames of 1518
/// octets at 100 Mbit/s.
const DATA_WAITS: Duration = Duration::from_millis(10);

/// One direction of a link, as a worker sees it.
pub trait Task: Send {
    /// Receives a burst and brings it to its end, or to crypto workers, and what comes back from these to its end. Says
    /// how many frames there were, or that some are still on their way.
    fn poll(&mut self, engine: &mut Engine) -> usize;

    /// Whether nothing is on its way through crypto workers. Where something is, brings what comes back to its end, and
    /// receives nothing.
    fn settle(&mut self, _: &mut Engine) -> bool {
        true
    }

    /// Changes the SecY. Only when it is [settled](Self::settle).
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

/// Transmits verified frames, of up to `longest` octets, that are not too long for the port.
#[inline(always)]
fn deliver<T: FrameTx>(
    tx: &mut T,
    frames: &mut Burst<T::Frame>,
    longest: usize,
    max_frame: usize,
    counters: &PathCounters,
) {
    if longest > max_frame {
        let verified = frames.len();
        frames.retain(|f| f.len() <= max_frame);
        counters.tx_too_long.add((verified - frames.len()) as u64);
    }
    transmit(tx, frames, counters);
}

/// From the plain port to the line.
pub struct Protect<R: FrameRx, T> {
    rx: R,
    tx: T,
    secy: TxSecY,
    frames: Burst<R::Frame>,
    fan_out: Option<FanOut<R::Frame>>,
    control: Option<ControlOutlet>,
    /// Since when the line has had no room for what the control core has for it.
    refused_since: Option<Instant>,
    counters: Arc<PathCounters>,
}

impl<R: FrameRx, T: FrameTx<Frame = R::Frame>> Protect<R, T> {
    /// Joins the plain port's receive queue, the SecY's transmit half and the line's transmit queue.
    pub fn new(rx: R, secy: TxSecY, tx: T) -> Self {
        let frames = Burst::new();
        let counters = Arc::default();
        Protect { rx, tx, secy, frames, fan_out: None, control: None, refused_since: None, counters }
    }

    /// Sends what the control core has for the line, before all data.
    #[must_use]
    pub fn with_control(self, outlet: ControlOutlet) -> Self {
        Protect { control: Some(outlet), ..self }
    }

    /// Has the crypto done by so many others, whose tasks are handed out: each for a worker of its own. None: by this
    /// one.
    #[must_use]
    pub fn with_crypto_workers(self, workers: usize) -> (Self, Vec<Box<dyn Task>>)
    where
        R::Frame: 'static,
    {
        if workers == 0 {
            return (self, Vec::new());
        }
        let (fan_out, tasks) = FanOut::new(workers);
        (Protect { fan_out: Some(fan_out), ..self }, tasks)
    }

    /// Receives a burst for the crypto workers, or while they are busy for this one, and brings out what is done. Says how
    /// many frames there were, and counts bursts that are on their way.
    #[inline(never)]
    fn poll_fanned_out(&mut self, engine: &mut Engine) -> usize {
        let collected = self.collect();
        let Self { fan_out: Some(fan_out), rx, secy, counters, .. } = self else { return collected };
        let received = fan_out.take_in(|frames| rx.rx_burst(frames), engine, |batch| secy.begin(batch));
        counters.rx_frames.add(received as u64);
        collected + received + fan_out.on_their_way()
    }

    /// Brings out what crypto workers are done with.
    fn collect(&mut self) -> usize {
        let Some(fan_out) = &mut self.fan_out else { return 0 };
        let mut frames = 0;
        while let Some(mut batch) = fan_out.receive() {
            frames += batch.len();
            self.secy.finish(&mut batch);
            transmit(&mut self.tx, batch.frames_mut(), &self.counters);
            fan_out.put_back(batch);
        }
        frames
    }

    /// What finds no room now is offered again in the next round. Says how many found some, and whether data wait for the
    /// others: room that comes while frames are received and sealed would always go to these.
    #[cold]
    fn send_control(&mut self) -> (usize, bool) {
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
        if self.control.as_ref().is_none_or(ControlOutlet::is_empty) {
            self.refused_since = None;
            return (sent, false);
        }
        // Not for ever: what a dead line does not take is counted, and comes from queues that have an end.
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        (sent, since.elapsed() < DATA_WAITS)
    }

    /// The direction's counters.
    pub fn counters(&self) -> Arc<PathCounters> {
        self.counters.clone()
    }

    /// A round as [`poll`](Task::poll) does it without crypto workers, saying when each part is over.
    pub fn poll_marked(&mut self, engine: &mut Engine, mut over: impl FnMut(Part)) -> usize {
        debug_assert!(self.fan_out.is_none(), "frames would overtake those that crypto workers have");
        self.rx.rx_burst(&mut self.frames);
        over(Part::Receive);
        let received = self.frames.len();
        self.counters.rx_frames.add(received as u64);
        if received > 0 {
            self.rx.limit(at_once(&self.frames));
        }
        self.secy.protect_marked(engine, &mut self.frames, |pass| over(Part::Pass(pass)));
        transmit(&mut self.tx, &mut self.frames, &self.counters);
        over(Part::Transmit);
        received
    }
}

impl<R: FrameRx, T: FrameTx<Frame = R::Frame>> Task for Protect<R, T> {
    fn poll(&mut self, engine: &mut Engine) -> usize {
        let waiting = self.control.as_ref().is_some_and(|control| !control.is_empty());
        let (sent, data_wait) = if waiting { self.send_control() } else { (0, false) };
        if data_wait {
            return sent + 1;
        }
        if self.fan_out.is_some() {
            return sent + self.poll_fanned_out(engine);
        }
        self.rx.rx_burst(&mut self.frames);
        let received = self.frames.len();
        if received > 0 {
            self.counters.rx_frames.add(received as u64);
            self.rx.limit(at_once(&self.frames));
            self.secy.protect(engine, &mut self.frames);
            transmit(&mut self.tx, &mut self.frames, &self.counters);
        }
        sent + received
    }

    fn settle(&mut self, _: &mut Engine) -> bool {
        self.collect();
        self.fan_out.as_ref().is_none_or(|fan_out| fan_out.on_their_way() == 0)
    }

    fn apply(&mut self, command: Command) -> Option<Event> {
        // It may be the end of a key.
        if let Some(fan_out) = &mut self.fan_out {
            fan_out.let_keys_go();
        }
        self.secy.apply(command)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.secy.poll_event()
    }
}

/// From the line to the plain port.
pub struct Verify<R: FrameRx, T> {
    rx: LineRx<R>,
    tx: T,
    secy: RxSecY,
    frames: Burst<R::Frame>,
    eapol: Burst<R::Frame>,
    fan_out: Option<FanOut<R::Frame>>,
    control: Option<ControlInlet>,
    max_frame: usize,
    counters: Arc<PathCounters>,
}

impl<R: FrameRx, T: FrameTx<Frame = R::Frame>> Verify<R, T> {
    /// Joins the line's receive queue, the SecY's receive half and the plain port's transmit queue, which carries
    /// frames of up to `max_frame` octets, FCS not counted.
    pub fn new(rx: R, secy: RxSecY, tx: T, max_frame: usize) -> Self {
        let counters = Arc::<PathCounters>::default();
        let rx = LineRx::new(rx, counters.clone());
        let (frames, eapol) = (Burst::new(), Burst::new());
        Verify { rx, tx, secy, frames, eapol, fan_out: None, control: None, max_frame, counters }
    }

    /// Hands frames of the line to a control core that asks for some.
    #[must_use]
    pub fn with_samples(self, inlet: SampleInlet) -> Self {
        Verify { rx: self.rx.with_samples(inlet), ..self }
    }

    /// Hands EAPOL frames of the line to the control core.
    #[must_use]
    pub fn with_control(self, inlet: ControlInlet) -> Self {
        Verify { control: Some(inlet), ..self }
    }

    /// Has the crypto done by so many others, whose tasks are handed out: each for a worker of its own. None: by this
    /// one.
    #[must_use]
    pub fn with_crypto_workers(self, workers: usize) -> (Self, Vec<Box<dyn Task>>)
    where
        R::Frame: 'static,
    {
        if workers == 0 {
            return (self, Vec::new());
        }
        let (fan_out, tasks) = FanOut::new(workers);
        (Verify { fan_out: Some(fan_out), ..self }, tasks)
    }

    /// Receives a burst for the crypto workers, or while they are busy for this one, and brings out what is done. Says how
    /// many frames there were, and counts bursts that are on their way.
    #[inline(never)]
    fn poll_fanned_out(&mut self, engine: &mut Engine) -> usize {
        let collected = self.collect(engine);
        let Self { fan_out: Some(fan_out), rx, control, secy, counters, .. } = self else { return collected };
        let receive = |frames: &mut _| rx.rx_burst(control.as_ref(), frames);
        let received = fan_out.take_in(receive, engine, |batch| secy.begin(batch));
        counters.rx_frames.add(received as u64);
        collected + received + fan_out.on_their_way()
    }

    /// Brings out what crypto workers are done with.
    fn collect(&mut self, engine: &mut Engine) -> usize {
        let mut frames = 0;
        while let Some(mut batch) = self.fan_out.as_mut().and_then(FanOut::receive) {
            frames += batch.len();
            let longest = self.secy.finish(engine, &mut batch, &mut self.eapol);
            if !self.eapol.is_empty() {
                self.hand_over_eapol();
            }
            deliver(&mut self.tx, batch.frames_mut(), longest, self.max_frame, &self.counters);
            if let Some(fan_out) = &mut self.fan_out {
                fan_out.put_back(batch);
            }
        }
        frames
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

    /// Brings out what was verified, frames of up to `longest` octets.
    #[inline(always)]
    fn deliver(&mut self, longest: usize) {
        if !self.eapol.is_empty() {
            self.hand_over_eapol();
        }
        deliver(&mut self.tx, &mut self.frames, longest, self.max_frame, &self.counters);
    }

    /// A round as [`poll`](Task::poll) does it without crypto workers, saying when each part is over.
    pub fn poll_marked(&mut self, engine: &mut Engine, mut over: impl FnMut(Part)) -> usize {
        debug_assert!(self.fan_out.is_none(), "frames would overtake those that crypto workers have");
        self.rx.rx_burst(self.control.as_ref(), &mut self.frames);
        over(Part::Receive);
        let received = self.frames.len();
        self.counters.rx_frames.add(received as u64);
        if received > 0 {
            self.rx.limit(self.control.as_ref(), at_once(&self.frames));
        }
        let Verify { secy, frames, eapol, .. } = self;
        let longest = secy.verify_marked(engine, frames, eapol, |pass| over(Part::Pass(pass)));
        self.deliver(longest);
        over(Part::Transmit);
        received
    }
}

impl<R: FrameRx, T: FrameTx<Frame = R::Frame>> Task for Verify<R, T> {
    fn poll(&mut self, engine: &mut Engine) -> usize {
        if self.fan_out.is_some() {
            return self.poll_fanned_out(engine);
        }
        self.rx.rx_burst(self.control.as_ref(), &mut self.frames);
        let received = self.frames.len();
        if received > 0 {
            self.counters.rx_frames.add(received as u64);
            self.rx.limit(self.control.as_ref(), at_once(&self.frames));
            let longest = self.secy.verify(engine, &mut self.frames, &mut self.eapol);
            self.deliver(longest);
        }
        received
    }

    fn settle(&mut self, engine: &mut Engine) -> bool {
        self.collect(engine);
        self.fan_out.as_ref().is_none_or(|fan_out| fan_out.on_their_way() == 0)
    }

    fn apply(&mut self, command: Command) -> Option<Event> {
        // It may be the end of a key.
        if let Some(fan_out) = &mut self.fan_out {
            fan_out.let_keys_go();
        }
        self.secy.apply(command)
    }

    fn poll_event(&mut self) -> Option<Event> {
        None
    }
}

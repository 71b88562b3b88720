//! Rates over ports in memory.

use super::case::{Case, Path};
use super::report::{Row, Shown, rate_plots, rates};
use super::{Bench, Options, Stop, cycles, measure};
use crate::clock::Clock;
use crate::cores::pin;
use crate::report::Plot;
use anyhow::Result;

/// The gateway between rings in memory.
pub(super) struct Memory {
    core: usize,
    clock: Clock,
    paths: Vec<Path>,
    slices: usize,
    stop: Stop,
}

impl Memory {
    /// Stays on the core.
    ///
    /// # Errors
    /// [`BadUsage`](crate::BadUsage) for a core that this process may not use.
    pub(super) fn new(options: &Options, stop: &Stop) -> Result<Self> {
        let core = pin(options.core)?;
        let (paths, slices, stop) = (options.paths.clone(), options.slices, stop.clone());
        Ok(Memory { core, clock: Clock::new(), paths, slices, stop })
    }
}

impl Bench for Memory {
    type Row = Row;

    const TITLE: &'static str = "The gateway's loop, over ports in memory";
    const ABOUT: &'static str = "Frames come from rings in memory and go to such rings, on one core; their octets count \
        with FCS. Mpps are million frames a second; on path both each frame goes both ways. of clear is the rate as a \
        part of that of the same loop without crypto, of engine as a part of what the AES-GCM engine alone would do with \
        the same frames. The last columns say where the time of a frame goes.";

    fn heading(&self) -> String {
        let Memory { core, slices, clock, .. } = self;
        format!("Core {core}, ports in memory, {slices} slices each{}", cycles(clock))
    }

    fn measure(&mut self, case: &Case) -> Result<Option<Vec<Row>>> {
        let found = measure::measure(&self.clock, case, &self.paths, self.slices, &self.stop)?;
        Ok(found.map(|all| all.iter().map(|m| Row::new(case, "memory", m, &self.clock)).collect()))
    }

    fn shown(&self, cases: &[(Case, Vec<Row>)]) -> Shown {
        rates(cases, false)
    }

    fn plots(&self, title: &str, cases: &[(Case, Vec<Row>)]) -> Vec<Plot> {
        rate_plots(title, cases)
    }
}

//! Which cores to measure on.

use crate::BadUsage;
use anyhow::{Result, bail};
use core_affinity::CoreId;

/// Keeps this thread on one core, and says which.
///
/// # Errors
/// [`BadUsage`] for one that this process may not use.
pub(crate) fn pin(wanted: Option<usize>) -> Result<usize> {
    let core = pick(wanted)?;
    stay_on(core)?;
    Ok(core)
}

/// Keeps this thread on a core.
///
/// # Errors
/// The system refuses.
pub(crate) fn stay_on(core: usize) -> Result<()> {
    if !core_affinity::set_for_current(CoreId { id: core }) {
        bail!("cannot stay on core {core}: the system refuses");
    }
    Ok(())
}

/// The core that is wanted, or else the last one that this process may use. To be asked before the thread stays on one.
///
/// # Errors
/// [`BadUsage`] for one that this process may not use.
pub(crate) fn pick(wanted: Option<usize>) -> Result<usize> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    // The first ones tend to have the system's own work.
    let Some(last) = allowed.last() else {
        bail!("the system does not say which cores this process may use")
    };
    let core = match wanted {
        None => *last,
        Some(id) if allowed.contains(&CoreId { id }) => CoreId { id },
        Some(id) => {
            let can = allowed.iter().map(|core| core.id.to_string()).collect::<Vec<_>>().join(", ");
            return Err(BadUsage(format!("--core {id}: this process may use {can}")).into());
        }
    };
    Ok(core.id)
}

/// Another core that this process may use: the last one that is no hyper-thread of `core`'s, or else the last. To be asked
/// before the thread stays on one.
pub(crate) fn beside(core: usize) -> Option<usize> {
    let others = || core_affinity::get_core_ids().unwrap_or_default().into_iter().rev().map(|c| c.id);
    let threads = threads_of(core);
    others().find(|other| !threads.contains(other)).or_else(|| others().find(|other| *other != core))
}

/// Whether two cores, as the system counts them, are hyper-threads of one.
pub(crate) fn are_siblings(one: usize, other: usize) -> bool {
    threads_of(one).contains(&other)
}

/// The hyper-threads of a core's, itself among them, where the system tells.
fn threads_of(core: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    let mut threads = listed(&std::fs::read_to_string(path).unwrap_or_default());
    threads.push(core);
    threads
}

/// Numbers of a list as the kernel writes it, such as `0-2,8`.
fn listed(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

/// Those of `wanted`, or else as many as there is use for, up to `most`: the last that this process may use.
///
/// # Errors
/// [`BadUsage`] for too many, for one twice, and for one that this process may not use.
pub(crate) fn choose(wanted: &[usize], most: usize) -> Result<Vec<usize>> {
    let allowed: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|c| c.id).collect();
    if allowed.is_empty() {
        bail!("the system does not say which cores this process may use");
    }
    if wanted.is_empty() {
        return Ok(allowed[allowed.len().saturating_sub(most)..].to_vec());
    }
    let listed = |cores: &[usize]| cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let bad = |why: String| Err(BadUsage(format!("--cores {}: {why}", listed(wanted))).into());
    if let Some(core) = wanted.iter().find(|core| !allowed.contains(core)) {
        return bad(format!("this process may not use {core}; it may use {}", listed(&allowed)));
    }
    if (1..wanted.len()).any(|i| wanted[..i].contains(&wanted[i])) {
        return bad("each core once".to_owned());
    }
    if wanted.len() > most {
        return bad(format!("there is use for {most} at most"));
    }
    Ok(wanted.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel() {
        assert_eq!(listed("0\n"), [0]);
        assert_eq!(listed("0-2,8\n"), [0, 1, 2, 8]);
        assert!(listed("").is_empty() && listed("few").is_empty());
    }

    #[test]
    fn another_core_is_another() {
        let core = pick(None).unwrap();
        assert!(beside(core).is_none_or(|other| other != core));
        assert!(are_siblings(core, core));
    }
}

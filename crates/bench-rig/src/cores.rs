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

/// Cores of these that are hyper-threads of one; a line to say about them.
pub(crate) fn shared(cores: &[usize]) -> Option<String> {
    shared_by(cores, threads_of)
}

fn shared_by(cores: &[usize], threads_of: impl Fn(usize) -> Vec<usize>) -> Option<String> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &core in cores {
        if groups.iter().any(|group| group.contains(&core)) {
            continue;
        }
        let mut group = threads_of(core);
        group.retain(|thread| cores.contains(thread));
        if group.len() > 1 {
            groups.push(group);
        }
    }
    let named = |group: &Vec<usize>| group.iter().map(usize::to_string).collect::<Vec<_>>().join(" and ");
    let named = groups.iter().map(named).collect::<Vec<_>>().join(", ");
    (!groups.is_empty()).then(|| {
        format!("threads of one core: {named}; what they do together says little of as many cores (--cores)")
    })
}

/// So many of these: the last, of each core one thread as long as there are such; in their order.
fn last_of(allowed: &[usize], most: usize, threads_of: impl Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    for is_apart in [true, false] {
        for &core in allowed.iter().rev() {
            let taken =
                chosen.iter().any(|other| *other == core || is_apart && threads_of(*other).contains(&core));
            if chosen.len() < most && !taken {
                chosen.push(core);
            }
        }
    }
    chosen.sort_unstable();
    chosen
}

/// The hyper-threads of a core, itself among them, where the system tells.
fn threads_of(core: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    let mut threads = listed(&std::fs::read_to_string(path).unwrap_or_default());
    if !threads.contains(&core) {
        threads.push(core);
    }
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

/// Those of `wanted`, or else as many as there is use for, up to `most`: the last that this process may use, hyper-threads
/// of one core only where there are too few.
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
        return Ok(last_of(&allowed, most, threads_of));
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

    /// Of a machine with two threads on each of three cores, and one that says nothing.
    fn threads(core: usize) -> Vec<usize> {
        if core < 6 { vec![core % 3, core % 3 + 3] } else { vec![core] }
    }

    #[test]
    fn threads_of_one_core_are_named() {
        assert_eq!(shared_by(&[0, 1, 5], threads), None);
        assert!(shared_by(&[3, 0, 4], threads).unwrap().contains("core: 0 and 3; "));
        assert!(shared_by(&[0, 1, 3, 4], threads).unwrap().contains("core: 0 and 3, 1 and 4; "));
        assert_eq!(shared_by(&[8, 9], threads), None, "what is not known is not said");
    }

    #[test]
    fn each_has_a_core_of_its_own_where_there_are_so_many() {
        let all = [0, 1, 2, 3, 4, 5];
        assert_eq!(last_of(&all, 2, threads), [4, 5]);
        assert_eq!(last_of(&all, 4, threads), [2, 3, 4, 5]);
        assert_eq!(last_of(&[0, 2, 3, 5], 2, threads), [3, 5]);
        assert_eq!(last_of(&[0, 3], 2, threads), [0, 3]);
        assert_eq!(last_of(&all, 9, threads), all);
        assert_eq!(last_of(&[7, 8, 9], 2, threads), [8, 9]);
    }

    #[test]
    fn another_core_is_another() {
        let core = pick(None).unwrap();
        assert!(beside(core).is_none_or(|other| other != core));
        assert!(are_siblings(core, core));
    }
}

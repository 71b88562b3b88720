//! Which cores to measure on.

use crate::BadUsage;
use anyhow::{Result, bail};
use core_affinity::CoreId;

/// Keeps this thread on one core, and says which.
///
/// # Errors
/// [`BadUsage`] for one that this process may not use.
pub(crate) fn pin(wanted: Option<usize>) -> Result<usize> {
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
    if !core_affinity::set_for_current(core) {
        bail!("cannot stay on core {}: the system refuses", core.id);
    }
    Ok(core.id)
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

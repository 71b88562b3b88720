//! Which core to measure on.

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

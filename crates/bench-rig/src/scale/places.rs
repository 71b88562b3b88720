//! How many crypto workers, and on which cores.

use crate::{BadUsage, cores};
use anyhow::Result;
use datapath::MAX_CRYPTO_WORKERS;

/// The owner's core, and then one for each of the others; and how many crypto workers each owner has at most.
///
/// # Errors
/// [`BadUsage`] for more workers than cores, and for cores that cannot be used.
pub(super) fn choose(workers: Option<usize>, owners: usize, wanted: &[usize]) -> Result<(Vec<usize>, usize)> {
    let allowed = cores::choose(&[], owners * (MAX_CRYPTO_WORKERS + 1))?;
    if workers.is_some() || owners > 1 {
        enough(workers.unwrap_or(0), owners, wanted, &allowed)?;
    }
    let workers = workers.unwrap_or(MAX_CRYPTO_WORKERS);
    Ok((cores::choose(wanted, owners * (workers + 1))?, workers))
}

/// Whether there is a core for each, those that are named where there are any.
fn enough(workers: usize, owners: usize, wanted: &[usize], allowed: &[usize]) -> Result<(), BadUsage> {
    let (cores, whose) = match wanted {
        [] => (allowed, "this process may use"),
        _ => (wanted, "--cores names"),
    };
    let (takes, have) = (owners * (workers + 1), cores.len());
    if have >= takes {
        return Ok(());
    }
    let list = cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let what = match owners {
        1 => format!("--workers {workers}: takes {takes} cores, one of them for the owner"),
        _ => format!(
            "--path both with {workers} workers each way: takes {takes} cores, two of them for owners"
        ),
    };
    Err(BadUsage(format!("{what}, and {whose} {have} ({list})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_a_core_and_the_owner_too() {
        assert!(enough(1, 1, &[], &[0, 1]).is_ok() && enough(2, 1, &[4, 5, 6], &[0]).is_ok());
        let said = enough(3, 1, &[], &[0, 1]).unwrap_err().to_string();
        assert_eq!(
            said,
            "--workers 3: takes 4 cores, one of them for the owner, and this process may use 2 (0,1)"
        );
        let said = enough(2, 1, &[7, 5], &[]).unwrap_err().to_string();
        assert!(
            said.ends_with("takes 3 cores, one of them for the owner, and --cores names 2 (7,5)"),
            "{said}"
        );
        assert!(enough(0, 2, &[], &[0, 1]).is_ok() && enough(1, 2, &[], &[0, 1, 2, 3]).is_ok());
        let said = enough(1, 2, &[], &[0, 1, 2]).unwrap_err().to_string();
        assert!(said.starts_with("--path both with 1 workers each way: takes 4 cores"), "{said}");
    }
}

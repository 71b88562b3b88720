//! How many crypto workers, and on which cores.

use crate::{BadUsage, cores};
use anyhow::Result;
use datapath::MAX_CRYPTO_WORKERS;
use std::fs;
use std::path::Path;

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

/// Cores of these that are threads of one core, as files below `root` tell; a line to say about them.
pub(super) fn shared(cores: &[usize], root: &Path) -> Option<String> {
    let siblings = |core: usize| {
        let path = format!("sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
        listed(fs::read_to_string(root.join(path)).ok()?.trim())
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &core in cores {
        if groups.iter().any(|group| group.contains(&core)) {
            continue;
        }
        let mut group = siblings(core).unwrap_or_default();
        group.retain(|sibling| cores.contains(sibling));
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

/// Numbers as the system lists them, such as `0,4` or `0-1`.
fn listed(text: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(all)
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

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(listed("0,4"), Some(vec![0, 4]));
        assert_eq!(listed("0-2,8"), Some(vec![0, 1, 2, 8]));
        assert_eq!(listed("3"), Some(vec![3]));
        assert_eq!((listed(""), listed("a-b")), (None, None));
    }

    #[test]
    fn threads_of_one_core_are_named() {
        let root = tempfile::tempdir().unwrap();
        for (core, siblings) in ["0,2\n", "1,3\n", "0,2\n", "1,3\n", "4\n"].iter().enumerate() {
            let home = root.path().join(format!("sys/devices/system/cpu/cpu{core}/topology"));
            fs::create_dir_all(&home).unwrap();
            fs::write(home.join("thread_siblings_list"), siblings).unwrap();
        }
        assert_eq!(shared(&[0, 1, 4], root.path()), None);
        assert!(shared(&[2, 0, 4], root.path()).unwrap().contains("core: 0 and 2; "));
        assert!(shared(&[0, 1, 2, 3], root.path()).unwrap().contains("core: 0 and 2, 1 and 3; "));
        assert_eq!(shared(&[8, 9], root.path()), None, "what is not known is not said");
    }
}

//! Stamps version and revision; of the gateway, and of the program that measures.

use std::process::Command;

fn main() {
    let git = |args: &[&str]| {
        let out = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let revision = git(&["rev-parse", "--short=10", "HEAD"]);
    // Which otherwise writes the index anew, and with that asks for another build.
    let status = git(&["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"]);
    let changed = status.is_some_and(|s| !s.is_empty());
    let version = env!("CARGO_PKG_VERSION");
    let stamp = match revision {
        Some(r) => format!("{version} ({r}{})", if changed { ", changed" } else { "" }),
        None => version.to_owned(),
    };
    println!("cargo::rustc-env=MACSEC_GW_VERSION={stamp}");
    // A new commit moves one of these.
    for name in ["HEAD", "logs/HEAD", "index"] {
        if let Some(path) =
            git(&["rev-parse", "--git-path", name]).filter(|p| std::path::Path::new(p).exists())
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    // And what is edited after it is not of it any more.
    let sources = git(&["ls-files", "--full-name", ":/*.rs", ":/*Cargo.toml"]).unwrap_or_default();
    let top = git(&["rev-parse", "--show-toplevel"]).map(std::path::PathBuf::from).unwrap_or_default();
    for path in sources.lines().map(|name| top.join(name)).filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    // Where there is no revision to watch, all sources are not to be watched instead.
    println!("cargo::rerun-if-changed=Cargo.toml");
}

//! With the feature `link`: compiles the shim against the installed intel-ipsec-mb, and links both.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=shim.c");
    if env::var_os("CARGO_FEATURE_LINK").is_none() {
        return;
    }
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86_64") {
        stop("intel-ipsec-mb is for x86-64 alone; build without the feature `peer-ipsec-mb`");
    }
    let compiled = cc::Build::new().file("shim.c").opt_level(3).try_compile("ipsec_mb_shim");
    if let Err(error) = compiled {
        println!(
            "cargo::error=intel-ipsec-mb 1.0 or newer is needed to compare with; it was not found, or is too old"
        );
        println!("cargo::error=Debian 12, Ubuntu 24.04 and later: apt install libipsec-mb-dev");
        stop(&error.to_string());
    }
    println!("cargo::rustc-link-lib=IPSec_MB");
}

/// Ends the build with a message instead of a backtrace.
fn stop(message: &str) -> ! {
    for line in message.lines().filter(|line| !line.trim().is_empty()) {
        println!("cargo::error={line}");
    }
    std::process::exit(1);
}

//! Finds DPDK, generates the bindings, and compiles the C shims that give DPDK's static inlines a symbol.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Oldest release whose `rte_security` has inline MACsec, and the first LTS with it.
const MIN_VERSION: &str = "22.11";

/// Functions bound; those that are `static inline` in C are called through a compiled shim.
const FUNCTIONS: &[&str] = &[
    // EAL
    "rte_eal_init",
    "rte_eal_cleanup",
    "rte_eal_has_pci",
    "rte_eal_get_runtime_dir",
    "rte_eal_hotplug_add",
    "rte_eal_hotplug_remove",
    "rte_dev_probe",
    "rte_dev_remove",
    "rte_dev_name",
    "rte_strerror",
    "rte_version",
    "rte_lcore_id",
    "rte_socket_id",
    "rte_thread_register",
    "rte_thread_unregister",
    "dpdk_sys_.*",
    // Logging
    "rte_openlog_stream",
    "rte_log_cur_msg_loglevel",
    "fopencookie",
    // Memory
    "rte_mempool_avail_count",
    "rte_mempool_free",
    "rte_pktmbuf_pool_create",
    "rte_pktmbuf_alloc",
    "rte_pktmbuf_alloc_bulk",
    "rte_pktmbuf_free",
    "rte_pktmbuf_free_seg",
    "rte_pktmbuf_free_bulk",
    "__rte_pktmbuf_copy_hdr",
    "rte_mbuf_check",
    // Ports
    "rte_eth_find_next",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_dev_close",
    "rte_eth_dev_configure",
    "rte_eth_dev_get_mtu",
    "rte_eth_dev_info_get",
    "rte_eth_dev_set_mtu",
    "rte_eth_dev_socket_id",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_link_get_nowait",
    "rte_eth_macaddr_get",
    "rte_eth_promiscuous_disable",
    "rte_eth_promiscuous_enable",
    "rte_eth_promiscuous_get",
    "rte_eth_rx_queue_setup",
    "rte_eth_stats_get",
    "rte_eth_tx_queue_setup",
    "rte_eth_call_rx_callbacks",
    "rte_eth_call_tx_callbacks",
];

/// Globals and constants bound.
const VARIABLES: &[&str] = &["rte_eth_fp_ops", "DPDK_SYS_.*", "RTE_LOG_.*"];

/// Types bound beyond those that the functions mention.
const TYPES: &[&str] = &["dpdk_sys_mbuf_offset"];

/// Structs that Rust only ever holds by pointer.
const OPAQUE: &[&str] = &["rte_mbuf", "rte_mempool", "rte_device", "_IO_FILE"];

fn main() {
    println!("cargo::rerun-if-changed=wrapper.h");
    println!("cargo::rerun-if-changed=build.rs");

    let library = pkg_config::Config::new()
        .atleast_version(MIN_VERSION)
        .probe("libdpdk")
        .unwrap_or_else(|error| stop(&dpdk_missing(&error)));
    println!("cargo::metadata=version={}", library.version);
    if let Some(dir) = library.link_paths.first() {
        println!("cargo::metadata=libdir={}", dir.display());
    }

    let flags = cflags();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let shims = out.join("shims.c");
    generate(&flags, &shims).write_to_file(out.join("bindings.rs")).unwrap_or_else(|error| {
        stop(&format!("cannot write the bindings: {error}"));
    });

    let mut build = cc::Build::new();
    build.file(&shims).include(env!("CARGO_MANIFEST_DIR")).opt_level(3).warnings(false);
    for flag in &flags {
        build.flag(flag);
    }
    build.compile("dpdk_sys_shims");
}

/// Runs bindgen over `wrapper.h`; the shims' C source goes to `shims`.
fn generate(flags: &[String], shims: &std::path::Path) -> bindgen::Bindings {
    let mut builder = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(flags)
        .wrap_static_fns(true)
        .wrap_static_fns_path(shims)
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_default(false)
        .derive_debug(false)
        .generate_comments(false)
        .layout_tests(true)
        .use_core()
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new().rerun_on_header_files(false)));
    for name in FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in VARIABLES {
        builder = builder.allowlist_var(name);
    }
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in OPAQUE {
        builder = builder.opaque_type(name);
    }
    builder.generate().unwrap_or_else(|error| {
        stop(&format!(
            "bindgen could not read the DPDK headers: {error}\n\
             If it cannot find libclang or stddef.h: apt install libclang-dev"
        ))
    })
}

/// The compiler flags DPDK's headers must be read with: `-march`, `-include rte_config.h`, search paths.
fn cflags() -> Vec<String> {
    println!("cargo::rerun-if-env-changed=PKG_CONFIG");
    let tool = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(&tool).args(["--cflags", "libdpdk"]).output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
        }
        Ok(output) => stop(&format!(
            "`pkg-config --cflags libdpdk` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => stop(&format!("cannot run {}: {error}", tool.display())),
    }
}

/// Says what is missing and what to install.
fn dpdk_missing(error: &pkg_config::Error) -> String {
    let (what, detail) = match pkg_config::Config::new().cargo_metadata(false).probe("libdpdk") {
        Ok(found) => {
            (format!("DPDK {MIN_VERSION} or newer is needed; {} is installed.", found.version), String::new())
        }
        Err(_) => {
            (format!("DPDK {MIN_VERSION} or newer is needed; pkg-config finds none."), error.to_string())
        }
    };
    format!(
        "{what}\n\
         Debian 12, Ubuntu 24.04 and later: apt install libdpdk-dev libclang-dev pkg-config\n\
         DPDK built from source: point PKG_CONFIG_PATH at the directory that holds libdpdk.pc.\n\
         `--no-default-features` at the workspace root builds the gateway without DPDK.\n\
         {detail}"
    )
}

/// Ends the build with a message instead of a backtrace.
fn stop(message: &str) -> ! {
    for line in message.lines().filter(|line| !line.trim().is_empty()) {
        println!("cargo::error={line}");
    }
    std::process::exit(1);
}

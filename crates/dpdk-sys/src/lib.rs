//! Bindings to DPDK, generated at build time from the headers that `pkg-config libdpdk` names (22.11 or newer).
//!
//! Functions that DPDK defines `static inline` are reached through C shims that bindgen writes and `cc` compiles
//! with DPDK's own flags. There is no hand-written logic here and nothing is safe: the wrappers are the `dpdk`
//! crate's. `DPDK_SYS_*` and `dpdk_sys_*` names come from `wrapper.h`, all others are DPDK's.
//!
//! The shared libraries are linked; poll-mode drivers and mempool handlers are plugins that the EAL loads from
//! the directory compiled into it.

mod bindings {
    #![allow(
        missing_docs,
        non_camel_case_types,
        non_snake_case,
        non_upper_case_globals,
        unnameable_types,
        unreachable_pub,
        unsafe_op_in_unsafe_fn,
        clippy::all,
        clippy::pedantic,
        clippy::undocumented_unsafe_blocks,
        clippy::unwrap_used
    )]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub use bindings::*;

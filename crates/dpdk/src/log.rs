//! DPDK's log: one stream for the life of the process, whose lines go to the caller's sink.
//!
//! DPDK reports most failures as a bare -1 and a log line that says why. While such a call runs, its thread
//! captures its own lines so that they end up in the error instead of on the console.

use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_long, c_void};
use std::io::Write;
use std::sync::OnceLock;

/// How much of DPDK's log gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// Failures.
    Error,
    /// Failures and what may become one.
    #[default]
    Warning,
    /// Also significant but normal conditions.
    Notice,
    /// Also what DPDK does at start-up.
    Info,
    /// Everything.
    Debug,
}

impl LogLevel {
    /// The name that `--log-level` takes.
    pub(crate) fn as_arg(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    fn from_raw(raw: c_int) -> Self {
        match u32::try_from(raw).unwrap_or(dpdk_sys::RTE_LOG_ERR) {
            0..=dpdk_sys::RTE_LOG_ERR => Self::Error,
            dpdk_sys::RTE_LOG_WARNING => Self::Warning,
            dpdk_sys::RTE_LOG_NOTICE => Self::Notice,
            dpdk_sys::RTE_LOG_INFO => Self::Info,
            _ => Self::Debug,
        }
    }
}

/// Receives DPDK's log messages, on whichever thread logs: level, and text without the final newline.
///
/// It must not panic; a panic aborts the process.
pub type LogSink = fn(LogLevel, &str);

/// The default sink: standard error.
pub(crate) fn to_stderr(_level: LogLevel, message: &str) {
    // Not eprintln: when nobody reads standard error any more, it panics.
    let _ = writeln!(std::io::stderr(), "{message}");
}

static SINK: OnceLock<LogSink> = OnceLock::new();

thread_local! {
    static CAPTURED: RefCell<Option<Vec<(LogLevel, String)>>> = const { RefCell::new(None) };
}

/// Points DPDK's log at `sink`, in place of its own stream, which writes to standard error *and* syslog.
/// Only the first call has an effect.
pub(crate) fn install(sink: LogSink) {
    if SINK.set(sink).is_err() {
        return;
    }
    let functions =
        dpdk_sys::_IO_cookie_io_functions_t { read: None, write: Some(write), seek: None, close: None };
    // SAFETY: the mode is a C string and `write` matches the cookie interface; it ignores the cookie, so null
    // is fine.
    let stream = unsafe { dpdk_sys::fopencookie(std::ptr::null_mut(), c"w".as_ptr(), functions) };
    if !stream.is_null() {
        // SAFETY: the stream was just opened and is never closed, so no late logger can find it gone.
        unsafe { dpdk_sys::rte_openlog_stream(stream) };
    }
}

/// `cookie_write_function_t`: DPDK flushes after every message, so `data` is one message or a few.
unsafe extern "C" fn write(_cookie: *mut c_void, data: *const c_char, size: usize) -> c_long {
    // SAFETY: stdio hands over `size` readable octets.
    let text = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) };
    let text = String::from_utf8_lossy(text);
    // SAFETY: reads thread-local state of the message being written; always callable.
    let raw = unsafe { dpdk_sys::rte_log_cur_msg_loglevel() };
    let level = LogLevel::from_raw(raw);
    // Worse than an error: DPDK may end the process right after that, before any sink that has others write.
    let last_words = u32::try_from(raw).is_ok_and(|raw| raw < dpdk_sys::RTE_LOG_ERR);
    for line in text.lines().filter(|line| !line.is_empty()) {
        let captured = CAPTURED.try_with(|captured| match captured.borrow_mut().as_mut() {
            Some(lines) => {
                lines.push((level, line.to_owned()));
                true
            }
            None => false,
        });
        if last_words {
            to_stderr(level, line);
        } else if !captured.unwrap_or(false) {
            emit(level, line);
        }
    }
    // As many octets as there are in memory fit.
    size as c_long
}

fn emit(level: LogLevel, line: &str) {
    if let Some(sink) = SINK.get() {
        sink(level, line);
    }
}

/// What DPDK logged on this thread during a [`capture`].
pub(crate) struct Captured(Vec<(LogLevel, String)>);

impl Captured {
    /// Passes the lines on to the sink after all, the call having succeeded.
    pub(crate) fn replay(self) {
        for (level, line) in self.0 {
            // Said of every page size that the system supports and nobody reserved, while another is in use.
            if !(line.contains("No free") && line.contains("hugepages reported")) {
                emit(level, &line);
            }
        }
    }

    /// The failures and warnings, joined by `"; "`; empty when there were none that say more than that the call
    /// failed.
    pub(crate) fn problems(&self) -> String {
        const HOLLOW: [&str; 2] = ["EAL: Driver cannot attach", "EAL: Failed to attach"];
        let lines: Vec<&str> = self
            .0
            .iter()
            .filter(|(level, _)| *level <= LogLevel::Warning)
            .map(|(_, line)| line.trim())
            .filter(|line| !HOLLOW.iter().any(|hollow| line.starts_with(hollow)))
            .collect();
        lines.join("; ")
    }
}

/// Runs `f` with this thread's DPDK log lines kept aside.
pub(crate) fn capture<R>(f: impl FnOnce() -> R) -> (R, Captured) {
    CAPTURED.with(|captured| *captured.borrow_mut() = Some(Vec::new()));
    let result = f();
    let lines = CAPTURED.with(|captured| captured.borrow_mut().take()).unwrap_or_default();
    (result, Captured(lines))
}

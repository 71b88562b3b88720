//! Any text as a configuration or a file of keys: no panic, and no message repeats keys.
#![no_main]
#![forbid(unsafe_code)]

use fuzz::{TempFile, assert_quiet};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static FILE: LazyLock<TempFile> = LazyLock::new(|| {
    let file = TempFile::new();
    let salt = "salt = \"e630e81a48de86a21c66fa6d\"\n";
    let sak = |octets| format!("sak = \"{}\"\n", "5a".repeat(octets));
    file.beside("128.key", &sak(16));
    file.beside("256.key", &sak(32));
    file.beside("cak.key", &format!("cak = \"{}\"\nckn = \"0102\"\n", "5a".repeat(16)));
    file.beside("xpn-128.key", &(sak(16) + salt));
    file.beside("xpn-256.key", &(sak(32) + salt));
    file
});

fuzz_target!(|text: &[u8]| {
    let path = FILE.with(text);
    if let Err(errors) = config::Config::load(path) {
        assert!(errors.iter().all(|e| e.line != Some(0) && !e.to_string().contains('\n')));
    }
    let messages = [
        config::KeysFile::load(path).err().map(|e| format!("{e} {e:?}")),
        keys::read_sak_file(path).err().map(|e| format!("{e} {e:?}")),
        keys::read_cak_file(path).err().map(|e| format!("{e} {e:?}")),
    ];
    messages.iter().flatten().for_each(|message| assert_quiet(message, path, text));
});

//! The bindings, and what makes them safe.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::mem::MaybeUninit;

/// Which of the library's implementations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// The one that the library takes by itself.
    Best = 0,
    /// That for CPUs with AVX2.
    Avx2 = 1,
    /// That for CPUs with SSE4.2, AES-NI and PCLMULQDQ.
    Sse = 2,
}

/// `struct gcm_key_data` is smaller, which the shim asserts. The library reads it with aligned loads.
#[repr(C, align(64))]
struct KeyData(MaybeUninit<[u8; 4096]>);

/// `struct gcm_context_data` is smaller, which the shim asserts.
#[repr(C, align(64))]
struct Context(MaybeUninit<[u8; 256]>);

type Expand = unsafe extern "C" fn(key: *const c_void, expanded: *mut KeyData);

/// `aes_gcm_enc_dec_t`: key, context, output, input and its octets, IV, AAD and its octets, tag and its octets.
type Crypt = unsafe extern "C" fn(
    *const KeyData,
    *mut Context,
    *mut u8,
    *const u8,
    u64,
    *const u8,
    *const u8,
    u64,
    *mut u8,
    u64,
);

#[repr(C)]
#[derive(Clone, Copy)]
struct Table {
    expand: Expand,
    seal: Crypt,
    open: Crypt,
}

unsafe extern "C" {
    fn ipsec_mb_functions(arch: c_int, functions: *mut [Table; 2]) -> c_int;
    fn imb_get_version_str() -> *const c_char;
}

/// The version of the library that is linked.
pub fn version() -> String {
    // SAFETY: the library returns a constant text.
    unsafe { CStr::from_ptr(imb_get_version_str()) }.to_string_lossy().into_owned()
}

/// The functions of one [`Arch`], which this CPU can run.
#[derive(Clone, Copy)]
pub struct Functions([Table; 2]);

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Functions")
    }
}

impl Functions {
    /// Asks the library. `None` where the CPU lacks what `arch` takes.
    pub fn new(arch: Arch) -> Option<Self> {
        let mut tables = MaybeUninit::uninit();
        // SAFETY: the shim writes both tables, or returns 0.
        unsafe { (ipsec_mb_functions(arch as c_int, tables.as_mut_ptr()) != 0).then(|| tables.assume_init()) }
            .map(Functions)
    }

    /// Expands 16 or 32 octets; `None` for any other number.
    pub fn key(&self, octets: &[u8]) -> Option<Key> {
        let Table { expand, seal, open } = match octets.len() {
            16 => self.0[0],
            32 => self.0[1],
            _ => return None,
        };
        let mut data = Box::<KeyData>::new_uninit();
        // SAFETY: the function takes as many octets as this key has, and `data` has room for what it writes.
        unsafe { expand(octets.as_ptr().cast(), data.as_mut_ptr()) };
        // SAFETY: all of `KeyData` may be uninitialised; the library has written what it reads.
        Some(Key { data: unsafe { data.assume_init() }, seal, open })
    }
}

/// An expanded key. Not wiped: it is for measurements.
pub struct Key {
    data: Box<KeyData>,
    seal: Crypt,
    open: Crypt,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

impl Key {
    /// Encrypts the payload in place and writes the tag.
    #[inline(always)]
    pub fn seal(&self, nonce: &[u8; 12], aad: &[u8], payload: &mut [u8], tag: &mut [u8; 16]) {
        self.crypt(self.seal, nonce, aad, payload, tag);
    }

    /// Decrypts the payload in place, whatever it is, and says whether its tag is right.
    #[inline(always)]
    pub fn open(&self, nonce: &[u8; 12], aad: &[u8], payload: &mut [u8], tag: &[u8; 16]) -> bool {
        let mut computed = [0; 16];
        self.crypt(self.open, nonce, aad, payload, &mut computed);
        // As numbers: no early end.
        u128::from_ne_bytes(computed) == u128::from_ne_bytes(*tag)
    }

    #[inline(always)]
    fn crypt(&self, crypt: Crypt, nonce: &[u8; 12], aad: &[u8], payload: &mut [u8], tag: &mut [u8; 16]) {
        let mut context = MaybeUninit::<Context>::uninit();
        let text = payload.as_mut_ptr();
        // SAFETY: pointers and lengths are those of slices, output and input may be the same, the context is
        // scratch memory, and the functions are for keys of the length that `data` was expanded from.
        unsafe {
            crypt(
                &raw const *self.data,
                context.as_mut_ptr(),
                text,
                text,
                payload.len() as u64,
                nonce.as_ptr(),
                aad.as_ptr(),
                aad.len() as u64,
                tag.as_mut_ptr(),
                tag.len() as u64,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_implementation_does_the_same() {
        let nonce = [7; 12];
        let mut before = None;
        for functions in [Arch::Best, Arch::Avx2, Arch::Sse].into_iter().filter_map(Functions::new) {
            for len in [16, 32] {
                let key = functions.key(&vec![3; len]).unwrap();
                let (mut payload, mut tag) = ([9; 100], [0; 16]);
                key.seal(&nonce, &[1; 28], &mut payload, &mut tag);
                if len == 32 {
                    let sealed = (payload, tag);
                    assert_eq!(*before.get_or_insert(sealed), sealed);
                }
                assert!(key.open(&nonce, &[1; 28], &mut payload, &tag));
                assert_eq!(payload, [9; 100]);
                tag[15] ^= 1;
                assert!(!key.open(&nonce, &[1; 28], &mut payload, &tag));
            }
            assert!(functions.key(&[0; 24]).is_none());
        }
        assert!(version().starts_with(|c: char| c.is_ascii_digit()), "{}", version());
    }
}

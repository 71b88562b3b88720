//! Other libraries, each called in the way that is fastest for it.

use super::contender::{Contender, nonce};
use super::frames::Frame;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use gcm::{MAX_BURST, NONCE_LEN, TAG_LEN};

/// A key of a library that takes one frame at a time.
pub(crate) trait FrameKey {
    fn seal(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], payload: &mut [u8], tag: &mut [u8; TAG_LEN]);

    /// Whether the frame was authentic.
    fn open(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], payload: &mut [u8], tag: &[u8; TAG_LEN]) -> bool;
}

/// The keys of a case, and the loop over a burst.
///
/// Nonces are all written before the first frame: one that is read as one piece right after it was written as two
/// costs a peer nanoseconds that are not its own.
pub(crate) struct OneByOne<K> {
    keys: Vec<K>,
    nonces: [[u8; NONCE_LEN]; MAX_BURST],
}

impl<K> OneByOne<K> {
    pub(crate) fn new(keys: &[Vec<u8>], new: impl Fn(&[u8]) -> K) -> Self {
        let keys = keys.iter().map(|octets| new(octets)).collect();
        OneByOne { keys, nonces: [[0; NONCE_LEN]; MAX_BURST] }
    }

    #[inline(always)]
    fn write_nonces(&mut self, count: usize, first: u32) {
        for (i, n) in self.nonces[..count].iter_mut().enumerate() {
            *n = nonce(first.wrapping_add(i as u32));
        }
    }
}

impl<K: FrameKey> Contender for OneByOne<K> {
    fn seal(&mut self, frames: &mut [Frame<'_>], first: u32) {
        self.write_nonces(frames.len(), first);
        for (frame, nonce) in frames.iter_mut().zip(&self.nonces) {
            let key = &self.keys[frame.key];
            let (aad, payload, tag) = frame.parts();
            key.seal(nonce, aad, payload, tag);
        }
    }

    fn open(&mut self, frames: &mut [Frame<'_>], first: u32) -> usize {
        self.write_nonces(frames.len(), first);
        let mut authentic = 0;
        for (frame, nonce) in frames.iter_mut().zip(&self.nonces) {
            let key = &self.keys[frame.key];
            let (aad, payload, tag) = frame.parts();
            authentic += usize::from(key.open(nonce, aad, payload, tag));
        }
        authentic
    }
}

// Keys have the right length and messages are far below any limit: nothing here can fail.

pub(crate) struct RustCrypto<C>(C);
pub(crate) type RustCrypto128 = RustCrypto<aes_gcm::Aes128Gcm>;
pub(crate) type RustCrypto256 = RustCrypto<aes_gcm::Aes256Gcm>;

macro_rules! rustcrypto {
    ($cipher:ty) => {
        impl RustCrypto<$cipher> {
            pub(crate) fn new(octets: &[u8]) -> Self {
                match <$cipher>::new_from_slice(octets) {
                    Ok(cipher) => RustCrypto(cipher),
                    Err(e) => unreachable!("{e}"),
                }
            }
        }

        impl FrameKey for RustCrypto<$cipher> {
            #[inline(always)]
            fn seal(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], payload: &mut [u8], tag: &mut [u8; TAG_LEN]) {
                match self.0.encrypt_inout_detached(nonce.into(), aad, payload.into()) {
                    Ok(made) => *tag = made.into(),
                    Err(e) => unreachable!("{e}"),
                }
            }

            #[inline(always)]
            fn open(
                &self,
                nonce: &[u8; NONCE_LEN],
                aad: &[u8],
                payload: &mut [u8],
                tag: &[u8; TAG_LEN],
            ) -> bool {
                self.0.decrypt_inout_detached(nonce.into(), aad, payload.into(), tag.into()).is_ok()
            }
        }
    };
}

rustcrypto!(aes_gcm::Aes128Gcm);
rustcrypto!(aes_gcm::Aes256Gcm);

pub(crate) struct AwsLc(LessSafeKey);

impl AwsLc {
    pub(crate) fn new(octets: &[u8]) -> Self {
        let algorithm = if octets.len() == 16 { &aead::AES_128_GCM } else { &aead::AES_256_GCM };
        match UnboundKey::new(algorithm, octets) {
            Ok(key) => AwsLc(LessSafeKey::new(key)),
            Err(e) => unreachable!("{e}"),
        }
    }
}

impl FrameKey for AwsLc {
    #[inline(always)]
    fn seal(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], payload: &mut [u8], tag: &mut [u8; TAG_LEN]) {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        // Writes the tag where it belongs, unlike `seal_in_place_separate_tag`.
        match self.0.seal_in_place_scatter(nonce, Aad::from(aad), payload, &[], tag) {
            Ok(()) => {}
            Err(e) => unreachable!("{e}"),
        }
    }

    #[inline(always)]
    fn open(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], payload: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        // Unlike `open_in_place` it moves nothing afterwards.
        self.0.open_in_place_separate_tag(nonce, Aad::from(aad), tag, payload).is_ok()
    }
}

#[cfg(feature = "peer-ipsec-mb")]
pub(crate) fn ipsec_mb_key(functions: &ipsec_mb::Functions, octets: &[u8]) -> ipsec_mb::Key {
    functions.key(octets).unwrap_or_else(|| unreachable!("a key of {} octets", octets.len()))
}

#[cfg(feature = "peer-ipsec-mb")]
impl FrameKey for ipsec_mb::Key {
    #[inline(always)]
    fn seal(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], payload: &mut [u8], tag: &mut [u8; TAG_LEN]) {
        self.seal(nonce, aad, payload, tag);
    }

    #[inline(always)]
    fn open(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], payload: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
        self.open(nonce, aad, payload, tag)
    }
}

//! The back end for every CPU: RustCrypto, one message at a time.

use crate::{KeyLength, Op};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use std::fmt;
use zeroize::Zeroizing;

/// Octets of a jumbo frame with everything that is added to it.
const SCRATCH_LEN: usize = 10 * 1024;

pub(crate) enum PortableKey {
    Aes128(Box<Aes128Gcm>),
    Aes256(Box<Aes256Gcm>),
}

impl PortableKey {
    pub(crate) fn new(octets: &[u8]) -> Result<Self, KeyLength> {
        let wrong = |_| KeyLength(octets.len());
        match octets.len() {
            16 => Aes128Gcm::new_from_slice(octets).map(|k| PortableKey::Aes128(Box::new(k))).map_err(wrong),
            _ => Aes256Gcm::new_from_slice(octets).map(|k| PortableKey::Aes256(Box::new(k))).map_err(wrong),
        }
    }

    /// Seals. No tag is made only for messages beyond the limits of GCM, 2^36 octets.
    fn seal(&self, nonce: &[u8; 12], aad: &[u8], payload: InOutBuf<'_, '_, u8>) -> Option<[u8; 16]> {
        let sealed = match self {
            PortableKey::Aes128(k) => k.encrypt_inout_detached(nonce.into(), aad, payload),
            PortableKey::Aes256(k) => k.encrypt_inout_detached(nonce.into(), aad, payload),
        };
        sealed.ok().map(Into::into)
    }

    /// Compares the tag, in constant time, before it decrypts.
    fn open(&self, nonce: &[u8; 12], aad: &[u8], payload: InOutBuf<'_, '_, u8>, tag: &[u8; 16]) -> bool {
        let opened = match self {
            PortableKey::Aes128(k) => k.decrypt_inout_detached(nonce.into(), aad, payload, tag.into()),
            PortableKey::Aes256(k) => k.decrypt_inout_detached(nonce.into(), aad, payload, tag.into()),
        };
        opened.is_ok()
    }
}

/// Where scattered messages are brought together. Wiped when dropped, and after each use overwritten by the next.
pub(crate) struct Scratch {
    pub(crate) aad: Zeroizing<Vec<u8>>,
    pub(crate) payload: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch(redacted)")
    }
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let room = || Zeroizing::new(Vec::with_capacity(SCRATCH_LEN));
        Scratch { aad: room(), payload: room() }
    }

    pub(crate) fn gather(&mut self, op: &Op<'_>, segments: &[&mut [u8]]) {
        fn fill<'a>(into: &mut Vec<u8>, first: &[u8], more: impl Iterator<Item = &'a &'a mut [u8]>) {
            into.clear();
            into.extend_from_slice(first);
            more.for_each(|s| into.extend_from_slice(s));
        }
        fill(&mut self.aad, op.aad(), segments[span(&op.aad_more)].iter());
        fill(&mut self.payload, op.payload(), segments[span(&op.payload_more)].iter());
    }

    pub(crate) fn scatter(&self, op: &mut Op<'_>, segments: &mut [&mut [u8]]) {
        let (first, mut rest) = self.payload.split_at(op.payload().len());
        op.payload_mut().copy_from_slice(first);
        for segment in &mut segments[span(&op.payload_more)] {
            let (now, later) = rest.split_at(segment.len());
            segment.copy_from_slice(now);
            rest = later;
        }
    }
}

fn span(range: &std::ops::Range<u16>) -> std::ops::Range<usize> {
    range.start.into()..range.end.into()
}

/// Seals one operation.
pub(crate) fn seal(scratch: &mut Scratch, key: &PortableKey, op: &mut Op<'_>, segments: &mut [&mut [u8]]) {
    let tag = if op.is_scattered() {
        scratch.gather(op, segments);
        let tag = key.seal(&op.nonce(), &scratch.aad, scratch.payload.as_mut_slice().into());
        scratch.scatter(op, segments);
        tag
    } else {
        key.seal(&op.nonce(), op.aad(), op.payload_mut().into())
    };
    // No slice that fits memory here reaches GCM's limit of 2^36 octets.
    *op.tag = tag.unwrap_or_else(|| unreachable!("a message of more than 2^36 octets"));
}

/// Opens one operation and says whether it was authentic.
pub(crate) fn open(
    scratch: &mut Scratch,
    key: &PortableKey,
    op: &mut Op<'_>,
    segments: &mut [&mut [u8]],
) -> bool {
    if !op.is_scattered() {
        let (nonce, tag) = (op.nonce(), *op.tag);
        return key.open(&nonce, op.aad(), op.payload_mut().into(), &tag);
    }
    scratch.gather(op, segments);
    let authentic = key.open(&op.nonce(), &scratch.aad, scratch.payload.as_mut_slice().into(), op.tag);
    if authentic {
        scratch.scatter(op, segments);
    }
    authentic
}

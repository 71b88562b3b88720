//! What is derived from a CAK, and a CAK from an EAP session (802.1X clauses 6.2, 9.3.3, 9.4.1 and 9.8.1).

use crate::secret::{Cak, Ckn, Ick, Kek, Key, Sak, Salt};
use aes::{Aes128, Aes256};
use cmac::{Cmac, KeyInit, Mac};
use wire::CipherSuite;
use zeroize::Zeroizing;

/// An EAP method's master session key that a CAK of the wanted length cannot be derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the EAP method's MSK has {found} octets where at least {needed} are needed")]
pub struct MskTooShort {
    /// Its octets.
    pub found: usize,
    /// Octets that the key wants: 16 or 32.
    pub needed: usize,
}

impl Cak {
    /// The ICK of the CA that `ckn` names.
    pub fn ick(&self, ckn: &Ckn) -> Ick {
        Ick(self.derive("IEEE8021 ICK", &[&key_id(ckn)], self.is_long()))
    }

    /// The KEK of the CA that `ckn` names.
    pub fn kek(&self, ckn: &Ckn) -> Kek {
        Kek(self.derive("IEEE8021 KEK", &[&key_id(ckn)], self.is_long()))
    }

    /// The SAK of `suite` that a key server numbers `kn`, for the members `mis`, itself among them.
    ///
    /// The nonce is random, fresh for each SAK, and as long as the SAK.
    ///
    /// # Panics
    /// When `ks_nonce` is not as long as the SAK.
    pub fn derive_sak(&self, suite: CipherSuite, ks_nonce: &[u8], mis: &[[u8; 12]], kn: u32) -> Sak {
        assert_eq!(ks_nonce.len(), suite.sak_len(), "octets of the nonce, and of the SAK");
        let context: [&[u8]; 3] = [ks_nonce, mis.as_flattened(), &kn.to_be_bytes()];
        Sak(self.derive("IEEE8021 SAK", &context, suite.sak_len() == 32))
    }

    /// The CAK of two stations between which EAP succeeded: 16 octets, or 32 when `long`.
    ///
    /// The order of the addresses does not matter.
    ///
    /// # Errors
    /// [`MskTooShort`] when the MSK has fewer octets than the CAK.
    pub fn from_msk(msk: &[u8], long: bool, macs: [[u8; 6]; 2]) -> Result<Self, MskTooShort> {
        let [lower, higher] = sorted(macs);
        Ok(Cak(derive(&msk_key(msk, long)?, "IEEE8021 EAP CAK", &[&lower, &higher], long)))
    }

    fn is_long(&self) -> bool {
        self.octets().len() == 32
    }

    fn derive(&self, label: &str, context: &[&[u8]], long: bool) -> Key {
        derive(&self.0, label, context, long)
    }
}

impl Ckn {
    /// The name, of 16 octets, of what [`Cak::from_msk`] makes with the same arguments.
    ///
    /// # Errors
    /// [`MskTooShort`] when the MSK has fewer octets than the CAK.
    pub fn from_msk(
        msk: &[u8],
        long: bool,
        session_id: &[u8],
        macs: [[u8; 6]; 2],
    ) -> Result<Self, MskTooShort> {
        let [lower, higher] = sorted(macs);
        let context: [&[u8]; 3] = [session_id, &lower, &higher];
        Ok(Ckn(kdf::<16>(&msk_key(msk, long)?, "IEEE8021 EAP CKN", &context).to_vec()))
    }
}

impl Ick {
    /// The ICV of an MKPDU whose octets are those of `parts`, one after the other: destination and source,
    /// then all from the Ethertype to before the ICV, without VLAN tags.
    pub fn icv(&self, parts: &[&[u8]]) -> [u8; 16] {
        *cmac(&self.0, parts)
    }

    /// Whether `icv` is that of `parts`; takes as long whichever octet differs.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], icv: &[u8; 16]) -> bool {
        match &self.0 {
            Key::Aes128(key) => absorb::<Cmac<Aes128>>(key, parts).verify(icv.into()).is_ok(),
            Key::Aes256(key) => absorb::<Cmac<Aes256>>(key, parts).verify(icv.into()).is_ok(),
        }
    }
}

impl Salt {
    /// The salt of the XPN SAK that the key server with member identifier `mi` numbers `kn` (802.1X clause 9.10).
    pub fn for_sak(mi: [u8; 12], kn: u32) -> Self {
        let mut salt = mi;
        // The low half of the key number comes first.
        let number = kn.rotate_left(16).to_be_bytes();
        for (octet, n) in salt.iter_mut().zip(number) {
            *octet ^= n;
        }
        Salt(salt)
    }
}

/// The first 16 octets of the name, zeros after a shorter one.
fn key_id(ckn: &Ckn) -> [u8; 16] {
    let mut id = [0; 16];
    let len = ckn.octets().len().min(16);
    id[..len].copy_from_slice(&ckn.octets()[..len]);
    id
}

fn sorted(mut macs: [[u8; 6]; 2]) -> [[u8; 6]; 2] {
    macs.sort_unstable();
    macs
}

/// The octets of the MSK that derivations use: as many as the CAK has.
fn msk_key(msk: &[u8], long: bool) -> Result<Key, MskTooShort> {
    let needed = if long { 32 } else { 16 };
    let short = MskTooShort { found: msk.len(), needed };
    Key::from_octets(msk.get(..needed).ok_or(short)?).map_err(|_| short)
}

fn derive(key: &Key, label: &str, context: &[&[u8]], long: bool) -> Key {
    if long { Key::Aes256(*kdf(key, label, context)) } else { Key::Aes128(*kdf(key, label, context)) }
}

/// The KDF of 802.1X clause 6.2.1: CMAC in counter mode, its context given in parts.
pub(crate) fn kdf<const N: usize>(key: &Key, label: &str, context: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N > 0 && N * 8 <= u16::MAX as usize && N.div_ceil(16) <= u8::MAX as usize) };
    let bits = ((N * 8) as u16).to_be_bytes();
    let mut out = Zeroizing::new([0; N]);
    for (counter, block) in (1u8..).zip(out.chunks_mut(16)) {
        let counter = [counter];
        let mut parts = vec![&counter[..], label.as_bytes(), &[0]];
        parts.extend(context);
        parts.push(&bits);
        block.copy_from_slice(&cmac(key, &parts)[..block.len()]);
    }
    out
}

/// AES-CMAC of all parts in a row. As secret as what it is made for.
fn cmac(key: &Key, parts: &[&[u8]]) -> Zeroizing<[u8; 16]> {
    Zeroizing::new(match key {
        Key::Aes128(key) => absorb::<Cmac<Aes128>>(key, parts).finalize().into_bytes().into(),
        Key::Aes256(key) => absorb::<Cmac<Aes256>>(key, parts).finalize().into_bytes().into(),
    })
}

fn absorb<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("a key as long as the cipher's");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

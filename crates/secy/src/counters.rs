//! Counters, by the names of 802.1AE clause 10.7.
//!
//! One worker writes, anybody reads: a plain load, add and store, without a locked instruction.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wire::An;

/// A counter with a single writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning worker may call this; a second writer would lose counts.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Adds one.
    #[inline(always)]
    pub fn inc(&self) {
        self.add(1);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident = $std:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        #[repr(align(64))]
        pub struct $name {
            $($(#[$field_doc])* pub $field: Counter,)+
        }

        impl $name {
            /// Each counter's name in the standard and its value.
            pub fn values(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($std, self.$field.get()),)+].into_iter()
            }
        }

        impl $name {
            /// Adds all counts of `other`. Only the owning worker may call this.
            #[allow(dead_code)]
            pub(crate) fn absorb(&self, other: &Self) {
                $(self.$field.add(other.$field.get());)+
            }
        }
    };
}

counters! {
    /// Of a transmit half.
    TxSecYCounters {
        /// Frames sent without a SecTAG because protectFrames is off.
        out_pkts_untagged = "OutPktsUntagged",
        /// Frames dropped: too long for the line once protected.
        out_pkts_too_long = "OutPktsTooLong",
        /// Frames dropped: no transmit SA is in use. Beyond the standard, which has no such state.
        out_pkts_no_sa = "OutPktsNoSA",
        /// Frames dropped: no packet number may be used. Beyond the standard.
        out_pkts_no_pn = "OutPktsNoPN",
        /// Frames dropped: shorter than an Ethernet header, or without room for tag and ICV. Beyond the standard.
        out_pkts_malformed = "OutPktsMalformed",
    }
}

counters! {
    /// Of one transmit SA, or summed over a transmit SC.
    TxSaCounters {
        /// Frames sent with integrity only.
        out_pkts_protected = "OutPktsProtected",
        /// Frames sent encrypted.
        out_pkts_encrypted = "OutPktsEncrypted",
        /// Octets of user data sent with integrity only.
        out_octets_protected = "OutOctetsProtected",
        /// Octets of user data sent encrypted.
        out_octets_encrypted = "OutOctetsEncrypted",
    }
}

counters! {
    /// Of a receive half.
    RxSecYCounters {
        /// Frames delivered without a SecTAG, validateFrames not being strict.
        in_pkts_untagged = "InPktsUntagged",
        /// Frames dropped: no SecTAG where validateFrames is strict, or too short for an EtherType.
        in_pkts_no_tag = "InPktsNoTag",
        /// Frames dropped: SecTAG malformed.
        in_pkts_bad_tag = "InPktsBadTag",
        /// Frames delivered though no receive SC has their SCI.
        in_pkts_unknown_sci = "InPktsUnknownSCI",
        /// Frames dropped: no receive SC has their SCI.
        in_pkts_no_sci = "InPktsNoSCI",
        /// Frames dropped: in more pieces than one operation may have.
        in_pkts_overrun = "InPktsOverrun",
        /// EAPOL frames set aside for key agreement. Beyond the standard, where they take the other port.
        in_pkts_eapol = "InPktsEapol",
    }
}

counters! {
    /// Of one receive SA, or summed over a receive SC.
    RxSaCounters {
        /// Frames delivered unchecked, validateFrames being disabled.
        in_pkts_unchecked = "InPktsUnchecked",
        /// Frames delivered with a PN below the lowest acceptable, replayProtect being off.
        in_pkts_delayed = "InPktsDelayed",
        /// Frames delivered, authentic and in time.
        in_pkts_ok = "InPktsOK",
        /// Frames delivered though not authentic, validateFrames being check.
        in_pkts_invalid = "InPktsInvalid",
        /// Frames dropped: PN below the lowest acceptable.
        in_pkts_late = "InPktsLate",
        /// Frames dropped: not authentic, or encrypted where validateFrames is disabled.
        in_pkts_not_valid = "InPktsNotValid",
        /// Frames dropped: no SA is in use for their AN.
        in_pkts_not_using_sa = "InPktsNotUsingSA",
        /// Frames delivered though no SA is in use for their AN.
        in_pkts_unused_sa = "InPktsUnusedSA",
        /// Octets of user data received with integrity only.
        in_octets_validated = "InOctetsValidated",
        /// Octets of user data received encrypted.
        in_octets_decrypted = "InOctetsDecrypted",
    }
}

/// Counters of a transmit SC beyond those of the SAs in place.
#[derive(Debug, Default)]
pub struct TxScCounters {
    /// Sums of the SAs that are gone.
    pub retired: TxSaCounters,
}

/// Counters of a receive SC beyond those of the SAs in place.
#[derive(Debug, Default)]
pub struct RxScCounters {
    /// Sums of the SAs that are gone.
    pub retired: RxSaCounters,
    /// Frames of ANs without an SA: only `InPktsNotUsingSA` and `InPktsUnusedSA` move here.
    pub without_sa: [RxSaCounters; An::COUNT],
}

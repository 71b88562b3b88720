//! A CA (connectivity association) as its MKPDUs tell it to whoever has the CAK and only listens: who is in it,
//! and which SAKs its key servers gave out.
//!
//! Nothing is sent and no state is kept of who is live: a capture is read as a whole.

use keys::{Ick, Kek, Sak, Salt, UnwrapError};
use wire::{
    An, CipherSuite, ConfidentialityOffset, DistributedSak, DistributedSakForm, MemberId, Mkpdu,
    ParameterSet, PeerList, Sci, Ssci,
};

/// What the ICV of an MKPDU says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icv {
    /// The sender has the CAK.
    Right,
    /// It has not, or the MKPDU was changed on the way.
    Wrong,
    /// The MKPDU names another CAK, so nothing can be said.
    OtherCak,
}

/// Why a Distributed SAK gives no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSak {
    /// The key server wants frames unprotected.
    #[error("none is distributed: frames go unprotected")]
    PlainText,
    /// A cipher suite that is not among the four.
    #[error("for a cipher suite that is not known here, {0:016x}")]
    Suite(u64),
    /// It does not unwrap.
    #[error("{0}")]
    Unwrap(#[from] UnwrapError),
}

/// A SAK as one MKPDU distributes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// The key server.
    pub key_server: MemberId,
    /// The SAK's number with that key server.
    pub kn: u32,
    /// What it is to be used with.
    pub an: An,
    /// What it is for.
    pub suite: CipherSuite,
    /// What encrypted frames leave in the clear; `None` where frames are not to be encrypted.
    pub offset: Option<ConfidentialityOffset>,
    /// The key.
    pub sak: Sak,
    /// The live peers of the key server, in the order of its list.
    peers: Vec<MemberId>,
    /// The SSCI of the key server, where it numbered the members by its list; else 0.
    key_server_ssci: u8,
}

impl Distribution {
    /// The salt, which only XPN suites have.
    pub fn salt(&self) -> Option<Salt> {
        self.suite.is_xpn().then(|| Salt::for_sak(self.key_server.0, self.kn))
    }

    /// Who is to use it, the key server first.
    pub fn members(&self) -> impl Iterator<Item = MemberId> + '_ {
        std::iter::once(self.key_server).chain(self.peers.iter().copied())
    }
}

/// What an MKPDU says to whoever has the CAK.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Whether to believe it.
    pub icv: Icv,
    /// The SAK in it, if it has a Distributed SAK and a right ICV.
    pub sak: Option<Result<Distribution, NoSak>>,
}

/// The keys that MKPDUs of a CA are read with.
#[derive(Debug)]
pub struct CaKeys {
    ckn: keys::Ckn,
    ick: Ick,
    kek: Kek,
}

impl CaKeys {
    /// Derives them.
    pub fn new(cak: &keys::Cak, ckn: &keys::Ckn) -> Self {
        CaKeys { ckn: ckn.clone(), ick: cak.ick(ckn), kek: cak.kek(ckn) }
    }

    /// Checks the ICV, and unwraps what is in it.
    pub fn hear(&self, mkpdu: &Mkpdu<'_>) -> Heard {
        let icv = match mkpdu.basic().ckn.octets() == self.ckn.octets() {
            false => Icv::OtherCak,
            true if self.ick.verify(&mkpdu.authenticated(), mkpdu.icv()) => Icv::Right,
            true => Icv::Wrong,
        };
        let sak = (icv == Icv::Right).then(|| self.distribution(mkpdu)).flatten();
        Heard { icv, sak }
    }

    fn distribution(&self, mkpdu: &Mkpdu<'_>) -> Option<Result<Distribution, NoSak>> {
        let sak = mkpdu.sets().find_map(|set| match set {
            ParameterSet::DistributedSak(sak) => Some(sak),
            _ => None,
        })?;
        let live = mkpdu.sets().find_map(|set| match set {
            ParameterSet::LivePeerList(list) => Some(list),
            _ => None,
        });
        Some(self.unwrap(mkpdu.basic().mi, &sak, live))
    }

    fn unwrap(
        &self,
        key_server: MemberId,
        distributed: &DistributedSak<'_>,
        live: Option<PeerList<'_>>,
    ) -> Result<Distribution, NoSak> {
        let (kn, suite, wrapped) = match distributed.form {
            DistributedSakForm::PlainText => return Err(NoSak::PlainText),
            DistributedSakForm::GcmAes128 { kn, wrapped } => (kn, CipherSuite::GcmAes128, &wrapped[..]),
            DistributedSakForm::Suite { kn, suite, wrapped } => {
                (kn, suite.map_err(NoSak::Suite)?, wrapped.octets())
            }
        };
        Ok(Distribution {
            key_server,
            kn,
            an: distributed.an,
            suite,
            offset: distributed.confidentiality_offset,
            sak: self.kek.unwrap_sak(wrapped)?,
            peers: live.iter().flat_map(|list| list.iter()).map(|(mi, _)| mi).collect(),
            key_server_ssci: live.map_or(0, PeerList::key_server_ssci),
        })
    }
}

/// What was learnt of a CA from all its MKPDUs in a capture.
#[derive(Debug, Default)]
pub struct Association {
    /// Who sends with which SCI. A station that starts anew is in it once more.
    stations: Vec<(MemberId, Sci)>,
    /// Each SAK once for each set of members, with the number of the frame that had it first.
    distributions: Vec<(u64, Distribution)>,
    /// MKPDUs by their [`Icv`].
    heard: [u64; 3],
}

impl Association {
    /// Takes in what was heard in frame `number`.
    pub fn learn(&mut self, number: u64, mkpdu: &Mkpdu<'_>, heard: Heard) {
        self.heard[heard.icv as usize] += 1;
        if heard.icv != Icv::Right {
            return;
        }
        let station = (mkpdu.basic().mi, mkpdu.basic().sci);
        if !self.stations.contains(&station) {
            self.stations.push(station);
        }
        if let Some(Ok(sak)) = heard.sak
            && !self.distributions.iter().any(|(_, known)| *known == sak)
        {
            self.distributions.push((number, sak));
        }
    }

    /// MKPDUs whose ICV was so.
    pub fn heard(&self, icv: Icv) -> u64 {
        self.heard[icv as usize]
    }

    /// The SAKs, each with the number of the frame that distributed it first, in that order.
    pub fn distributions(&self) -> &[(u64, Distribution)] {
        &self.distributions
    }

    /// How many SAKs there are, however often each was distributed.
    pub fn saks(&self) -> u64 {
        let name = |d: &Distribution| (d.key_server, d.kn);
        let mut names: Vec<_> = self.distributions.iter().map(|(_, d)| name(d)).collect();
        names.sort_unstable();
        names.dedup();
        names.len() as u64
    }

    /// The SCIs of all stations, each once.
    pub fn scis(&self) -> Vec<Sci> {
        let mut scis: Vec<_> = self.stations.iter().map(|(_, sci)| *sci).collect();
        scis.sort_unstable();
        scis.dedup();
        scis
    }

    /// The SCI that a member sends with, if an MKPDU of its own told it.
    pub fn sci(&self, member: MemberId) -> Option<Sci> {
        self.stations.iter().find(|(mi, _)| *mi == member).map(|(_, sci)| *sci)
    }

    /// The SSCIs that `sci` may have under an XPN SAK, the likeliest first; none where it is no member.
    ///
    /// By the order of the key server's list where it says so, else by SCI: the greatest has 1 (802.1AE clause
    /// 10.7.13). There is more than one where the SCI of a member is not known, or two members have the same.
    pub fn sscis(&self, distribution: &Distribution, sci: Sci) -> Vec<Ssci> {
        let is = |member| self.sci(member) == Some(sci);
        if distribution.key_server_ssci != 0 {
            let own = u32::from(distribution.key_server_ssci);
            let numbers = std::iter::once(own).chain((1..).filter(|n| *n != own));
            let members = distribution.members().zip(numbers);
            return members.filter(|(member, _)| is(*member)).map(|(_, n)| Ssci(n)).collect();
        }
        let mut scis: Vec<_> = distribution.members().filter_map(|member| self.sci(member)).collect();
        let unknown = distribution.members().count() - scis.len();
        scis.sort_unstable_by(|a, b| b.cmp(a));
        let Some(first) = scis.iter().position(|s| *s == sci) else { return Vec::new() };
        let same = scis.iter().filter(|s| **s == sci).count();
        (first..first + same + unknown).map(|place| Ssci(place as u32 + 1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sci(n: u64) -> Sci {
        Sci::from_bytes(n.to_be_bytes())
    }

    fn mi(n: u8) -> MemberId {
        MemberId([n; 12])
    }

    fn xpn(key_server_ssci: u8, peers: &[u8]) -> Distribution {
        Distribution {
            key_server: mi(1),
            kn: 1,
            an: An::ALL[0],
            suite: CipherSuite::GcmAesXpn128,
            offset: Some(ConfidentialityOffset::None),
            sak: Sak::from_octets(&[7; 16]).unwrap(),
            peers: peers.iter().map(|n| mi(*n)).collect(),
            key_server_ssci,
        }
    }

    fn association(members: &[(u8, u64)]) -> Association {
        let stations = members.iter().map(|(m, s)| (mi(*m), sci(*s))).collect();
        Association { stations, ..Association::default() }
    }

    fn sscis(association: &Association, distribution: &Distribution, scis: &[u64]) -> Vec<Vec<u32>> {
        let of = |s: &u64| association.sscis(distribution, sci(*s)).iter().map(|n| n.0).collect();
        scis.iter().map(of).collect()
    }

    #[test]
    fn the_greatest_sci_is_number_one() {
        let three = association(&[(1, 20), (2, 30), (3, 10), (4, 99)]);
        assert_eq!(
            sscis(&three, &xpn(0, &[2, 3]), &[30, 20, 10, 99, 5]),
            [vec![1], vec![2], vec![3], vec![], vec![]]
        );
        assert_eq!(sscis(&three, &xpn(0, &[]), &[20, 30]), [vec![1], vec![]]);
    }

    #[test]
    fn the_list_numbers_where_the_key_server_says_its_own() {
        let three = association(&[(1, 20), (2, 30), (3, 10)]);
        assert_eq!(sscis(&three, &xpn(2, &[3, 2]), &[20, 10, 30]), [[2], [1], [3]]);
        assert_eq!(sscis(&three, &xpn(1, &[3, 2]), &[20, 10, 30]), [[1], [2], [3]]);
        assert_eq!(sscis(&three, &xpn(3, &[3, 2]), &[20, 10, 30]), [[3], [1], [2]]);
        // Whoever is not known has its number all the same.
        assert_eq!(sscis(&three, &xpn(3, &[9, 2]), &[20, 30]), [[3], [2]]);
    }

    #[test]
    fn members_that_are_not_known_leave_several_numbers() {
        let two = association(&[(1, 20), (2, 10)]);
        assert_eq!(sscis(&two, &xpn(0, &[2, 9]), &[20, 10]), [[1, 2], [2, 3]]);
        // A station that started anew, and is listed as what it was and as what it is.
        let again = association(&[(1, 20), (2, 10), (3, 30), (4, 30)]);
        assert_eq!(sscis(&again, &xpn(0, &[2, 3, 4]), &[30, 20, 10]), [vec![1, 2], vec![3], vec![4]]);
    }

    #[test]
    fn the_salt_is_that_of_the_key_server_and_number() {
        assert_eq!(xpn(0, &[]).salt().unwrap(), Salt::for_sak([1; 12], 1));
        assert_eq!(Distribution { suite: CipherSuite::GcmAes128, ..xpn(0, &[]) }.salt(), None);
    }
}

//! Published vectors and captures, to the octet.

use super::*;
use testkit::Vector;

fn setup(v: &Vector) -> Setup {
    let tag = v.tag.unwrap();
    Setup {
        suite: v.suite,
        sak: v.sak.clone(),
        sci: v.sci,
        xpn: v.xpn.map(|(ssci, salt)| Xpn { ssci, salt }),
        an: tag.an,
        tx_pn: v.pn,
        rx_pn: v.pn,
        encrypt: tag.tci.encrypted(),
        sci_mode: if tag.sci.is_some() { SciMode::Explicit } else { SciMode::EndStation },
        clear_vlan_tags: v.clear_vlan_tags,
        ..Setup::default()
    }
}

/// Protecting gives the protected frame, verifying the plain one, and no octet can be changed.
fn holds(v: &Vector) {
    let setup = setup(v);
    let protected = protect(&mut setup.tx(), std::slice::from_ref(&v.plain));
    assert_eq!(hex::encode(&protected[0]), hex::encode(&v.protected), "{}", v.id);
    let mut rx = setup.rx();
    assert_eq!(verify(&mut rx, &protected), [&v.plain[..]], "{}", v.id);
    assert_eq!(moved(&rx), [("InPktsOK", 1)], "{}", v.id);

    for bit in 0..v.protected.len() * 8 {
        let vlan = 12..12 + 4 * v.clear_vlan_tags;
        if vlan.contains(&(bit / 8)) {
            continue; // Not authenticated, by design.
        }
        let mut spoilt = v.protected.clone();
        spoilt[bit / 8] ^= 1 << (bit % 8);
        let mut rx = setup.rx();
        assert!(verify(&mut rx, &[spoilt]).is_empty(), "{}: bit {bit}", v.id);
        assert_eq!(moved(&rx).iter().map(|(_, n)| n).sum::<u64>(), 1, "{}: bit {bit}", v.id);
    }
}

#[test]
fn annex_c() {
    let all = testkit::annex_c();
    assert_eq!(all.len(), 32);
    all.iter().for_each(holds);
}

#[test]
fn clear_vlan_tags() {
    let all = testkit::dpdk("list_mcs_vlan_vectors");
    assert_eq!(all.iter().map(|v| v.clear_vlan_tags).collect::<Vec<_>>(), [0, 1, 2]);
    all.iter().for_each(holds);
}

#[test]
fn linux_kernel_frames() {
    let all = testkit::linux_kernel();
    assert_eq!(all.len(), 4);
    all.iter().for_each(holds);
}

#[test]
fn cipher_and_rekey_vectors() {
    for list in ["list_mcs_rekey_vectors", "list_mcs_anti_replay_vectors"] {
        testkit::dpdk(list).iter().for_each(holds);
    }
}

#[test]
fn malformed_tags() {
    for v in
        testkit::dpdk("list_mcs_bad_tag_vectors").iter().chain(&testkit::dpdk("list_mcs_intr_test_vectors"))
    {
        let mut rx = Setup { sak: v.sak.clone(), sci: v.sci, ..Setup::default() }.rx();
        assert!(verify(&mut rx, std::slice::from_ref(&v.protected)).is_empty(), "{}", v.id);
        assert_eq!(moved(&rx), [("InPktsBadTag", 1)], "{}", v.id);
    }
}

#[test]
fn wrong_ciphertext_and_no_tag() {
    let v = &testkit::dpdk("list_mcs_err_cipher_vectors")[0];
    let mut rx = setup(v).rx();
    assert!(verify(&mut rx, std::slice::from_ref(&v.protected)).is_empty());
    assert_eq!(moved(&rx), [("InPktsNotValid", 1)]);

    let v = &testkit::dpdk("list_mcs_untagged_cipher_vectors")[0];
    let mut rx = Setup::default().rx();
    assert!(verify(&mut rx, std::slice::from_ref(&v.protected)).is_empty());
    assert_eq!(moved(&rx), [("InPktsNoTag", 1)]);
}

/// The order of DPDK's sequences: PN 2, 75, 50, 3, and 2^32-2, 2^32+98, 2^32+88, 2^32+2.
#[test]
fn anti_replay_sequences() {
    let all = testkit::dpdk("list_mcs_anti_replay_vectors");
    for sequence in all.chunks(4) {
        for (window, ok) in [(0, 2), (32, 3), (u64::from(u32::MAX), 4)] {
            let setup = Setup { replay_window: window, ..setup(&sequence[0]) };
            for together in [true, false] {
                let mut rx = setup.rx();
                let frames: Vec<_> = sequence.iter().map(|v| v.protected.clone()).collect();
                let delivered = if together {
                    verify(&mut rx, &frames)
                } else {
                    frames.iter().flat_map(|f| verify(&mut rx, std::slice::from_ref(f))).collect()
                };
                assert_eq!(delivered.len(), ok, "window {window}");
                let late = 4 - ok as u64;
                let mut want = vec![("InPktsOK", ok as u64), ("InPktsLate", late)];
                want.retain(|(_, n)| *n > 0);
                assert_eq!(moved(&rx), want, "{} window {window}", sequence[0].id);
            }
        }
    }
}

#[test]
fn rekey_pairs() {
    let all = testkit::dpdk("list_mcs_rekey_vectors");
    for pair in all.chunks(2) {
        let (old, new) = (setup(&pair[0]), setup(&pair[1]));
        let mut rx = old.rx();
        let install = Command::InstallRxSa { sci: new.sci, an: new.an, sa: new.rx_sa() };
        assert!(rx.apply(install).is_none());
        // Both keys at once, in one burst and in either order.
        let frames = [pair[1].protected.clone(), pair[0].protected.clone()];
        assert_eq!(verify(&mut rx, &frames), [&pair[1].plain[..], &pair[0].plain]);
        assert_eq!(moved(&rx), [("InPktsOK", 2)]);

        let mut tx = old.tx();
        assert!(tx.apply(Command::InstallTxSa { an: new.an, sa: new.tx_sa() }).is_none());
        assert_eq!(protect(&mut tx, std::slice::from_ref(&pair[0].plain)), [&pair[0].protected[..]]);
        assert!(tx.apply(Command::EncodeWith(Some(new.an))).is_none());
        assert_eq!(protect(&mut tx, std::slice::from_ref(&pair[1].plain)), [&pair[1].protected[..]]);
    }
}

/// Every frame of a real link verifies, and protecting it again gives the captured octets.
#[test]
fn captures_of_real_links() {
    for capture in testkit::static_captures() {
        let setups: Vec<_> = capture
            .channels
            .iter()
            .map(|c| Setup {
                suite: capture.suite,
                sak: c.sak.clone(),
                sci: c.sci,
                xpn: c.xpn.map(|(ssci, salt)| Xpn { ssci, salt }),
                an: c.an,
                tx_pn: c.first_pn,
                rx_pn: c.first_pn,
                ..Setup::default()
            })
            .collect();
        let mut rx = setups[0].rx();
        for s in &setups[1..] {
            assert!(rx.apply(Command::AddRxSc(RxSc::new(s.sci))).is_none());
            assert!(rx.apply(Command::InstallRxSa { sci: s.sci, an: s.an, sa: s.rx_sa() }).is_none());
        }
        let mut txs: Vec<_> = setups.iter().map(Setup::tx).collect();
        let (mut tagged, mut untagged) = (0, 0);
        for f in &capture.frames {
            let plain = verify(&mut rx, std::slice::from_ref(&f.octets));
            if f.octets[12..14] != [0x88, 0xe5] {
                // The kernels' own chatter beside MACsec.
                assert!(plain.is_empty());
                untagged += 1;
                continue;
            }
            tagged += 1;
            let sci = Sci::from_bytes(f.octets[20..28].try_into().unwrap());
            let end = setups.iter().position(|s| s.sci == sci).unwrap();
            assert_eq!(protect(&mut txs[end], &plain), [&f.octets[..]]);
        }
        assert!(tagged >= 50 && untagged > 0, "{tagged} {untagged}");
        assert_eq!(moved(&rx), [("InPktsNoTag", untagged), ("InPktsOK", tagged)]);
    }
}

#[test]
fn foreign_captures_are_judged_without_their_keys() {
    let verdicts: Vec<_> = testkit::foreign_captures()
        .into_iter()
        .map(|(name, frames)| {
            let mut rx = Setup { validate_frames: ValidateFrames::Check, ..Setup::default() }.rx();
            verify(&mut rx, &frames.iter().map(|f| f.octets.clone()).collect::<Vec<_>>());
            let verdicts: Vec<_> = moved(&rx).into_iter().map(|(name, _)| name).collect();
            (name, verdicts.join(" "))
        })
        .collect();
    let want = [
        // C without E, which no GCM-AES suite makes.
        ("macsec-changed.pcap", "InPktsBadTag"),
        ("macsec-encrypted.pcap", "InPktsNoSCI"),
        ("macsec-integonly.pcap", "InPktsUnknownSCI"),
        ("macsec-short-longer.pcap", "InPktsUnknownSCI"),
        ("macsec-short-shorter.pcap", "InPktsBadTag"),
        ("macsec-short-valid.pcap", "InPktsUnknownSCI"),
        ("macsec-snap.pcap", "InPktsBadTag"),
    ];
    let verdicts: Vec<_> = verdicts.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(verdicts, want);
}

//! `bench`, which is another program.

use crate::support::{Dir, PROGRAM, Running};

#[test]
fn without_the_other_program_it_says_where_to_get_it() {
    let dir = Dir::new();
    let copy = dir.install(PROGRAM, "macsec-gw");
    let ended = Running::start(dir.command(copy, &["bench", "gcm", "--json"])).end();
    ended.assert(1, &["/macsec-gw-bench: not there", "cargo build --release"]);
    assert!(ended.stderr.contains(dir.path("macsec-gw-bench").to_str().unwrap()), "{ended:#?}");
    assert!(ended.stdout.is_empty(), "{ended:#?}");
}

#[test]
fn the_other_program_gets_all_arguments_and_gives_the_exit_status() {
    let dir = Dir::new();
    let copy = dir.install(PROGRAM, "macsec-gw");
    dir.write("script", "#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 7\n");
    dir.install("script", "macsec-gw-bench");
    for (arguments, passed) in [
        (
            &["bench", "gcm", "--octets", "48,imix", "-x", "--", "a b"][..],
            "<gcm><--octets><48,imix><-x><--><a b>",
        ),
        (&["bench", "--help"], "<--help>"),
        (&["bench", "gcm", "--log", "loud"], "<gcm><--log><loud>"),
        (&["--log", "error", "bench", "help"], "<help>"),
    ] {
        let ended = Running::start(dir.command(&copy, arguments)).end();
        ended.assert(7, &[]);
        assert_eq!(ended.stdout, passed, "{ended:#?}");
    }
    dir.mode("macsec-gw-bench", 0o644);
    Running::start(dir.command(&copy, &["bench"])).end().assert(1, &["cannot run", "ermission denied"]);
}

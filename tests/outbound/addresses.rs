//! Rows C8 and C10: where requests must not lead, however they are written.

use super::{GUESTS, HELLO, fetch, server};
use crate::support::origin::Origin;

#[test]
fn c8_what_is_not_public_is_reached_only_if_it_was_granted_by_address() {
    for guest in GUESTS {
        let origin = Origin::saying(HELLO);
        let any = format!("http://*:{}", origin.port);
        let server_of_any = server(guest, &[&any], &["--max-outbound-time", "5s"]);
        for host in [
            "127.0.0.1",
            "127.1",
            "127.9.9.9",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "localhost",
            "localhost.",
            "LOCALHOST",
            "0.0.0.0",
            "0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            let said = fetch(&server_of_any, &format!("{host}:{}", origin.port), "");
            let refused =
                ["DestinationIpProhibited", "HttpRequestUriInvalid", "DnsError", "no authority"];
            assert!(refused.iter().any(|code| said.contains(code)), "{guest} {host}: {said}");
        }
        assert_eq!(origin.connections(), 0, "{guest}");
        server_of_any.wait_for_log("its address is not public; grant it by address, too");
        let name = format!("http://localhost:{}", origin.port);
        let by_address = server(guest, &[&name, "127.0.0.0/8"], &[]);
        let said = fetch(&by_address, &format!("localhost:{}", origin.port), "");
        assert!(said.contains("hello"), "{guest}: {said}");
        assert!(origin.told().contains(&format!("host: localhost:{}\r\n", origin.port)));
    }
}

#[test]
fn c8_a_servers_own_port_is_no_way_around_what_is_refused() {
    for guest in GUESTS {
        let server = server(guest, &["http://*", "http://localhost"], &[]);
        let own = server.address;
        for host in [own.to_string(), format!("localhost:{}", own.port())] {
            let said = fetch(&server, &host, "");
            assert!(said.contains("HttpRequestDenied"), "{guest} {host}: {said}");
        }
    }
}

#[test]
fn c10_the_authority_that_is_checked_is_the_one_that_is_sent() {
    for guest in GUESTS {
        let (good, evil) = (Origin::saying(HELLO), Origin::saying(HELLO));
        let server = server(guest, &[&good.grant()], &[]);
        let (to, other) = (good.authority(), evil.authority());
        // What a path may be is still a path to the server that was checked.
        for path in ["//EVIL/x", "/http://EVIL/", "/@EVIL", "/x:@EVIL"] {
            let path = path.replace("EVIL", &other);
            let said = fetch(&server, &to, &format!("&path={path}"));
            // The bindings of one version take less than those of the other.
            if !said.contains("hello") {
                assert!(said.contains("no path") || said.contains("Invalid"), "{guest}: {said}");
                continue;
            }
            let head = good.told();
            assert!(head.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{head}");
            assert!(head.contains(&format!("host: {to}\r\n")), "{head}");
        }
        for path in [
            "http://EVIL/",
            "@EVIL/",
            ":80@EVIL/",
            "\\\\EVIL/",
            "*",
            "/x%0d%0aHost: EVIL",
            "/x%20HTTP/1.1%0d%0aX: EVIL",
            "/%c3",
        ] {
            let path = path.replace("EVIL", &other);
            let said = fetch(&server, &to, &format!("&path={}", path.replace(' ', "%20")));
            assert!(!said.contains("hello"), "{guest} {path}: {said}");
        }
        for authority in [
            "GOOD@EVIL",
            "user:password@GOOD",
            "EVIL%23@GOOD",
            "EVIL%5c@GOOD",
            "GOOD%0d%0aHost:%20EVIL",
            "GOOD/EVIL",
            "",
        ] {
            let authority = authority.replace("GOOD", &to).replace("EVIL", &other);
            let said = fetch(&server, &authority, "");
            assert!(!said.contains("hello"), "{guest} {authority}: {said}");
        }
        for header in ["host", "Host", "connection", "transfer-encoding", "upgrade"] {
            let said = fetch(&server, &to, &format!("&header={header}:{other}"));
            assert!(said.contains("Forbidden"), "{guest} {header}: {said}");
        }
        for scheme in ["ftp", "file", "ws"] {
            let said = fetch(&server, &to, &format!("&scheme={scheme}"));
            assert!(!said.contains("hello"), "{guest} {scheme}: {said}");
        }
        for method in ["CONNECT", "TRACE"] {
            let said = fetch(&server, &to, &format!("&method={method}"));
            assert!(!said.contains("hello"), "{guest} {method}: {said}");
        }
        assert_eq!(evil.connections(), 0, "{guest}");
        assert!(fetch(&server, &to, "").contains("hello"), "{guest}");
    }
}

/// GHSA-w36r: a long URL was a crash of the host.
#[test]
fn a_url_without_end_is_refused() {
    for guest in GUESTS {
        let origin = Origin::saying(HELLO);
        let server = server(guest, &[&origin.grant()], &[]);
        let long = |length: usize| {
            let target = format!("/fetch-long?length={length}&to={}", origin.authority());
            server.get(&target).text().to_owned()
        };
        assert!(long(8_000).contains("hello"), "{guest}");
        assert_eq!(long(9_000).trim(), "ErrorCode::HttpRequestUriTooLong", "{guest}");
        for length in [65_533, 65_534, 65_535, 65_536, 100_000, 1_000_000] {
            assert!(!long(length).contains("hello"), "{guest} {length}");
        }
        assert_eq!(server.get("/hello").status, 200);
    }
}

/// GHSA-w4qr: a timeout of zero was a panic of the host.
#[test]
fn times_of_zero_and_without_end_are_times() {
    for guest in GUESTS {
        let origin = Origin::saying(HELLO);
        let server = server(guest, &[&origin.grant()], &[]);
        for time in ["connect", "first", "between"] {
            let said = fetch(&server, &origin.authority(), &format!("&{time}=0"));
            let good = said.contains("hello") || said.contains("Timeout");
            assert!(good, "{guest} {time}: {said}");
        }
        let said = fetch(&server, &origin.authority(), "&connect=0&first=0&between=0");
        assert!(said.contains("hello") || said.contains("Timeout"), "{guest}: {said}");
        let said = fetch(&server, &origin.authority(), "&connect=max&first=max&between=max");
        assert!(said.contains("hello\nwhole"), "{guest}: {said}");
    }
}

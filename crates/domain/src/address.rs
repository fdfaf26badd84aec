//! IP addresses as texts: those of hosts, which are stored in one spelling so that equal addresses are equal texts, and those in
//! the bind rows of processes, which are kept as sent and only checked.

use crate::fault::{Cause, Fault, Reason, quoted};
use crate::json::{FieldPath, Json};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// The addresses in one field of a host, each in its stored spelling, none twice. Printed as answered: joined by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostAddresses(Vec<String>);

/// More than any machine carries; it bounds the uniqueness checks of one host.
const MAX_ADDRESSES: usize = 64;

impl HostAddresses {
    /// Reads a comma-joined text or a list of texts; null and a blank text are no address at all (`topology` 4).
    pub fn parse(value: &Json, family: Family, at: &FieldPath) -> Result<Self, Vec<Fault>> {
        let mut pieces = Vec::new();
        let mut faults = Vec::new();
        match value {
            Json::Null => {}
            Json::Text(text) if text.trim().is_empty() => {}
            Json::Text(text) => pieces.extend(text.split(',').map(|piece| (at.clone(), piece))),
            Json::List(elements) => {
                for (i, element) in elements.iter().enumerate() {
                    match element {
                        Json::Text(text) => pieces.push((at.index(i), text.as_str())),
                        other => faults.push(wrong_type(at.index(i), "string", other)),
                    }
                }
            }
            other => faults.push(wrong_type(at.clone(), "string", other)),
        }
        let mut addresses: Vec<String> = Vec::new();
        if pieces.len() > MAX_ADDRESSES {
            faults.push(Fault::new(Cause::ParamUnusable, at.clone()).because(Reason::TooMany { max: MAX_ADDRESSES }));
            pieces.clear();
        }
        for (at, piece) in pieces {
            match stored(piece.trim(), family) {
                Some(address) if addresses.contains(&address) => {}
                Some(address) => addresses.push(address),
                None => {
                    faults.push(Fault::new(Cause::ParamUnusable, at).because(Reason::IpSyntax { value: quoted(piece) }))
                }
            }
        }
        if faults.is_empty() { Ok(Self(addresses)) } else { Err(faults) }
    }

    /// The addresses of a field as it is stored.
    pub fn of_stored(text: &str) -> Self {
        Self(text.split(',').filter(|piece| !piece.is_empty()).map(str::to_owned).collect())
    }

    /// Each address.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Whether there is no address.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for HostAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

fn wrong_type(at: FieldPath, want: &'static str, got: &Json) -> Fault {
    Fault::new(Cause::ParamUnusable, at).because(Reason::WrongType { want, got: got.kind() })
}

/// An address of a host in its stored spelling; `None` if it is none of this family.
pub fn stored(text: &str, family: Family) -> Option<String> {
    match family {
        Family::V4 => text.parse::<Ipv4Addr>().ok().map(|address| address.to_string()),
        Family::V6 => expand_v6(text),
    }
}

/// The full form of an IPv6 address: eight groups of four digits in lower case. Addresses that carry an IPv4 one end in its dotted
/// form, however they were written, so that one address has one text.
pub fn expand_v6(text: &str) -> Option<String> {
    let address: Ipv6Addr = text.parse().ok()?;
    let groups = address.segments().map(|group| format!("{group:04x}"));
    match address.to_ipv4_mapped() {
        Some(v4) => Some(format!("{}:{v4}", groups[..6].join(":"))),
        None => Some(groups.join(":")),
    }
}

/// Whether a text can stand as `ip` in a bind row (`instances` 4.2): an IPv4 address, whose numbers may have one leading zero up to
/// two digits, or an IPv6 address, also link-local with a zone, also one that ends in an IPv4 address.
pub fn is_bind_ip(text: &str) -> bool {
    if let Some((address, zone)) = text.split_once('%') {
        let link_local = address.starts_with("fe80:") && is_v6_in_groups(address);
        return link_local && !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_alphanumeric());
    }
    match text.rfind(':') {
        None => is_quad(text),
        Some(colon) if text.contains('.') => is_quad(&text[colon + 1..]) && may_precede_quad(&text[..=colon]),
        Some(_) => is_v6_in_groups(text),
    }
}

fn is_v6_in_groups(text: &str) -> bool {
    !text.contains('.') && text.parse::<Ipv6Addr>().is_ok()
}

fn is_quad(text: &str) -> bool {
    let octet = |octet: &str| {
        let digits = !octet.is_empty() && octet.len() <= 3 && octet.bytes().all(|byte| byte.is_ascii_digit());
        digits && (octet.len() < 3 || !octet.starts_with('0')) && octet.parse::<u8>().is_ok()
    };
    text.split('.').count() == 4 && text.split('.').all(octet)
}

/// What may stand before the IPv4 part: nothing but zeros, the prefix of mapped addresses in lower case, or up to four groups.
fn may_precede_quad(head: &str) -> bool {
    let zeros = |group: &str| (1..=4).contains(&group.len()) && group.bytes().all(|byte| byte == b'0');
    let hex = |group: &str| (1..=4).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(rest) = head.strip_prefix("::") {
        return rest.is_empty()
            || rest == "ffff:"
            || rest.strip_prefix("ffff:").and_then(|r| r.strip_suffix(':')).is_some_and(zeros);
    }
    head.strip_suffix("::").is_some_and(|groups| groups.split(':').count() <= 4 && groups.split(':').all(hex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse};
    use proptest::prelude::*;

    #[test]
    fn host_addresses_are_stored_in_one_spelling() {
        let check = |family, json: &str, want: Result<&str, &[&str]>| {
            let value = parse(json.as_bytes(), Limits::default()).unwrap();
            let got = HostAddresses::parse(&value, family, &"ip".into());
            let got = got.map(|a| a.to_string()).map_err(|f| f.iter().map(|f| f.path.to_string()).collect::<Vec<_>>());
            assert_eq!(got, want.map(str::to_owned).map_err(|w| w.iter().map(|w| w.to_string()).collect()), "{json}");
        };
        // topology 17: 24, 25, 26; recording host.add.bad_ip.
        check(Family::V4, r#""1.1.1.1,1.1.1.2""#, Ok("1.1.1.1,1.1.1.2"));
        check(Family::V4, r#"["1.1.1.1","1.1.1.2"]"#, Ok("1.1.1.1,1.1.1.2"));
        check(Family::V4, r#"" 1.1.1.1 , 1.1.1.2""#, Ok("1.1.1.1,1.1.1.2"));
        check(Family::V4, r#""1.1.1.1,1.1.1.1""#, Ok("1.1.1.1"));
        check(Family::V4, r#""  ""#, Ok(""));
        check(Family::V4, "null", Ok(""));
        check(Family::V4, "[]", Ok(""));
        check(Family::V4, r#""999.0.0.1""#, Err(&["ip"]));
        check(Family::V4, r#""01.0.0.1""#, Err(&["ip"]));
        check(Family::V4, r#""1.1.1.1,""#, Err(&["ip"]));
        check(Family::V4, r#""::1""#, Err(&["ip"]));
        check(Family::V4, "7", Err(&["ip"]));
        check(Family::V4, r#"["1.1.1.1",7,"x","1.1.1.1,1.1.1.2"]"#, Err(&["ip[1]", "ip[2]", "ip[3]"]));
        // topology 4.
        check(Family::V6, r#""::1""#, Ok("0000:0000:0000:0000:0000:0000:0000:0001"));
        check(Family::V6, r#""FE80::1,fe80:0::1""#, Ok("fe80:0000:0000:0000:0000:0000:0000:0001"));
        check(Family::V6, r#"["::FFFF:1.2.3.4","::ffff:102:304"]"#, Ok("0000:0000:0000:0000:0000:ffff:1.2.3.4"));
        check(Family::V6, r#""fe80::1%eth0""#, Err(&["ip"]));
        check(Family::V6, r#""1.1.1.1""#, Err(&["ip"]));
        let many = format!("\"{}\"", (0..65).map(|i| format!("10.0.0.{i}")).collect::<Vec<_>>().join(","));
        check(Family::V4, &many, Err(&["ip"]));
    }

    #[test]
    fn bind_addresses() {
        // instances 4.2 and instances 17: 47, 48.
        for good in [
            "127.0.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "01.02.03.04",
            "::",
            "::1",
            "2001:db8::1",
            "2001:DB8:0:0:0:0:0:1",
            "1:2:3:4:5:6:7:8",
            "fe80::1%eth0",
            "fe80::a:b:c:d%0",
            "::ffff:1.2.3.4",
            "::ffff:0:1.2.3.4",
            "::ffff:0000:1.2.3.4",
            "::1.2.3.4",
            "64:ff9b::1.2.3.4",
            "1:2:3:4::1.2.3.4",
        ] {
            assert!(is_bind_ip(good), "{good}");
        }
        for bad in [
            "",
            " ",
            "localhost",
            "256.1.1.1",
            "001.2.3.4",
            "1.2.3.4,5.6.7.8",
            "1.2.3",
            "1.2.3.4.5",
            "1..3.4",
            "+1.2.3.4",
            "1.2.3.4%eth0",
            ":",
            ":::",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "12345::",
            "g::",
            "fe80::1%",
            "fe80::1%eth 0",
            "fe90::1%eth0",
            "::FFFF:1.2.3.4",
            "::fffe:1.2.3.4",
            "1:2:3:4:5::1.2.3.4",
            "1:2:3:4:5:6:1.2.3.4",
            "::ffff:1.2.3",
            "::ffff:1:1.2.3.4",
            "[::1]",
            "::1/64",
            "é::1.2.3.4",
            "1.2.3.4:80",
        ] {
            assert!(!is_bind_ip(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_expanded_address_is_the_same_address_and_stays_as_it_is(bits in any::<u128>(), zeros in 0..8_u32) {
            // Runs of zeros exercise the short forms.
            let address = Ipv6Addr::from(bits >> (16 * zeros));
            let full = expand_v6(&address.to_string()).unwrap();
            prop_assert_eq!(full.parse::<Ipv6Addr>().unwrap(), address);
            prop_assert_eq!(expand_v6(&full).unwrap(), full);
        }

        #[test]
        fn every_plain_address_can_be_bound(v4 in any::<u32>(), v6 in any::<u128>()) {
            prop_assert!(is_bind_ip(&Ipv4Addr::from(v4).to_string()));
            prop_assert!(is_bind_ip(&Ipv6Addr::from(v6).to_string()));
        }

        #[test]
        fn no_text_is_too_odd_to_check(text in r"[0-9a-f:.%é]{0,24}") {
            is_bind_ip(&text);
            expand_v6(&text);
        }
    }
}

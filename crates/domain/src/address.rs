pub fn is_bind_ip(t: &str) -> bool {
    t.parse::<std::net::IpAddr>().is_ok()
        || t.split_once(char::from(37))
            .is_some_and(|(a, _)| a.parse::<std::net::Ipv6Addr>().is_ok())
}

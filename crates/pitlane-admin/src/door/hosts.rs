//! Which hosts the admin pages and the API may be called by.
//!
//! A page can make a browser send requests to this machine under a name of its own that it lets
//! point here (DNS rebinding). Such a request names that host, and is refused before anything else
//! is looked at.

use std::net::{IpAddr, SocketAddr};

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri};

use crate::failure::Failure;

/// The names that are ours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    /// Where the server listens, if that is known.
    pub(crate) bound: Option<IpAddr>,
    /// Further names, in lower case.
    pub(crate) names: Vec<String>,
}

impl Hosts {
    pub(crate) fn bind(&mut self, address: SocketAddr) {
        self.bound = Some(address.ip());
    }

    /// Every host that a request names must be allowed, and it must name one. Returns it.
    pub(crate) fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<Authority, Failure> {
        let named = headers.get_all(HOST).iter().map(authority);
        let target = uri.authority().cloned().map(Some);
        let mut found = None;
        for host in named.chain(target) {
            let host = host.filter(|host| self.allows(host)).ok_or(Failure::Host)?;
            found = Some(host);
        }
        found.ok_or(Failure::Host)
    }

    /// The port does not matter: a tunnel to this machine has another one.
    fn allows(&self, host: &Authority) -> bool {
        if host.as_str().contains('@') {
            return false;
        }
        let name = host.host().to_ascii_lowercase();
        if name == "localhost" || self.names.contains(&name) {
            return true;
        }
        let plain = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(&name);
        // No name can be made to point at an address that the request spells out: on a server
        // that listens everywhere any of them is its own.
        plain.parse().is_ok_and(|address: IpAddr| {
            address.is_loopback()
                || self
                    .bound
                    .is_some_and(|bound| address == bound || bound.is_unspecified())
        })
    }
}

fn authority(value: &HeaderValue) -> Option<Authority> {
    value.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(bound: &str) -> Hosts {
        let mut hosts = Hosts {
            names: vec!["cache.example.org".to_owned()],
            ..Hosts::default()
        };
        hosts.bind(bound.parse().unwrap());
        hosts
    }

    #[track_caller]
    fn check(bound: &str, named: &[&str], expected: bool) {
        let mut headers = HeaderMap::new();
        for host in named {
            headers.append(HOST, host.parse().unwrap());
        }
        let found = hosts(bound).check(&headers, &Uri::from_static("/"));
        assert_eq!(found.is_ok(), expected, "{named:?}");
    }

    #[test]
    fn names_of_this_machine_the_bound_address_and_listed_names_are_allowed() {
        for host in [
            "localhost",
            "LOCALHOST:9",
            "127.0.0.1:8081",
            "[::1]:8081",
            "Cache.example.org",
        ] {
            check("127.0.0.1:8081", &[host], true);
        }
        check("10.1.2.3:8081", &["10.1.2.3:8081"], true);
        check("0.0.0.0:8081", &["10.1.2.3:8081"], true);
    }

    #[test]
    fn any_other_name_is_refused() {
        for host in [
            "",
            "rebound.example",
            "localhost.rebound.example",
            "127.0.0.1.rebound.example",
            "example.org",
            "evil.cache.example.org",
            "localhost.",
            "10.1.2.3",
            "me@localhost",
            "localhost/",
        ] {
            check("127.0.0.1:8081", &[host], false);
        }
        check("0.0.0.0:8081", &["rebound.example"], false);
        check("127.0.0.1:8081", &[], false);
        check("127.0.0.1:8081", &["localhost", "rebound.example"], false);
        check("127.0.0.1:8081", &["rebound.example", "localhost"], false);
    }

    #[test]
    fn a_target_that_names_another_host_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        let target = Uri::from_static("http://rebound.example/api/stats");
        assert!(hosts("127.0.0.1:1").check(&headers, &target).is_err());
    }
}

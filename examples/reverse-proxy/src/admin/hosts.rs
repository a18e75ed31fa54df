//! Which hosts the API may be called by.
//!
//! A page can make a browser send requests to this machine under a name of its own that it lets
//! point here (DNS rebinding). Such a request names that host, and is refused before its token is
//! looked at.

use std::net::{IpAddr, SocketAddr};

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Request};

use super::failure::Failure;

/// Every host that a request names must be allowed, and it must name one.
pub(super) fn check<B>(request: &Request<B>, bound: SocketAddr) -> Result<(), Failure> {
    let named = request.headers().get_all(HOST).iter().map(authority);
    let target = request.uri().authority().cloned().map(Some);
    let mut hosts = named.chain(target).peekable();
    let is_allowed = |host: Option<Authority>| host.is_some_and(|host| allows(&host, bound.ip()));
    if hosts.peek().is_some() && hosts.all(is_allowed) {
        return Ok(());
    }
    Err(Failure::Host)
}

fn authority(value: &HeaderValue) -> Option<Authority> {
    value.to_str().ok()?.parse().ok()
}

/// The port does not matter: a tunnel to this machine has another one.
fn allows(host: &Authority, bound: IpAddr) -> bool {
    if host.as_str().contains('@') {
        return false;
    }
    let name = host.host();
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let plain = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    // No name can be made to point at an address that the request spells out: on a server that
    // listens everywhere any of them is its own.
    plain.parse().is_ok_and(|address: IpAddr| {
        address.is_loopback() || address == bound || bound.is_unspecified()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_host(bound: &str, hosts: &[&str], expected: bool) {
        let mut request = Request::get("/api/stats");
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let request = request.body(()).unwrap();
        let bound = bound.parse().unwrap();
        assert_eq!(check(&request, bound).is_ok(), expected, "{hosts:?}");
    }

    #[test]
    fn names_of_this_machine_and_the_bound_address_are_allowed() {
        for host in ["localhost", "LOCALHOST:9", "127.0.0.1:8081", "[::1]:8081"] {
            check_host("127.0.0.1:8081", &[host], true);
        }
        check_host("10.1.2.3:8081", &["10.1.2.3:8081"], true);
        check_host("0.0.0.0:8081", &["10.1.2.3:8081"], true);
    }

    #[test]
    fn any_other_name_is_refused() {
        for host in [
            "",
            "rebound.example",
            "localhost.rebound.example",
            "127.0.0.1.rebound.example",
            "localhost.",
            "10.1.2.3",
            "me@localhost",
            "localhost/",
        ] {
            check_host("127.0.0.1:8081", &[host], false);
        }
        check_host("0.0.0.0:8081", &["rebound.example"], false);
        check_host("127.0.0.1:8081", &[], false);
        check_host("127.0.0.1:8081", &["localhost", "rebound.example"], false);
    }

    #[test]
    fn a_target_that_names_another_host_is_refused() {
        let request = Request::get("http://rebound.example/api/stats").header(HOST, "localhost");
        let request = request.body(()).unwrap();
        assert!(check(&request, "127.0.0.1:1".parse().unwrap()).is_err());
    }
}

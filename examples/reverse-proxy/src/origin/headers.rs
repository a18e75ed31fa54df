//! What a gateway changes in a header section, and nothing else (RFC 9110 section 7.6).

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, MAX_FORWARDS, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::refusal::Refusal;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Fields for one connection only. `Trailer` is not among them since RFC 9110, and hyper needs it
/// to let trailers through. The two `Proxy-` ones are for the hop that set them up.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Turns the client's header section into the one that the origin gets.
///
/// `fallback_host` names the origin, for HTTP/1.0 clients that name nobody.
pub(super) fn prepare_request(
    parts: &mut Parts,
    peer: Option<IpAddr>,
    fallback_host: &str,
) -> Result<(), Refusal> {
    check_transfer_coding(&parts.headers, Refusal::TransferCoding)?;
    spend_forward(&parts.method, &mut parts.headers)?;
    let host = host(parts, fallback_host)?;
    let trailers = accepts_trailers(&parts.headers);
    strip_hop_by_hop(&mut parts.headers);
    // The host comes after the stripping, so that `Connection: host` cannot take it away; the
    // same goes for what this proxy reports about the client.
    parts.headers.insert(HOST, host.clone());
    report_client(&mut parts.headers, peer, host);
    if trailers {
        parts
            .headers
            .insert(TE, HeaderValue::from_static("trailers"));
        parts
            .headers
            .append(CONNECTION, HeaderValue::from_static("te"));
    }
    meet_expectation(&mut parts.headers);
    if parts.version == Version::HTTP_2 {
        join_cookies(&mut parts.headers);
    }
    add_via(&mut parts.headers, parts.version);
    Ok(())
}

/// Turns the origin's header section into the one that the client gets.
pub(super) fn prepare_response(headers: &mut HeaderMap, version: Version) -> Result<(), Refusal> {
    check_transfer_coding(headers, Refusal::UnaskedAnswer)?;
    strip_hop_by_hop(headers);
    add_via(headers, version);
    Ok(())
}

/// Whether a list-valued field has this member, in any letter case.
pub(super) fn lists(headers: &HeaderMap, name: &HeaderName, member: &str) -> bool {
    members(headers, name).any(|found| found.eq_ignore_ascii_case(member.as_bytes()))
}

/// The members of a list-valued field, over all of its lines.
pub(super) fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Whatever else codes the body would be lost together with the `Transfer-Encoding` that says so.
fn check_transfer_coding(headers: &HeaderMap, refusal: Refusal) -> Result<(), Refusal> {
    let mut codings = members(headers, &TRANSFER_ENCODING);
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(refusal),
    }
}

/// RFC 9110 section 7.6.2: OPTIONS and TRACE may say how far they want to go.
fn spend_forward(method: &Method, headers: &mut HeaderMap) -> Result<(), Refusal> {
    if *method != Method::OPTIONS && *method != Method::TRACE {
        return Ok(());
    }
    let left = headers
        .get(MAX_FORWARDS)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match left {
        None => Ok(()),
        Some(0) if *method == Method::TRACE => Err(Refusal::LastHopTrace),
        Some(0) => Err(Refusal::LastHopOptions),
        Some(left) => {
            headers.insert(MAX_FORWARDS, HeaderValue::from(left - 1));
            Ok(())
        }
    }
}

/// The host that the client asked for: the request target's when it has one (HTTP/2, absolute
/// form), as RFC 9112 section 3.2.2 wants it, else the `Host` field.
fn host(parts: &Parts, fallback: &str) -> Result<HeaderValue, Refusal> {
    if let Some(authority) = parts.uri.authority() {
        let (_, host) = authority
            .as_str()
            .rsplit_once('@')
            .unwrap_or(("", authority.as_str()));
        return HeaderValue::from_str(host).map_err(|_| Refusal::Host);
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Ok(host.clone()),
        (None, _) if parts.version == Version::HTTP_10 => {
            HeaderValue::from_str(fallback).map_err(|_| Refusal::Host)
        }
        _ => Err(Refusal::Host),
    }
}

/// hyper relays trailers only if the request on that connection says that they are welcome, and
/// `TE` is hop-by-hop: so it is passed on for the one value that this proxy can keep.
fn accepts_trailers(headers: &HeaderMap) -> bool {
    lists(headers, &TE, "trailers")
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = members(headers, &CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    keep_one_length(headers);
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// A length beside a transfer coding is at best wrong (RFC 9112 section 6.3), and one that is said
/// twice must be said once before it is passed on (RFC 9110 section 8.6).
fn keep_one_length(headers: &mut HeaderMap) {
    let lengths: Vec<&[u8]> = members(headers, &CONTENT_LENGTH).collect();
    let Some((first, rest)) = lengths.split_first() else {
        return;
    };
    let agreed = !headers.contains_key(TRANSFER_ENCODING) && rest.iter().all(|next| next == first);
    match HeaderValue::from_bytes(first) {
        Ok(length) if agreed => headers.insert(CONTENT_LENGTH, length),
        _ => headers.remove(CONTENT_LENGTH),
    };
}

/// The address is always appended, as every proxy on the way does it. Host and protocol are what
/// the first proxy saw, so one that is already named is left alone.
fn report_client(headers: &mut HeaderMap, peer: Option<IpAddr>, host: HeaderValue) {
    if let Some(peer) = peer {
        append_member(
            headers,
            &X_FORWARDED_FOR,
            peer.to_canonical().to_string().as_bytes(),
        );
    }
    headers.entry(X_FORWARDED_HOST).or_insert(host);
    headers
        .entry(X_FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static("http"));
}

/// hyper's server sends `100 Continue` once the body is first read, so the expectation is met on
/// this side already; hyper's client would not wait on the other one.
fn meet_expectation(headers: &mut HeaderMap) {
    let met = headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if met {
        headers.remove(EXPECT);
    }
}

/// RFC 9113 section 8.2.3: HTTP/2 splits cookies over many fields, HTTP/1 must not.
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1 {
        // Valid values joined with "; " are a valid value.
        if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
            headers.insert(COOKIE, joined);
        }
    }
}

fn add_via(headers: &mut HeaderMap, received: Version) {
    let received = match received {
        Version::HTTP_10 => "1.0 pitlane",
        Version::HTTP_2 => "2 pitlane",
        _ => "1.1 pitlane",
    };
    append_member(headers, &VIA, received.as_bytes());
}

/// Adds to the end of a list as one line: some origins read only one.
fn append_member(headers: &mut HeaderMap, name: &HeaderName, member: &[u8]) {
    let mut lines: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    lines.push(member);
    if let Ok(value) = HeaderValue::from_bytes(&lines.join(&b", "[..])) {
        headers.insert(name, value);
    }
}

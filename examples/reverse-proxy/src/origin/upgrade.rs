//! Protocol upgrades (WebSocket and others): a tunnel once both sides agreed.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::body::RequestBody;
use super::headers::{lists, members};
use super::refusal::Refusal;

/// A client's wish to speak another protocol, taken from its request.
#[derive(Debug)]
pub(super) struct Wish {
    protocols: HeaderValue,
    client: OnUpgrade,
}

impl Wish {
    /// What the request asks for, if it does. HTTP/2 has no upgrades (RFC 9113 section 8.6) and
    /// an HTTP/1.0 one is to be ignored (RFC 9110 section 7.8).
    pub(super) fn take(request: &mut Request<RequestBody>) -> Option<Self> {
        let asked = request.version() == Version::HTTP_11
            && lists(request.headers(), &CONNECTION, "upgrade");
        let protocols = asked.then(|| relayable(request.headers()))??;
        Some(Self {
            protocols,
            client: hyper::upgrade::on(request),
        })
    }

    /// Puts the wish into the request for the origin, whose own hop needs its own fields.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(UPGRADE, self.protocols.clone());
        headers.append(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// A tunnel that opens as soon as both sides have switched.
#[derive(Debug)]
pub(super) struct Tunnel {
    protocol: HeaderValue,
    client: OnUpgrade,
    origin: OnUpgrade,
}

impl Tunnel {
    /// Pairs the client's wish with the origin's consent. `None`: the origin declined, its answer
    /// is an ordinary one. A switch that nobody asked for is refused.
    pub(super) fn pair(
        wish: Option<Wish>,
        response: &mut Response<Incoming>,
    ) -> Result<Option<Self>, Refusal> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(None);
        }
        let wish = wish.ok_or(Refusal::UnaskedAnswer)?;
        let protocol = response
            .headers()
            .get(UPGRADE)
            .ok_or(Refusal::UnaskedAnswer)?
            .clone();
        Ok(Some(Self {
            protocol,
            client: wish.client,
            origin: hyper::upgrade::on(response),
        }))
    }

    /// Writes the client's side of the consent, and carries bytes both ways from then on.
    pub(super) fn open(self, headers: &mut HeaderMap) {
        headers.insert(UPGRADE, self.protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        tokio::spawn(async move {
            // Both must have switched before a byte may pass. When one side fails, dropping the
            // other closes it, which is all that can be said inside somebody else's protocol.
            let Ok((client, origin)) = tokio::try_join!(self.client, self.origin) else {
                return;
            };
            let _ = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(origin)).await;
        });
    }
}

/// The protocols to offer to the origin: all but HTTP itself. A tunnel to an origin that speaks
/// `h2c` would carry requests past everything in front of it (the cache and its rules), and
/// RFC 9113 has retired that upgrade.
fn relayable(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocols: Vec<&[u8]> = members(headers, &UPGRADE)
        .filter(|protocol| !is_http(protocol))
        .collect();
    if protocols.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&protocols.join(&b", "[..])).ok()
}

fn is_http(protocol: &[u8]) -> bool {
    let name = protocol
        .split(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    ["h2", "h2c", "http", "tls"]
        .iter()
        .any(|http| name.eq_ignore_ascii_case(http.as_bytes()))
}

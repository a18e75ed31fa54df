//! The answers that the proxy gives itself because the origin gave none.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};

use super::ProxyBody;

/// Why a request was not forwarded, or its answer not relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No `Host`, or more than one (RFC 9112 section 3.2).
    Host,
    /// The request cannot be put into a request line.
    Target,
    /// The client's body was malformed or broke off.
    BrokenRequestBody,
    /// A tunnel to anywhere is a forward proxy's business.
    Connect,
    /// A transfer coding other than chunked (RFC 9112 section 6.1).
    TransferCoding,
    /// `Max-Forwards: 0` on OPTIONS: the proxy is the final recipient.
    LastHopOptions,
    /// `Max-Forwards: 0` on TRACE. Reflecting a request would show its cookies to scripts.
    LastHopTrace,
    /// No connection to the origin.
    Unreachable,
    /// The origin closed the connection or sent no HTTP.
    BadAnswer,
    /// The origin coded its answer in a way that was not asked for, or switched protocols alone.
    UnaskedAnswer,
    /// No header section from the origin in time.
    TimedOut,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::Target | Self::BrokenRequestBody => StatusCode::BAD_REQUEST,
            Self::Connect | Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::LastHopOptions => StatusCode::NO_CONTENT,
            Self::LastHopTrace => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unreachable | Self::BadAnswer | Self::UnaskedAnswer => StatusCode::BAD_GATEWAY,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Host => "the request needs exactly one Host",
            Self::Target => "the request target cannot be forwarded",
            Self::BrokenRequestBody => "the request body is malformed or incomplete",
            Self::Connect => "this proxy does not open tunnels with CONNECT",
            Self::TransferCoding => "chunked is the only transfer coding that is understood",
            Self::LastHopOptions => "",
            Self::LastHopTrace => "this proxy does not answer TRACE itself",
            Self::Unreachable => "the origin cannot be reached",
            Self::BadAnswer => "the origin did not give a valid answer",
            Self::UnaskedAnswer => "the origin's answer cannot be relayed",
            Self::TimedOut => "the origin did not answer in time",
        }
    }

    pub(super) fn into_response(self) -> Response<ProxyBody> {
        let text = match self.as_str() {
            "" => Bytes::new(),
            sentence => Bytes::from(format!("{sentence}\n")),
        };
        let mut response = Response::new(Either::Right(Full::new(text)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        if self.status() == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("OPTIONS"));
        }
        if self != Self::LastHopOptions {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
        }
        response
    }
}

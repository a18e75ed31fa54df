use bytes::Bytes;

/// A request as it goes over the wire, whatever a client library would think of it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method.
    pub method: &'static str,
    /// The request target: path and query, or over HTTP/1.1 a whole URI.
    pub target: String,
    /// The `:scheme` over HTTP/2.
    pub scheme: &'static str,
    /// The Host lines over HTTP/1.1; the first one is the `:authority` over HTTP/2.
    pub hosts: Vec<&'static str>,
    /// All other header lines, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, if it has one.
    pub payload: Option<Payload>,
}

/// How a request's body is sent over HTTP/1.1; over HTTP/2 it is DATA either way.
#[derive(Clone, Debug)]
pub enum Payload {
    /// With a Content-Length.
    Length(Bytes),
    /// In chunks.
    Chunked(Bytes),
}

impl Payload {
    /// What is sent.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        match self {
            Self::Length(bytes) | Self::Chunked(bytes) => bytes,
        }
    }
}

impl Ask {
    /// A GET of `v.example`.
    #[must_use]
    pub fn get(target: impl Into<String>) -> Self {
        Self {
            method: "GET",
            target: target.into(),
            scheme: "http",
            hosts: vec!["v.example"],
            headers: Vec::new(),
            payload: None,
        }
    }

    /// With another method.
    #[must_use]
    pub const fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// With one more header line.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// With these Host lines instead.
    #[must_use]
    pub fn hosts(mut self, hosts: &[&'static str]) -> Self {
        self.hosts = hosts.to_vec();
        self
    }

    /// With another scheme.
    #[must_use]
    pub const fn scheme(mut self, scheme: &'static str) -> Self {
        self.scheme = scheme;
        self
    }

    /// With a body.
    #[must_use]
    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = Some(payload);
        self
    }
}

use http::{HeaderMap, header};

/// Whether the content is text: something that can be searched, and gets smaller when it is
/// compressed.
pub(crate) fn is_text(headers: &HeaderMap) -> bool {
    const KINDS: [&[u8]; 4] = [
        b"application/javascript",
        b"application/json",
        b"application/x-javascript",
        b"application/xml",
    ];
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let kind = kind.as_bytes().split(|byte| *byte == b';').next();
    let kind = kind.unwrap_or_default().trim_ascii().to_ascii_lowercase();
    kind.starts_with(b"text/")
        || KINDS.contains(&kind.as_slice())
        || kind.ends_with(b"+json")
        || kind.ends_with(b"+xml")
}

//! Where a request comes from, by what the browser says of it.

use http::header::ORIGIN;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, Method, Uri};

use crate::failure::Failure;

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// A write from a page must come from a page of the host that it goes to. Every browser sends
/// Origin with a form that is posted, so what sends none is no page of ours.
pub(crate) fn check_origin(
    headers: &HeaderMap,
    host: &Authority,
    https: bool,
) -> Result<(), Failure> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return Err(Failure::Origin);
    };
    let origin: Option<Uri> = origin.to_str().ok().and_then(|text| text.parse().ok());
    let is_ours = origin.is_some_and(|origin| {
        let same = origin.authority().is_some_and(|named| named == host);
        let scheme = origin.scheme();
        let expected = if https { &Scheme::HTTPS } else { &Scheme::HTTP };
        // A proxy in front may speak TLS without our knowledge, so https is good in any case.
        same && (scheme == Some(expected) || scheme == Some(&Scheme::HTTPS))
    });
    let mut sites = headers.get_all(SITE).iter();
    if is_ours && sites.all(|site| site == "same-origin") {
        return Ok(());
    }
    Err(Failure::Origin)
}

/// What another site's page embeds, or asks for by a script, is not for it. A link to a page that
/// a person follows is, though without a cookie.
pub(crate) fn check_site(
    headers: &HeaderMap,
    method: &Method,
    is_page: bool,
) -> Result<(), Failure> {
    let site = headers.get(SITE);
    let is_ours = site.is_none_or(|site| site == "same-origin" || site == "none");
    let says = |name: HeaderName, value: &str| headers.get(name).is_some_and(|said| said == value);
    let is_link = is_page
        && matches!(*method, Method::GET | Method::HEAD)
        && says(MODE, "navigate")
        // A frame is navigated as well.
        && says(DEST, "document");
    if is_ours || is_link {
        return Ok(());
    }
    Err(Failure::Origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(https: bool, fields: &[(&str, &str)], expected: bool) {
        let host = Authority::from_static("localhost:3000");
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let found = check_origin(&headers, &host, https);
        assert_eq!(found.is_ok(), expected, "{fields:?}");
    }

    #[test]
    fn a_write_comes_from_a_page_of_its_own_host() {
        check(false, &[("origin", "http://localhost:3000")], true);
        check(false, &[("origin", "https://localhost:3000")], true);
        check(true, &[("origin", "https://LOCALHOST:3000")], true);
        let fetched = ("sec-fetch-site", "same-origin");
        check(false, &[("origin", "http://localhost:3000"), fetched], true);
    }

    #[test]
    fn any_other_origin_and_none_is_refused() {
        for origin in [
            "null",
            "",
            "http://localhost",
            "http://localhost:3001",
            "http://127.0.0.1:3000",
            "http://evil.example",
            "http://localhost:3000.evil.example",
            "http://localhost:3000@evil.example",
            "localhost:3000",
            "ftp://localhost:3000",
        ] {
            check(false, &[("origin", origin)], false);
        }
        check(false, &[], false);
        check(true, &[("origin", "http://localhost:3000")], false);
        let twice = ("origin", "http://localhost:3000");
        check(false, &[twice, twice], false);
        for site in ["cross-site", "same-site", "none"] {
            check(false, &[twice, ("sec-fetch-site", site)], false);
        }
    }

    #[test]
    fn what_another_site_embeds_is_refused_and_a_link_is_not() {
        let headers = |site: &str, mode: &str, dest: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(SITE, site.parse().unwrap());
            headers.insert(MODE, mode.parse().unwrap());
            headers.insert(DEST, dest.parse().unwrap());
            headers
        };
        let navigate = "navigate";
        for (site, mode, dest, method, expected) in [
            ("cross-site", "no-cors", "image", Method::GET, false),
            ("same-site", "cors", "empty", Method::GET, false),
            ("cross-site", navigate, "document", Method::GET, true),
            ("cross-site", navigate, "iframe", Method::GET, false),
            ("cross-site", navigate, "document", Method::POST, false),
            ("same-origin", "no-cors", "script", Method::GET, true),
            ("none", navigate, "document", Method::GET, true),
        ] {
            let headers = headers(site, mode, dest);
            let found = check_site(&headers, &method, true);
            assert_eq!(found.is_ok(), expected, "{site} {mode} {dest} {method}");
            if site == "cross-site" {
                assert!(
                    check_site(&headers, &method, false).is_err(),
                    "no link to the API"
                );
            }
        }
        assert!(check_site(&HeaderMap::new(), &Method::GET, false).is_ok());
    }
}

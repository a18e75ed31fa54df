//! Encoded forms of what is stored, and who gets which: classes 22, 23 and 24.
//!
//! Forms are made in the background, so that a row of one attack and one victim would ask before
//! there are any.

use std::{collections::BTreeMap, io::Read, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use pitlane::{AnonymousCacheLayer, Cache, Encoding};
use pitlane_e2e::{Ask, Heard, send};
use pitlane_testkit::{Origin, Protocol, Server};
use tower_layer::Layer;

use crate::runner::in_memory;

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// What a client says, and the codings that it takes then.
const ACCEPTS: [(&[&str], &[&str]); 34] = [
    (&[], &[]),
    (&[""], &[]),
    (&["gzip"], &["gzip"]),
    (&["x-gzip"], &["gzip"]),
    (&["GZIP"], &["gzip"]),
    (&["br"], &["br"]),
    (&["zstd"], &["zstd"]),
    (&["gzip, br"], &["gzip", "br"]),
    (&["gzip", "br"], &["gzip", "br"]),
    (&[",,gzip,"], &["gzip"]),
    (&["*"], &["gzip", "br", "zstd"]),
    (&["br;q=0, *"], &["gzip", "zstd"]),
    (&["*;q=0, br"], &["br"]),
    (&["*;q=0"], &[]),
    (&["gzip;q=0"], &[]),
    (&["gzip ; q=0"], &[]),
    (&["gzip;Q=0"], &[]),
    (&["gzip;q=0.000, br;q=0.001"], &["br"]),
    (&["gzip;q=0, br;q=0, zstd;q=0, *"], &[]),
    (&["identity"], &[]),
    (&["identity;q=0"], &[]),
    (&["identity;q=0, br;q=0.1"], &["br"]),
    (&["gzip;q=0, gzip"], &[]),
    (&["gzip", "gzip;q=0"], &[]),
    (&["gzip;q=0", "br"], &["br"]),
    (&["gzip;q=evil"], &[]),
    (&["gzip;q=-1"], &[]),
    (&["gzip;q=2"], &[]),
    (&["gzip;q=0;q=1"], &[]),
    (&["gz ip"], &[]),
    (&["\"gzip\""], &[]),
    (&["gzipped, brx, zstd-1"], &[]),
    (&["brotli, deflate, compress"], &[]),
    (&["evil"], &[]),
];

fn page() -> String {
    let lines =
        (0..200).map(|n| format!("<p>The line {n} of a page that says much the same.</p>\n"));
    lines.collect()
}

fn accepting(lines: &[&str]) -> Ask {
    lines.iter().fold(Ask::get("/page"), |ask, line| {
        ask.header("accept-encoding", line)
    })
}

/// A server with the page, asked over one protocol.
struct Site {
    address: SocketAddr,
    protocol: Protocol,
}

impl Site {
    async fn ask(&self, ask: &Ask) -> Heard {
        send(self.protocol, self.address, ask).await.unwrap()
    }

    /// One answer for each coding; the page as it is has none. Waits until the forms are there.
    async fn forms(&self) -> BTreeMap<String, Heard> {
        let mut forms = BTreeMap::new();
        for coding in ["", "br", "gzip", "zstd"] {
            let ask = accepting(&[coding]);
            let made = async {
                loop {
                    let heard = self.ask(&ask).await;
                    if heard.header("content-encoding") == coding {
                        break heard;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let heard = tokio::time::timeout(Duration::from_secs(10), made).await;
            forms.insert(coding.to_owned(), heard.expect("a form within ten seconds"));
        }
        forms
    }
}

fn decoded(heard: &Heard) -> Result<String, String> {
    let mut text = String::new();
    let read = match heard.header("content-encoding") {
        "br" => brotli::Decompressor::new(&*heard.body, 4096).read_to_string(&mut text),
        "gzip" => flate2::read::GzDecoder::new(&*heard.body).read_to_string(&mut text),
        "zstd" => {
            zstd::Decoder::new(&*heard.body).and_then(|mut body| body.read_to_string(&mut text))
        }
        _ => (&*heard.body).read_to_string(&mut text),
    };
    read.map_err(|error| error.to_string())?;
    Ok(text)
}

fn ensure(holds: bool, what: &str, heard: &Heard) -> Result<(), String> {
    let told = || format!("{what}: {} {:?}", heard.status, heard.headers);
    if holds { Ok(()) } else { Err(told()) }
}

/// Class 22: a coding that the client takes, and always the same page.
async fn check_codings(site: &Site) -> Result<(), String> {
    site.forms().await;
    let page = page();
    // Each may have been the one before somebody else.
    for (said, taken) in ACCEPTS.iter().chain(ACCEPTS.iter().rev()) {
        let heard = site.ask(&accepting(said)).await;
        let coding = heard.header("content-encoding");
        let right = if taken.is_empty() {
            coding.is_empty()
        } else {
            taken.contains(&coding)
        };
        ensure(right, &format!("{said:?}"), &heard)?;
        ensure(
            decoded(&heard).as_deref() == Ok(&*page),
            &format!("{said:?}"),
            &heard,
        )?;
        let vary = heard.header("vary").eq_ignore_ascii_case("accept-encoding");
        ensure(vary, "an answer of several forms", &heard)?;
        // Parts are cut from the page as it is.
        let parts = heard.headers.contains_key("accept-ranges");
        ensure(parts == coding.is_empty(), "a form with parts", &heard)?;
    }
    Ok(())
}

/// Class 24: a condition is about the form that would be sent.
async fn check_conditions(site: &Site) -> Result<(), String> {
    let forms = site.forms().await;
    for (coding, form) in &forms {
        for (other, tagged) in &forms {
            let known = format!("\"evil\", {}", tagged.header("etag"));
            let ask = accepting(&[coding]).header("if-none-match", known);
            let heard = site.ask(&ask).await;
            let what = format!("{coding:?} with the tag of {other:?}");
            if coding == other {
                ensure(heard.status == StatusCode::NOT_MODIFIED, &what, &heard)?;
                ensure(heard.header("etag") == form.header("etag"), &what, &heard)?;
            } else {
                ensure(
                    heard.status == StatusCode::OK && heard.body == form.body,
                    &what,
                    &heard,
                )?;
            }
        }
    }
    Ok(())
}

/// Class 23: a part is one of the form that the client has the rest of, or there is none.
async fn check_parts(site: &Site) -> Result<(), String> {
    let forms = site.forms().await;
    check_parts_of(site, &forms).await
}

async fn check_parts_of(site: &Site, forms: &BTreeMap<String, Heard>) -> Result<(), String> {
    for coding in forms.keys() {
        for (other, tagged) in forms {
            let ask = accepting(&[coding]).header("range", "bytes=10-19");
            let ask = ask.header("if-range", tagged.header("etag"));
            let heard = site.ask(&ask).await;
            let what = format!("{coding:?} with a part of {other:?}");
            if heard.status == StatusCode::PARTIAL_CONTENT {
                ensure(heard.body == tagged.body.slice(10..20), &what, &heard)?;
                ensure(heard.header("content-encoding") == other, &what, &heard)?;
                ensure(heard.header("etag") == tagged.header("etag"), &what, &heard)?;
            } else {
                ensure(heard.status == StatusCode::OK, &what, &heard)?;
                ensure(decoded(&heard).as_deref() == Ok(&*page()), &what, &heard)?;
            }
        }
        // Whoever has nothing yet learns what the part is one of.
        let heard = site
            .ask(&accepting(&[coding]).header("range", "bytes=10-19"))
            .await;
        let whole = forms
            .get(heard.header("content-encoding"))
            .ok_or("an unknown coding")?;
        ensure(heard.body == whole.body.slice(10..20), coding, &heard)?;
        ensure(heard.header("etag") == whole.header("etag"), coding, &heard)?;
    }
    Ok(())
}

fn encoding(cache: &Cache) -> AnonymousCacheLayer {
    let layer = AnonymousCacheLayer::new(cache).ttl(Duration::from_secs(60));
    layer.encodings([Encoding::Brotli, Encoding::Zstd, Encoding::Gzip])
}

async fn start() -> (Server, Origin) {
    let cache = in_memory().get("default").unwrap();
    let headers = [("content-type", "text/html"), ("accept-ranges", "bytes")];
    let origin = Origin::new(move |_, _| async move { Origin::reply(&headers, page()) });
    let server = Server::start(encoding(&cache).layer(origin.clone())).await;
    (server, origin)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_coding_that_they_do_not_take_nor_a_mixture_of_two() {
    for protocol in PROTOCOLS {
        let (server, origin) = start().await;
        let site = Site {
            address: server.address(),
            protocol,
        };
        let checked = async {
            check_codings(&site).await?;
            check_conditions(&site).await?;
            check_parts(&site).await
        };
        checked
            .await
            .unwrap_or_else(|error| panic!("{protocol:?}: {error}"));
        assert_eq!(origin.calls(), 1, "{protocol:?}");
    }
}

/// A handler that gives parts of its own page, which is all that it has.
fn giving_parts() -> Origin {
    Origin::new(|request, _| async move {
        let said = |name| request.headers().get(name);
        let known = said("if-range").is_none_or(|tag| tag == "\"v1\"");
        let headers = [
            ("content-type", "text/html"),
            ("etag", "\"v1\""),
            ("content-range", "bytes 10-19/*"),
        ];
        match request.method().as_str() {
            "GET" if said("range").is_some() && known => {
                let mut part = Origin::reply(&headers, page()[10..20].to_owned());
                *part.status_mut() = StatusCode::PARTIAL_CONTENT;
                part
            }
            "GET" => Origin::reply(&headers[..2], page()),
            _ => Origin::reply(&[], "done"),
        }
    })
}

/// Once the entry is gone, parts come from the handler, which knows the tags of its own page alone.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_part_of_another_form_from_the_handler() {
    for protocol in PROTOCOLS {
        let cache = in_memory().get("default").unwrap();
        let server = Server::start(encoding(&cache).layer(giving_parts())).await;
        let site = Site {
            address: server.address(),
            protocol,
        };
        let forms = site.forms().await;
        site.ask(&Ask::get("/page").method("POST")).await;
        let checked = check_parts_of(&site, &forms).await;
        checked.unwrap_or_else(|error| panic!("{protocol:?}: {error}"));
        let part = Ask::get("/page").header("range", "bytes=10-19");
        let told = site.ask(&part).await;
        assert!(
            told.header("cache-status").contains("detail=range"),
            "{told:?}"
        );
    }
}

/// Where nothing is stored conditions pass: a client's tags are those of forms that the handler has
/// never heard of.
#[tokio::test(flavor = "multi_thread")]
async fn the_handler_of_what_passes_hears_of_its_own_tags_alone() {
    for protocol in PROTOCOLS {
        let cache = in_memory().get("default").unwrap();
        let origin = Origin::new(|request, call| async move {
            let known = request.headers().get("if-none-match").cloned();
            let known = known.map(|known| known.to_str().unwrap().to_owned());
            let fresh = if call == 1 { "max-age=60" } else { "no-store" };
            let headers = [
                ("content-type", "text/html"),
                ("etag", "\"v1\""),
                ("cache-control", fresh),
                ("x-known", known.as_deref().unwrap_or_default()),
            ];
            Origin::reply(&headers, page())
        });
        let server = Server::start(encoding(&cache).layer(origin)).await;
        let site = Site {
            address: server.address(),
            protocol,
        };
        let forms = site.forms().await;
        site.ask(&Ask::get("/page").method("POST")).await;
        site.ask(&Ask::get("/page")).await;
        for (coding, form) in &forms {
            let ask = accepting(&[coding]).header("if-none-match", form.header("etag"));
            let heard = site.ask(&ask).await;
            assert_eq!(heard.header("x-known"), "\"v1\"", "{protocol:?} {coding:?}");
        }
    }
}

/// A page that doesn't get smaller is kept as it is.
#[tokio::test(flavor = "multi_thread")]
async fn noise_is_not_encoded() {
    let cache = in_memory().get("default").unwrap();
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 56) as u8
    });
    let noise = Bytes::from_iter(noise.take(8 << 10));
    let body = noise.clone();
    let origin = Origin::new(move |_, _| {
        let body = body.clone();
        async move { Origin::reply(&[("content-type", "text/html")], body) }
    });
    let server = Server::start(encoding(&cache).layer(origin)).await;
    let site = Site {
        address: server.address(),
        protocol: Protocol::Http1,
    };
    site.ask(&Ask::get("/page")).await;
    let before = cache.memory().bytes;
    let ask = accepting(&["gzip, br, zstd"]);
    // The forms that there are, none, are counted when they were tried.
    let tried = async {
        while cache.memory().bytes == before {
            assert_eq!(site.ask(&ask).await.body, noise);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), tried)
        .await
        .expect("forms were tried");
    for _ in 0..3 {
        let heard = site.ask(&ask).await;
        assert_eq!(heard.header("content-encoding"), "");
        assert_eq!(heard.body, noise);
    }
}

/// The positive control: one tag for all forms, and a coding for whoever names it.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_encodes_without_care_is_caught() {
    let careless = tower::service_fn(async |request: Request<_>| {
        Ok::<_, std::convert::Infallible>(encoded_carelessly(&request))
    });
    let server = Server::start(careless).await;
    for protocol in PROTOCOLS {
        let site = Site {
            address: server.address(),
            protocol,
        };
        assert!(check_codings(&site).await.is_err(), "{protocol:?}");
        assert!(check_conditions(&site).await.is_err(), "{protocol:?}");
        assert!(check_parts(&site).await.is_err(), "{protocol:?}");
    }
}

fn encoded_carelessly<B>(request: &Request<B>) -> Response<Full<Bytes>> {
    let said = |name: &str| {
        let value = request.headers().get(name);
        value
            .map(|value| value.to_str().unwrap().to_ascii_lowercase())
            .unwrap_or_default()
    };
    let accepts = said("accept-encoding");
    let known = ["br", "zstd", "gzip"]
        .into_iter()
        .find(|coding| accepts.contains(coding));
    let page = page();
    let body: Bytes = match known {
        Some("br") => {
            let mut body = Vec::new();
            brotli::BrotliCompress(&mut page.as_bytes(), &mut body, &Default::default()).unwrap();
            body.into()
        }
        Some("zstd") => zstd::encode_all(page.as_bytes(), 3).unwrap().into(),
        Some(_) => {
            let mut body = Vec::new();
            let level = flate2::Compression::fast();
            flate2::read::GzEncoder::new(page.as_bytes(), level)
                .read_to_end(&mut body)
                .unwrap();
            body.into()
        }
        None => page.into(),
    };
    let mut answer = Response::builder()
        .header("etag", "\"same\"")
        .header("vary", "accept-encoding");
    if let Some(coding) = known {
        answer = answer.header("content-encoding", coding);
    }
    let (status, body) = if said("if-none-match").contains("\"same\"") {
        (304, Bytes::new())
    } else if said("range").is_empty() {
        (200, body)
    } else {
        (206, body.slice(10..20))
    };
    answer.status(status).body(body.into()).unwrap()
}

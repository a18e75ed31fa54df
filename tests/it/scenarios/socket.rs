//! The reverse proxy between sockets: before it a client that sends a story's bytes as they are,
//! behind it an origin that speaks HTTP/1.1 by hand.

use std::{future::pending, net::SocketAddr, time::Duration};

use clap::Parser;
use http::{HeaderMap, HeaderName, HeaderValue};
use pitlane::{Caches, Clock, Profile};
use pitlane_e2e::exchange;
use reverse_proxy::{Options, Origin, cache_layer, serve, stack};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{
    Teller,
    expect::{Came, Seen},
    layer::{caches, complete, configure, settled},
    script::{Script, is_bodiless},
    story::{Reply, Story, Way},
    text::Message,
};

#[derive(Debug)]
pub(super) struct Proxied {
    clock: Clock,
    caches: Caches,
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl Teller for Proxied {
    const WAY: Way = Way::Socket;

    async fn begin(story: &Story, profile: Profile, origin: Script) -> Self {
        let (listener, behind) = listen().await;
        let origin = tokio::spawn(accept(listener, origin));
        let options = options(behind, profile);
        let (clock, caches) = caches();
        let layer = cache_layer(&caches, &options).unwrap();
        let layer = configure(layer, &story.settings);
        let service = stack(&layer, Origin::new(options.origin.clone()));
        let (listener, address) = listen().await;
        let proxy = tokio::spawn(async move {
            let _ = serve(listener, service, pending()).await;
        });
        Self {
            clock,
            caches,
            address,
            tasks: [origin, proxy],
        }
    }

    fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
    }

    async fn ask(&mut self, request: &Message) -> Result<Came, String> {
        let answer = exchange(self.address, &request.wire(false)).await;
        let (heard, cut) = answer.map_err(|error| format!("no answer: {error}"))?;
        Ok(Came {
            status: heard.status.as_u16(),
            headers: heard.headers,
            body: heard.body,
            cut,
        })
    }

    async fn settle(&mut self) -> Result<(), String> {
        settled(&self.caches).await
    }
}

impl Drop for Proxied {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn options(origin: SocketAddr, profile: Profile) -> Options {
    let origin = format!("http://{origin}");
    let profile = match profile {
        Profile::Rfc => "rfc",
        _ => "application",
    };
    let flags = [
        "reverse-proxy",
        "--listen",
        "127.0.0.1:0",
        "--origin",
        &origin,
        "--profile",
        profile,
    ];
    Options::try_parse_from(flags).expect("flags")
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn accept(listener: TcpListener, script: Script) {
    while let Ok((stream, _)) = listener.accept().await {
        let script = script.clone();
        tokio::spawn(async move {
            // A connection that ends is the proxy's business.
            let _ = converse(stream, &script).await;
        });
    }
}

/// Answers requests until one of them gets no whole answer.
async fn converse(stream: TcpStream, script: &Script) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let seen = read(&mut stream).await?;
        let method = seen.method.clone();
        let Reply::Answer(answer) = script.ask(seen) else {
            return Ok(());
        };
        let cut = Reply::Answer(answer.clone()).is_cut();
        let status = answer.word(1).parse().unwrap_or_default();
        let bodiless = is_bodiless(&method, status);
        let bytes = complete(&method, &answer).wire(bodiless);
        stream.write_all(&bytes).await?;
        if cut && !bodiless {
            return stream.shutdown().await;
        }
    }
}

/// One request, read to its end.
async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head: String = head.iter().copied().map(char::from).collect();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value.trim());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    read_body(stream, &headers).await?;
    Ok(Seen {
        method,
        target,
        headers,
    })
}

async fn read_body(stream: &mut BufReader<TcpStream>, headers: &HeaderMap) -> std::io::Result<()> {
    if headers.contains_key("transfer-encoding") {
        let mut body = Vec::new();
        // No story's chunk contains what ends the last one.
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(stream.read_u8().await?);
        }
        return Ok(());
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).await?;
    Ok(())
}

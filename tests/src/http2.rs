//! HTTP/2 with pseudo-headers and DATA as they are given.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, Uri};
use tokio::net::TcpStream;

use crate::{Ask, Heard};

pub(crate) async fn send(address: SocketAddr, ask: &Ask) -> io::Result<Heard> {
    let stream = TcpStream::connect(address).await?;
    let (client, connection) = h2::client::handshake(stream).await.map_err(broken)?;
    let driver = tokio::spawn(connection);
    let heard = exchange(client, ask).await;
    driver.abort();
    heard
}

async fn exchange(client: SendRequest<Bytes>, ask: &Ask) -> io::Result<Heard> {
    let mut client = client.ready().await.map_err(broken)?;
    let request = request(ask)?;
    let (response, mut body) = client
        .send_request(request, ask.payload.is_none())
        .map_err(broken)?;
    if let Some(payload) = &ask.payload {
        body.send_data(payload.bytes().clone(), true)
            .map_err(broken)?;
    }
    let (head, mut body) = response.await.map_err(broken)?.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(broken)?;
        body.flow_control()
            .release_capacity(data.len())
            .map_err(broken)?;
        bytes.extend_from_slice(&data);
    }
    Ok(Heard {
        status: head.status,
        headers: head.headers,
        body: bytes.into(),
    })
}

fn request(ask: &Ask) -> io::Result<Request<()>> {
    let authority = ask.hosts.first().copied().unwrap_or_default();
    let uri = Uri::builder()
        .scheme(ask.scheme)
        .authority(authority)
        .path_and_query(&*ask.target);
    let uri = uri.build().map_err(broken)?;
    let mut request = Request::builder().method(ask.method).uri(uri);
    for (name, value) in &ask.headers {
        request = request.header(name, &**value);
    }
    request.body(()).map_err(broken)
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

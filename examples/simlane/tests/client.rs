//! An HTTP/1.1 client on one connection, with a cookie.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    pub(crate) cookie: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
            cookie: None,
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn json(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, path, &[("content-type", "application/json")], &body)
            .await
    }

    pub(crate) async fn form(&mut self, path: &str, body: &str) -> Answer {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.send("POST", path, &[kind], body).await
    }

    pub(crate) async fn sign_in(&mut self, username: &str, password: &str) -> Answer {
        let answer = self
            .form(
                "/login",
                &format!("username={username}&password={password}"),
            )
            .await;
        let cookie = answer
            .header("set-cookie")
            .and_then(|line| line.split(';').next());
        self.cookie = cookie.map(str::to_owned);
        answer
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: simlane.test\r\n");
        let cookie = self.cookie.as_deref().map(|cookie| ("cookie", cookie));
        for (name, value) in headers.iter().copied().chain(cookie) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .await
            .unwrap();
        self.receive(method == "HEAD").await
    }

    async fn receive(&mut self, head: bool) -> Answer {
        let status = self.line().await;
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HashMap::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.insert(name.to_owned(), value.trim().to_owned());
        }
        let length = match headers.get("content-length") {
            Some(length) if !head && status != 304 => length.parse().unwrap(),
            _ => 0,
        };
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        Answer {
            status,
            headers,
            body: String::from_utf8(body).unwrap(),
        }
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await.unwrap();
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn cache_status(&self) -> &str {
        self.header("cache-status").unwrap_or_default()
    }

    /// The `detail` of Cache-Status.
    pub(crate) fn detail(&self) -> &str {
        self.cache_status()
            .rsplit_once("detail=")
            .map_or("", |(_, detail)| detail)
    }

    #[track_caller]
    pub(crate) fn value(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{}",
            self.body
        );
        serde_json::from_str(&self.body).unwrap()
    }

    /// The tags in `x-shown-tags` or `x-touched-tags`.
    pub(crate) fn tags(&self, header: &str) -> BTreeSet<String> {
        let line = self.header(header).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    }
}

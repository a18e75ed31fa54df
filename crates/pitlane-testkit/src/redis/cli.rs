use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long a connection may take to open, and how long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A small blocking client that speaks RESP2, for tests to prepare a server and look into it.
///
/// After an error its connection is closed, so that a late answer is never taken for the answer
/// to another command; every later command is then `NotConnected`.
pub struct RedisCli(Option<BufReader<TcpStream>>);

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisReply {
    /// A status such as `OK`.
    Simple(String),
    /// An error with its prefix, such as `OOM command not allowed …`.
    Error(String),
    /// A number.
    Integer(i64),
    /// A value of any bytes.
    Bulk(Vec<u8>),
    /// A list of answers.
    Array(Vec<Self>),
    /// No value.
    Nil,
}

impl RedisCli {
    /// Connects, and authenticates as the default user when there is a password.
    ///
    /// # Errors
    ///
    /// When nobody accepts or answers within 10 seconds, or the password is refused
    /// (`PermissionDenied`).
    pub fn connect(address: SocketAddr, password: Option<&str>) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut cli = Self(Some(BufReader::new(stream)));
        if let Some(password) = password
            && let RedisReply::Error(error) = cli.run(&["AUTH", password])?
        {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, error));
        }
        Ok(cli)
    }

    /// Waits so long for each answer from now on, instead of 10 seconds.
    ///
    /// # Panics
    ///
    /// When the time is zero.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        if let Some(stream) = &self.0 {
            let set = stream.get_ref().set_read_timeout(Some(timeout));
            set.expect("a timeout above zero");
        }
        self
    }

    /// Sends one command, of text or any bytes, and waits for its answer. An error that the
    /// server answers with is a reply.
    ///
    /// # Errors
    ///
    /// When there is no answer in time (`WouldBlock` or `TimedOut`), the connection ends, or the
    /// answer is no RESP2 (`InvalidData`).
    pub fn run<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<RedisReply> {
        let Some(mut stream) = self.0.take() else {
            let closed = "an error has closed this connection";
            return Err(io::Error::new(io::ErrorKind::NotConnected, closed));
        };
        stream.get_mut().write_all(&encode(arguments))?;
        let reply = read_reply(&mut stream)?;
        self.0 = Some(stream);
        Ok(reply)
    }
}

impl RedisReply {
    /// The value of a bulk or simple reply as text.
    ///
    /// # Panics
    ///
    /// When it is of another kind or not text.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        match self {
            Self::Simple(text) => text,
            Self::Bulk(bytes) => std::str::from_utf8(bytes).expect("a value of text"),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The value of an integer reply.
    ///
    /// # Panics
    ///
    /// When it is of another kind.
    #[must_use]
    #[track_caller]
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("no integer: {other:?}"),
        }
    }

    /// Whether it is an error whose prefix (`OOM`, `READONLY`, …) is this.
    #[must_use]
    pub fn is_error(&self, prefix: &str) -> bool {
        matches!(self, Self::Error(text) if text.split(' ').next() == Some(prefix))
    }
}

impl fmt::Debug for RedisCli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCli")
            .field("open", &self.0.is_some())
            .finish_non_exhaustive()
    }
}

/// A command as an array of bulks.
fn encode<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn read_reply(stream: &mut impl BufRead) -> io::Result<RedisReply> {
    let line = read_line(stream)?;
    let Some((kind, rest)) = line.split_at_checked(1) else {
        return Err(invalid("an empty line"));
    };
    Ok(match kind {
        "+" => RedisReply::Simple(rest.to_owned()),
        "-" => RedisReply::Error(rest.to_owned()),
        ":" => RedisReply::Integer(number(rest)?),
        "$" => {
            read_length(rest)?.map_or(Ok(RedisReply::Nil), |length| read_bulk(stream, length))?
        }
        "*" => match read_length(rest)? {
            None => RedisReply::Nil,
            Some(count) => {
                let elements = (0..count).map(|_| read_reply(stream));
                RedisReply::Array(elements.collect::<io::Result<_>>()?)
            }
        },
        _ => return Err(invalid("a type that RESP2 has not")),
    })
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let Some(text) = line.strip_suffix(b"\r\n") else {
        return Err(invalid("a line without its end"));
    };
    String::from_utf8(text.to_vec()).map_err(|_| invalid("a line that is no text"))
}

/// The payload grows with what arrives, whatever length the server claims.
fn read_bulk(stream: &mut impl BufRead, length: u64) -> io::Result<RedisReply> {
    let mut bytes = Vec::new();
    stream.take(length).read_to_end(&mut bytes)?;
    let mut end = [0; 2];
    stream.read_exact(&mut end)?;
    if end != *b"\r\n" {
        return Err(invalid("a bulk without its end"));
    }
    Ok(RedisReply::Bulk(bytes))
}

/// `None` is the length -1 of a value that is absent.
fn read_length(text: &str) -> io::Result<Option<u64>> {
    match number(text)? {
        -1 => Ok(None),
        length => u64::try_from(length)
            .map(Some)
            .map_err(|_| invalid("a negative length")),
    }
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(|_| invalid("a number that is none"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

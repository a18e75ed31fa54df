//! Clients that know how each of their requests has ended.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pitlane::Outcome;

use crate::{answer::Connection, node::ARRIVED, tally::Counting};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than what is stored is fresh.
const PAUSE: Duration = Duration::from_millis(1_200);

/// What all clients share.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// Requests that were begun.
    begun: AtomicU64,
    pub(crate) counted: Counting,
}

/// What is to be done with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It is answered, and its answer is read.
    Read,
    /// There is no answer: the handler has failed.
    Lost,
    /// The client leaves when it has the head.
    CutInBody,
    /// The client leaves when the handler has the request.
    CutBefore,
}

impl Load {
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Asks one after another, until there were so many of all clients.
    pub(crate) async fn ask(self: Arc<Self>, address: String, requests: u64, seed: u64) {
        let mut random = Random(seed | 1);
        let mut connection = None;
        let mut pauses = [1, 2, 3, 4]
            .map(|part| requests / 5 * part)
            .into_iter()
            .peekable();
        loop {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            if number >= requests {
                self.begun.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            // What is stored by then is stale for some, and over for others.
            while pauses.next_if(|at| number >= *at).is_some() {
                tokio::time::sleep(PAUSE).await;
            }
            let (manner, method, path, fields) = request(&mut random, number);
            let text = format!("{method} {path} HTTP/1.1\r\nhost: site.org\r\n{fields}\r\n");
            let one = self.one(&mut connection, &address, manner, (method, &path, &text));
            let outcome = tokio::time::timeout(PATIENCE, one).await;
            match outcome {
                Ok(Ok(outcome)) => self.counted.count(outcome),
                Ok(Err(error)) => panic!("{method} {path}: {error}"),
                Err(_) => panic!("{method} {path} has no answer"),
            }
        }
    }

    async fn one(
        &self,
        kept: &mut Option<Connection>,
        address: &str,
        manner: Manner,
        (method, path, text): (&str, &str, &str),
    ) -> io::Result<Outcome> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(address).await?,
        };
        match manner {
            Manner::Read => {
                let head = connection.begin(text).await?;
                connection.finish(&head, method == "HEAD").await?;
                *kept = Some(connection);
                Ok(head.outcome())
            }
            Manner::Lost => {
                let answer = connection.begin(text).await;
                assert!(answer.is_err(), "an answer to {path}: {answer:?}");
                Ok(Outcome::Miss)
            }
            Manner::CutInBody => Ok(connection.begin(text).await?.outcome()),
            Manner::CutBefore => {
                connection.send(text).await?;
                until_arrived(address, path).await?;
                Ok(Outcome::Miss)
            }
        }
    }
}

async fn until_arrived(address: &str, path: &str) -> io::Result<()> {
    let mut connection = Connection::open(address).await?;
    let text = format!("GET {ARRIVED}{path} HTTP/1.1\r\nhost: site.org\r\n\r\n");
    loop {
        let head = connection.begin(&text).await?;
        connection.finish(&head, false).await?;
        if head.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What is asked: mostly a few pages.
fn request(random: &mut Random, number: u64) -> (Manner, &'static str, String, &'static str) {
    let few = random.below(200);
    let read = |method, path: String, fields| (Manner::Read, method, path, fields);
    match random.below(1_000) {
        0..680 => read("GET", format!("/page/{few}"), ""),
        680..740 => read("GET", format!("/slow-page/{}", few % 3), ""),
        740..800 => read("GET", format!("/private/{}", few % 5), ""),
        800..850 => read("GET", format!("/tagged/{few}"), ""),
        850..880 => read("GET", format!("/shaky/{few}"), ""),
        880..910 => read(
            "GET",
            format!("/page/{few}"),
            "authorization: Basic eA==\r\n",
        ),
        910..930 => read("HEAD", format!("/page/{few}"), ""),
        930..945 => read(
            "GET",
            format!("/page/{number}"),
            "cache-control: only-if-cached\r\n",
        ),
        945..960 => read("GET", format!("/page/{few}"), "if-none-match: *\r\n"),
        960..970 => read("GET", format!("/page/{few}"), "range: bytes=0-2\r\n"),
        970..985 => read("POST", format!("/page/{few}"), "content-length: 0\r\n"),
        985..990 => (Manner::Lost, "GET", format!("/refused/{number}"), ""),
        990..993 => (Manner::Lost, "GET", format!("/panic/{number}"), ""),
        993..997 => (Manner::CutInBody, "GET", format!("/cut/{number}"), ""),
        _ => (Manner::CutBefore, "GET", format!("/slow/{number}"), ""),
    }
}

/// Marsaglia's xorshift64: the same load every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

use std::{
    future::pending,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Control, Fault, Shared, frames::Frames};

/// The most that is read at once.
const CHUNK: usize = 16 * 1024;

/// How many pieces a throttle hands on in a second.
const PIECES_PER_SECOND: u32 = 100;

/// Well-formed replies of several types, none of which a cache ever asks for.
const WRONG: [&[u8]; 5] = [
    b":424242\r\n",
    b"*2\r\n$5\r\nwrong\r\n:7\r\n",
    b"$11\r\nwrong reply\r\n",
    b"+WRONG\r\n",
    b"*1\r\n*-1\r\n",
];

/// Passes one connection on until it ends or is cut. The number of cuts is that of the moment when
/// it was accepted.
pub(super) async fn run(shared: &Shared, mut client: TcpStream, cuts: u64) {
    let _ = client.set_nodelay(true);
    let by_reset = tokio::select! {
        biased;
        by_reset = cut(shared, cuts) => by_reset,
        _ = pass(shared, &mut client) => false,
    };
    if by_reset {
        let _ = client.set_zero_linger();
    }
}

/// Waits until this connection is to end, and says whether by a reset.
async fn cut(shared: &Shared, cuts: u64) -> bool {
    let mut control = shared.control.subscribe();
    let ends = |control: &Control| control.is_closed() || control.cuts > cuts;
    let control = control.wait_for(ends).await;
    control.is_ok_and(|control| control.by_reset)
}

/// Passes both directions on until one of them ends.
async fn pass(shared: &Shared, client: &mut TcpStream) -> io::Result<()> {
    // A black hole swallows a new connection before the server hears of it.
    let mut control = shared.control.subscribe();
    let opens = |control: &Control| control.fault != Fault::Blackhole;
    let _ = control.wait_for(opens).await;
    let mut server = TcpStream::connect(shared.upstream).await?;
    server.set_nodelay(true)?;
    let (from_server, to_server) = server.split();
    let (from_client, to_client) = client.split();
    tokio::select! {
        done = pass_commands(shared, from_client, to_server) => done,
        done = pass_replies(shared, from_server, to_client) => done,
    }
}

async fn pass_commands(shared: &Shared, from: ReadHalf<'_>, to: WriteHalf<'_>) -> io::Result<()> {
    let mut pipe = Pipe::new(shared, from, to, &shared.command_bytes);
    let mut frames = Frames::new();
    loop {
        let mut chunk = pipe.read().await?;
        while !chunk.is_empty() {
            let Ok(written) = pipe.write_some(&chunk).await else {
                // The server may have said why it hung up: that direction ends the connection.
                return pending().await;
            };
            let commands = frames.feed(&chunk.split_to(written));
            shared.commands.fetch_add(commands, Ordering::SeqCst);
        }
    }
}

async fn pass_replies(shared: &Shared, from: ReadHalf<'_>, to: WriteHalf<'_>) -> io::Result<()> {
    let mut pipe = Pipe::new(shared, from, to, &shared.reply_bytes);
    let mut spoil = Spoil::new();
    loop {
        let chunk = pipe.read().await?;
        let came = Instant::now();
        let mut chunk = spoil.chunk(pipe.fault(), chunk);
        while !chunk.is_empty() {
            let allowed = pipe.pace(came, chunk.len()).await;
            if allowed == 0 {
                return Ok(());
            }
            let written = pipe.write_some(&chunk.slice(..allowed)).await?;
            chunk.advance(written);
        }
        if pipe.is_used_up() {
            return Ok(());
        }
    }
}

/// One direction of a connection.
struct Pipe<'a> {
    control: watch::Receiver<Control>,
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    /// The version of the fault, and the bytes that passed since it was set.
    version: u64,
    passed: usize,
    total: &'a AtomicU64,
}

impl<'a> Pipe<'a> {
    fn new(shared: &Shared, from: ReadHalf<'a>, to: WriteHalf<'a>, total: &'a AtomicU64) -> Self {
        let control = shared.control.subscribe();
        let version = control.borrow().version;
        Self {
            control,
            from,
            to,
            version,
            passed: 0,
            total,
        }
    }

    /// The fault of this moment.
    fn fault(&mut self) -> Fault {
        let Control { fault, version, .. } = *self.control.borrow_and_update();
        if version != self.version {
            self.version = version;
            self.passed = 0;
        }
        fault
    }

    /// Waits for the next chunk; in a black hole, first for its end.
    async fn read(&mut self) -> io::Result<Bytes> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let held = self.fault() == Fault::Blackhole;
            tokio::select! {
                biased;
                changed = self.control.changed() => changed.map_err(io::Error::other)?,
                read = self.from.read(&mut chunk), if !held => {
                    chunk.truncate(read?);
                    return match chunk.len() {
                        0 => Err(io::ErrorKind::UnexpectedEof.into()),
                        _ => Ok(chunk.into()),
                    };
                }
            }
        }
    }

    /// Hands some bytes on; in a black hole, when it ends.
    async fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let held = self.fault() == Fault::Blackhole;
            tokio::select! {
                biased;
                changed = self.control.changed() => changed.map_err(io::Error::other)?,
                written = self.to.write(bytes), if !held => {
                    let written = written?;
                    self.passed += written;
                    self.total.fetch_add(written as u64, Ordering::SeqCst);
                    return Ok(written);
                }
            }
        }
    }

    /// Waits until bytes of a chunk that came then may pass, and says how many: 0 when the
    /// connection has had all that it is to have.
    async fn pace(&mut self, came: Instant, length: usize) -> usize {
        loop {
            let (time, allowed) = match self.fault() {
                Fault::Delay(delay) => (came + delay, length),
                Fault::Throttle { bytes_per_second } => {
                    let piece = (bytes_per_second / PIECES_PER_SECOND).max(1);
                    let time = Duration::from_secs(1) * piece / bytes_per_second;
                    (Instant::now() + time, length.min(piece as usize))
                }
                Fault::CutAfter(most) => return most.saturating_sub(self.passed).min(length),
                _ => return length,
            };
            tokio::select! {
                biased;
                _ = self.control.changed() => {}
                () = sleep_until(time) => return allowed,
            }
        }
    }

    /// Whether the connection is to be cut because enough has passed.
    fn is_used_up(&mut self) -> bool {
        matches!(self.fault(), Fault::CutAfter(most) if self.passed >= most)
    }
}

/// Replaces replies.
struct Spoil {
    frames: Frames,
    random: u64,
    next: usize,
}

impl Spoil {
    const fn new() -> Self {
        Self {
            frames: Frames::new(),
            random: 0x9e37_79b9_7f4a_7c15,
            next: 0,
        }
    }

    /// The replies are counted whatever the fault, so that one set in the middle of a reply
    /// doesn't take its rest for another.
    fn chunk(&mut self, fault: Fault, chunk: Bytes) -> Bytes {
        let replies = self.frames.feed(&chunk);
        match fault {
            Fault::Garbage => {
                let first = self.random_byte() | 0x80;
                let rest = chunk.iter().skip(1).map(|_| self.random_byte());
                std::iter::once(first).chain(rest).collect()
            }
            Fault::WrongReply => {
                let wrong = (0..replies).flat_map(|_| self.wrong_reply());
                wrong.copied().collect()
            }
            _ => chunk,
        }
    }

    /// xorshift64.
    const fn random_byte(&mut self) -> u8 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 56) as u8
    }

    fn wrong_reply(&mut self) -> &'static [u8] {
        self.next = (self.next + 1) % WRONG.len();
        WRONG.get(self.next).copied().unwrap_or_default()
    }
}

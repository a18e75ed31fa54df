//! Laps as they happen, to everybody who watches.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::channel::{Channel, Sender};

/// Whoever is this many laps behind is no longer watching.
const BEHIND: usize = 64;

/// Everybody who watches.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Mutex<Watchers>>);

#[derive(Debug, Default)]
struct Watchers {
    closed: bool,
    senders: Vec<Sender<Bytes>>,
}

impl Live {
    /// A body that begins now and does not end before [`close`](Self::close). Its first line is
    /// there at once, so that a client sees that it is connected.
    #[must_use]
    pub fn watch(&self) -> Channel<Bytes, Infallible> {
        let (mut sender, body) = Channel::new(BEHIND);
        let greeted = sender.try_send(Frame::data(Bytes::from_static(b": watching\n\n")));
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if greeted.is_ok() && !watchers.closed {
            watchers.senders.push(sender);
        }
        body
    }

    /// Tells everybody who still watches.
    pub fn tell(&self, lap: &str) {
        let event = Bytes::from(format!("data: {lap}\n\n"));
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tell = |sender: &mut Sender<Bytes>| sender.try_send(Frame::data(event.clone())).is_ok();
        watchers.senders.retain_mut(tell);
    }

    /// Ends all streams, those that are asked for later at once.
    pub fn close(&self) {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.closed = true;
        watchers.senders.clear();
    }
}

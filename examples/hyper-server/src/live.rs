//! Laps as they happen, to everybody who watches.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::channel::{Channel, Sender};

/// Whoever is this many laps behind is no longer watching.
const BEHIND: usize = 64;

/// From so many on it is looked who has left.
const MANY: usize = 64;

/// Everybody who watches.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Mutex<Watchers>>);

#[derive(Debug, Default)]
struct Watchers {
    closed: bool,
    senders: Vec<Sender<Bytes>>,
}

impl Watchers {
    /// Sends to everybody, and forgets those who have left or can't follow.
    fn send(&mut self, event: &Bytes) {
        let tell = |sender: &mut Sender<Bytes>| sender.try_send(Frame::data(event.clone())).is_ok();
        self.senders.retain_mut(tell);
    }
}

impl Live {
    /// A body that begins now and does not end before [`close`](Self::close). Its first line is
    /// there at once, so that a client sees that it is connected.
    #[must_use]
    pub fn watch(&self) -> Channel<Bytes, Infallible> {
        let (mut sender, body) = Channel::new(BEHIND);
        let greeted = sender.try_send(Frame::data(Bytes::from_static(b": watching\n\n")));
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.senders.len() >= MANY && watchers.senders.len().is_power_of_two() {
            // Where nobody drives for long, those who have left would never be noticed.
            watchers.send(&Bytes::from_static(b":\n\n"));
        }
        if greeted.is_ok() && !watchers.closed {
            watchers.senders.push(sender);
        }
        body
    }

    /// Tells everybody who still watches.
    pub fn tell(&self, lap: &str) {
        let event = Bytes::from(format!("data: {lap}\n\n"));
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.send(&event);
    }

    /// Ends all streams, those that are asked for later at once.
    pub fn close(&self) {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.closed = true;
        watchers.senders.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_left_are_forgotten_though_nobody_drives() {
        let live = Live::default();
        let watching = live.watch();
        for _ in 0..10_000 {
            drop(live.watch());
        }
        let left = live.0.lock().unwrap().senders.len();
        assert!(left <= MANY, "{left}");
        drop(watching);
    }
}

//! What stands between the nodes and their Redis where a failover is: an address that leads to
//! another server from one moment to the next.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

pub(crate) struct Switch {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    is_holding: Arc<AtomicBool>,
}

struct State {
    to: SocketAddr,
    open: Vec<TcpStream>,
}

impl Switch {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State {
            to: server,
            open: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        let is_holding = Arc::new(AtomicBool::new(false));
        let holding = Arc::clone(&is_holding);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut state = shared.lock().expect("no panic");
                if let Ok(server) = TcpStream::connect(state.to) {
                    pass(&client, &server, &holding).expect("threads");
                    state.open.extend([client, server]);
                }
            }
        });
        Self {
            address,
            state,
            is_holding,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// From now on a connection comes to a standstill with the first EVAL.
    pub(crate) fn hold_renewals(&self) {
        self.is_holding.store(true, Ordering::SeqCst);
    }

    /// From now on everybody talks to another server.
    pub(crate) fn turn(&self, server: SocketAddr) {
        let mut state = self.state.lock().expect("no panic");
        state.to = server;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(client: &TcpStream, server: &TcpStream, holding: &Arc<AtomicBool>) -> io::Result<()> {
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        let holding = Arc::clone(holding);
        thread::spawn(move || {
            let (mut buffer, mut is_held) = ([0; 16 << 10], false);
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                let eval = b"\r\nEVAL\r\n";
                let is_renewal = buffer[..length].windows(8).any(|bytes| bytes == eval);
                is_held |= is_renewal && holding.load(Ordering::SeqCst);
                if is_held {
                    continue;
                }
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}

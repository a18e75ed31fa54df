use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
};

use pitlane_testkit::PostgresServer;

use crate::wait_until;

/// Asks for TLS, which a server answers with one letter.
fn answers(server: &PostgresServer) -> bool {
    let Ok(mut stream) = TcpStream::connect(server.address()) else {
        return false;
    };
    let mut answer = [0];
    let request = [0, 0, 0, 8, 4, 210, 22, 47];
    stream.write_all(&request).is_ok() && stream.read_exact(&mut answer).is_ok()
}

#[test]
fn a_server_answers_while_it_lives_and_leaves_nothing() {
    let (one, other) = (PostgresServer::start(), PostgresServer::start());
    assert_ne!(one.address(), other.address());
    assert!(answers(&one) && answers(&other));
    let url = one.url();
    assert!(url.starts_with("postgres://pitlane@127.0.0.1:"), "{url}");

    let shown = format!("{one:?}");
    let pid = shown.split("pid: ").nth(1).unwrap();
    let pid: String = pid.chars().take_while(char::is_ascii_digit).collect();
    let process = PathBuf::from(format!("/proc/{pid}/cwd"));
    let folder = process.read_link().unwrap();
    drop(one);
    assert!(!folder.exists() && !process.exists());
    wait_until("the other still answers", || answers(&other));
}

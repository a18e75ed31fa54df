//! The proxy over real sockets, between scripted origins and clients that count.

mod failures;
mod forwarding;
mod headers;
mod program;
mod resend;
mod streaming;
mod support;
mod upgrade;

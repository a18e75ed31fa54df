//! Who comes in: the host a request names, the token, the sign-in, and where a write comes from.

mod cookie;
mod hosts;
mod lockout;
mod origin;
mod sign_ins;
mod token;

pub(crate) use cookie::{COOKIE, cookie};
pub(crate) use hosts::Hosts;
pub(crate) use lockout::{Admission, Lockout};
pub(crate) use origin::{check_origin, check_site};
pub(crate) use sign_ins::{SignIns, Visitor};
pub use token::{AdminToken, AdminTokenError, AdminTokenErrorKind};

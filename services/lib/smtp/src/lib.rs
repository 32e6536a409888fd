//! The SMTP protocol as pure state machines (RFC 5321, 1870, 2034, 2920, 3207, 4954, 6152, 6531).
//!
//! No socket, no task, no clock: a driver feeds events with the time at which they happened and
//! performs the actions that come out. `RFC.md` maps sections to the tests that show them.
//!
//! Not here: who may send what (the session asks), and what a message means (`hikyaku-mail`).

pub mod wire; // bytes of the protocol <-> values; the only code that sees those bytes
pub mod server; // the session of a client that hands mail in
pub mod client; // our session with a server that takes mail

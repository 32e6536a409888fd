//! What must hold whatever a client, a server or a load balancer sends. Each target is a function of octets
//! that asserts; libFuzzer calls it with octets of its own making (`tests/fuzz/run`), and the tests of this
//! crate with those that it kept.
//!
//! An input begins with a few octets that choose a setting and how the rest is cut into reads; see [`Input`].

pub mod corpus; // what is kept, as text
pub mod seeds; // what to begin with: golden transcripts and files

mod input; // the front of an input -> choices
mod server; // a server session and its driver
mod client; // a client session and its driver
pub mod reference; // content as plainly as it can be read, and as careless servers read it

pub mod command; // anything as a client's side of a session
pub mod data; // content behind DATA, in and out again
pub mod bdat; // content in chunks, in and out again
pub mod reply; // anything as a server's side of a session
pub mod address; // paths and domains
pub mod proxy; // PROXY headers of both versions
pub mod sasl; // AUTH, both sides, and one against the other

pub use input::Input;

/// It panics when something does not hold.
pub type Target = fn(&[u8]);

/// By the names of their programs.
pub const TARGETS: [(&str, Target); 7] = [
    ("command", command::run),
    ("data", data::run),
    ("bdat", bdat::run),
    ("reply", reply::run),
    ("address", address::run),
    ("proxy", proxy::run),
    ("sasl", sasl::run),
];

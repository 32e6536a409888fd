//! The vocabulary of the relay. Pure values: no I/O, no clock, no randomness.
//!
//! Modules stand in the order in which a message meets them.

pub mod domain; // a mail domain in its one canonical spelling
pub mod address; // reverse-path and forward-path
pub mod fingerprint; // which certificate
pub mod origin; // where a question comes from
pub mod text; // text of others, where people see it
pub mod reply; // what an SMTP server says
pub mod ids; // queue id, entry id
pub mod destination; // next hop: by MX, or a fixed host
pub mod shard; // destination -> shard
pub mod body; // content, or where it is kept
pub mod reporting; // what a sender asks to be told
pub mod envelope; // one message for one destination
pub mod source; // who handed a message in, for fair shares
pub mod outcome; // how an attempt ended
pub mod schedule; // when the next attempt is
pub mod tlsa; // what a host's certificate is held to
pub mod hours; // when an account may send, and gets its mail
pub mod traffic; // how much, from where, over which of our addresses

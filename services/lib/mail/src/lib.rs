//! Message level: what the relay reads and writes of a message. No I/O, no clock.

mod header; // fields as octets
pub mod marks; // does it say that it is bulk mail?
pub mod loops; // is it going in circles?
pub mod date; // RFC 5322 dates
pub mod received; // our trace field
pub mod passages; // where it says that it has been
pub mod message_id; // by which its sender knows it
pub mod authors; // whom a message says it is from
pub mod completion; // what a submitted message lacks
pub mod relay_trace; // X-Relay: relayed because of the client's address
pub mod seven_bit; // for a server that takes no more
pub mod dsn; // delivery reports
pub mod digest; // many failures in one message

//! One actor for each session with a remote server.

mod actor; // owns the session's task
mod work; // the task: dial, then message after message
pub(crate) mod source; // a connection from one of our addresses
pub(crate) mod dial; // destination -> hosts -> addresses -> session
pub(crate) mod security; // what a session must be before it takes mail
pub(crate) mod watching; // what an operator sees of it
mod race; // which address of a host
pub(crate) mod demand; // what one host must show
mod login; // who we are at a host
pub(crate) mod opening; // address -> session: connection, TLS, greeting, login
pub(crate) mod local_error; // what went wrong on our side of the wire
pub(crate) mod host; // what a host said or did, as outcomes
mod fitting; // a message as the peer can take it
mod octets; // the next octets, in or out
mod transfer; // socket <-> protocol

pub(crate) use actor::{ConnectionActor, ConnectionArguments, ConnectionMessage};
pub(crate) use transfer::RemoteSession;

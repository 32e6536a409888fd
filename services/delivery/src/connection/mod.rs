//! One actor for each session with a remote server.

mod actor; // owns the session's task
mod work; // the task: dial, then message after message
pub(crate) mod source; // a connection from one of our addresses
pub(crate) mod dial; // destination -> hosts -> addresses -> session
mod transfer; // socket <-> protocol

pub(crate) use actor::{ConnectionActor, ConnectionArguments, ConnectionMessage};
pub(crate) use transfer::RemoteSession;

//! How a channel between our processes is secured, and who the caller is.
//!
//! Modules stand in the order in which a call meets them. What a call does is not known here;
//! only its name is, and the least role that may make it.

pub mod client; // a channel, with certificate and token
mod connection; // accepted, with or without TLS
pub mod tls; // PEM files -> rustls
mod certificate; // a certificate -> the names in it
pub mod token; // bearer tokens
pub mod role; // relay, viewer, operator
mod access; // call -> least role
pub mod callers; // the file that says who has which role
mod span; // a call that is watched
mod gate; // admits a call, or refuses it
mod refusals; // refusals: answered, counted, logged in moderation
pub mod guard; // all of it, for a server
mod follow; // files that are read again when they change
pub mod metrics; // names

pub use crate::{
    callers::Caller,
    client::{Channel, ClientConfig},
    gate::{caller, require, who},
    guard::{Guard, GuardConfig},
    role::Role,
    span::code_name,
    tls::{ClientTls, ServerTls},
};

//! Who may send what, and where it goes.
//!
//! Modules stand in the order in which a question meets them; the documents that the
//! answers come from follow.

pub mod config;
pub mod app; // composition root
mod grpc; // generated types <-> ours
mod authenticate; // who a client is
mod recipients; // whom others know
mod ldap; // a company's directory
pub mod rules; // documents -> tables -> answers; pure
mod credential; // what is kept of a secret
pub mod document; // the texts, by name
mod import; // files of the old products
pub mod problem; // what is wrong with them
pub mod store; // versions in JetStream KV
pub mod metrics; // names
#[cfg(test)]
mod fuzz; // what happens to texts that nobody wrote with care

pub use crate::{
    app::App,
    config::PolicyConfig,
    document::{DocumentName, Documents},
    ldap::{LdapBind, LdapConfig},
    problem::{Problem, Severity},
    rules::{
        Rules, Surroundings,
        grow::{Additions, OwnDomain},
    },
    store::{Store, commit::Outcome},
};

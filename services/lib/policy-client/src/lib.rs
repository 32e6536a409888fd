//! Asks the policy service who may send what and where it goes, and remembers
//! the answers for as long as they allow.
//!
//! It decides nothing itself: without an answer the caller hears
//! [`PolicyUnavailable`] and defers. Generated types stay inside.

pub mod client; // questions
mod ask; // one pod after the other
mod known; // what is remembered, and its keys
mod cache; // answers that are still good
mod wire; // generated types -> answers
pub mod answer; // what the caller gets
pub mod hosts; // host map, looked at before DNS
pub mod hours; // when mail is delivered
mod traffic; // how much goes where
pub mod overview; // what a node examines
pub mod error; // no answer
pub mod metrics; // names

pub use crate::{
    answer::{
        AuthenticationAnswer, ConnectionAnswer, Decision, Proof, RecipientAnswer, RecipientVerdict,
        SenderAnswer, Verdict,
    },
    client::{PolicyClient, PolicyClientConfig},
    error::{InvalidEndpoint, PolicyUnavailable},
    hosts::HostMap,
};

//! Bytes of a client to a durable envelope.
//!
//! It speaks SMTP by `hikyaku-smtp`, asks the policy service who may send what, and says 250 only
//! after the queue acknowledged every envelope of a message. It keeps nothing: a node that dies
//! loses unacknowledged sessions and no mail.
//!
//! Not here: rules, routes, queue subjects, delivery.

pub mod config; // limits and clocks
pub mod service; // what a listener is for
pub mod app; // composition root
mod proxy; // who a connection is from, by a load balancer's word
pub mod listeners; // which are open
mod listener; // accept loop, limits on connections
mod clients; // how many connections each client has
mod connection; // socket <-> session
mod decide; // the session's questions -> policy
mod rates; // how much each source sends
mod memory; // what content may take
mod lanes; // fresh or bulk
mod accept; // transaction -> trace fields -> an envelope per next hop -> queue
mod visit; // one connection in the mail log
mod mail_log; // what is accepted, and each refusal
pub mod metrics; // names, labels, descriptions

//! What the documents say, ordered for being asked. No text and no problems here;
//! each answer carries the line that it came from.

pub(crate) mod address;
pub(crate) mod own_domains;
pub(crate) mod networks;
pub(crate) mod relay_list;
pub(crate) mod connections;
pub(crate) mod access;
pub(crate) mod aliases;
pub(crate) mod accounts;
pub(crate) mod sources;
pub(crate) mod credentials;
pub(crate) mod sender_rules;
pub(crate) mod routes;
pub(crate) mod hosts;
pub(crate) mod traffic;
pub(crate) mod settings;

//! What a session knows of its client and of the transaction as far as it has come.

use hikyaku_types::{
    address::{ForwardPath, ReversePath},
    envelope::Transfer,
};

use super::{
    content::Content,
    event::{AcceptedRecipient, Protocol},
};
use crate::wire::data::DataDecoder;

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
}

/// The transaction as far as it has come.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) reverse_path: ReversePath,
    pub(crate) declared_size: Option<u64>,
    pub(crate) transfer: Transfer,
    pub(crate) recipients: Vec<AcceptedRecipient>,
    /// The recipient that the open question is about.
    pub(crate) asked: Option<ForwardPath>,
}

impl Draft {
    pub(crate) const EMPTY: Self = Self {
        reverse_path: ReversePath::Null,
        declared_size: None,
        transfer: Transfer { eight_bit_mime: false, smtputf8: false },
        recipients: Vec::new(),
        asked: None,
    };
}

#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) decoder: DataDecoder,
    pub(crate) content: Content,
}

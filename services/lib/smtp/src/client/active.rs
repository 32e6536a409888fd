//! The delivery under way: which recipients have a result. A result is given once and is final.

use std::mem;

use bytes::Bytes;
use hikyaku_types::{
    address::{Mailbox, ReversePath},
    envelope::Transfer,
    outcome::Phase,
    reporting::Reporting,
};

use super::delivery::{Delivery, DeliveryRecipient, DeliveryResult, RecipientResult};
use crate::wire::reply::RawReply;

#[derive(Debug)]
pub(crate) struct Active {
    delivery: Delivery,
    /// Nothing is handed over: an accepted RCPT is the end of it.
    is_question: bool,
    /// `None`: open, that is not tried yet or accepted so far.
    results: Vec<Option<RecipientResult>>,
    /// RCPT commands sent; only counted when they are sent one by one.
    sent: usize,
    /// RCPT replies read.
    answered: usize,
}

impl Active {
    pub(crate) fn new(delivery: Delivery) -> Self {
        let results = delivery.recipients.iter().map(|_| None).collect();
        Self { delivery, is_question: false, results, sent: 0, answered: 0 }
    }

    /// Whether mail for this address would be taken. Asked with the null sender, because a server that asks
    /// back must find nobody to ask about.
    pub(crate) fn question(address: Mailbox) -> Self {
        let recipient = DeliveryRecipient { address, reporting: Reporting::default() };
        let delivery = Delivery {
            reverse_path: ReversePath::Null,
            recipients: vec![recipient],
            transfer: Transfer::PLAIN,
            content: Vec::new(),
            size: 0,
        };
        Self { is_question: true, ..Self::new(delivery) }
    }

    pub(crate) fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    pub(crate) fn take_content(&mut self) -> Vec<Bytes> {
        mem::take(&mut self.delivery.content)
    }

    /// The next recipient to name.
    pub(crate) fn next_to_send(&mut self) -> Option<(&Delivery, &DeliveryRecipient)> {
        let recipient = self.delivery.recipients.get(self.sent)?;
        self.sent += 1;
        Some((&self.delivery, recipient))
    }

    /// Books the reply to the next RCPT.
    pub(crate) fn answer(&mut self, reply: &RawReply) {
        if let Some(result) = self.results.get_mut(self.answered) {
            *result = match reply.code {
                300.. => Some(RecipientResult::Refused { phase: Phase::Rcpt, reply: reply.clone() }),
                _ if self.is_question => Some(RecipientResult::Accepted(reply.clone())),
                _ => None,
            };
        }
        self.answered += 1;
    }

    pub(crate) fn skip(&mut self) {
        self.answered += 1;
    }

    /// Once every RCPT has its reply: is any recipient accepted?
    pub(crate) fn all_answered(&self) -> Option<bool> {
        (self.answered >= self.results.len()).then(|| self.results.iter().any(Option::is_none))
    }

    /// Gives every recipient without a result this one.
    pub(crate) fn close(&mut self, result: &RecipientResult) {
        for open in self.results.iter_mut().filter(|result| result.is_none()) {
            *open = Some(result.clone());
        }
    }

    /// `missing` stands for a result that was never given; the table leaves none.
    pub(crate) fn finish(self, missing: impl Fn() -> RecipientResult) -> DeliveryResult {
        let recipients = self.results.into_iter().map(|result| result.unwrap_or_else(&missing)).collect();
        DeliveryResult { recipients }
    }
}

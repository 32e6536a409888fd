//! Dead letters: seen, sent again, removed (SEED-194).

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hikyaku_proto::admin::v1::{self as proto, dead_letter_admin_service_server::DeadLetterAdminService};
use hikyaku_queue::{
    custody::Origin,
    dead::{DeadLetter, DeadSelector},
};
use hikyaku_types::{
    address::{MailHost, Mailbox, ReversePath},
    body::Body,
    destination::Destination,
    envelope::{Envelope, Lane, Recipient},
    ids::QueueId,
};
use tonic::{Request, Response, Status};

use super::{Admin, queue::limit, status::CallError, wire};
use crate::mail_log;

#[tonic::async_trait]
impl DeadLetterAdminService for Admin {
    async fn list_dead_letters(
        &self,
        request: Request<proto::ListDeadLettersRequest>,
    ) -> Result<Response<proto::ListDeadLettersResponse>, Status> {
        let request = request.into_inner();
        let from = match request.page_token.as_str() {
            "" => None,
            token => Some(
                token.parse().map_err(|_| CallError::Argument(format!("{token:?} is not a page token")))?,
            ),
        };
        let page = self.dead.list(DeadSelector::All, limit(request.limit), from).await;
        let (letters, next) = page.map_err(CallError::from)?;
        Ok(Response::new(proto::ListDeadLettersResponse {
            letters: letters.iter().map(wire::letter).collect(),
            next_page_token: next.map(|token| token.to_string()).unwrap_or_default(),
        }))
    }

    async fn get_dead_letter(
        &self,
        request: Request<proto::GetDeadLetterRequest>,
    ) -> Result<Response<proto::GetDeadLetterResponse>, Status> {
        let letters = self.letters(&request.into_inner().id).await?;
        Ok(Response::new(proto::GetDeadLetterResponse {
            letters: letters.iter().map(wire::letter).collect(),
        }))
    }

    async fn resend_dead_letter(
        &self,
        request: Request<proto::ResendDeadLetterRequest>,
    ) -> Result<Response<proto::ResendDeadLetterResponse>, Status> {
        let who = hikyaku_grpc::who(&request);
        let proto::ResendDeadLetterRequest { id, recipient, to } = request.into_inner();
        let letters = self.letters(&id).await?;
        let only = Some(recipient).filter(|recipient| !recipient.is_empty());
        let to: Option<Mailbox> = match to.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|error| CallError::Argument(format!("{text:?}: {error}")))?),
        };
        let is_wanted = |recipient: &Recipient| {
            only.as_ref().is_none_or(|only| recipient.address.to_string().eq_ignore_ascii_case(only))
        };
        if !letters.iter().any(|letter| letter.envelope.recipients.iter().any(is_wanted)) {
            let reason = format!("{} is not a recipient of {id}", only.unwrap_or_default());
            return Err(CallError::NotFound(reason).into());
        }
        let mut entries = Vec::new();
        for letter in letters {
            let (wanted, others): (Vec<_>, Vec<_>) =
                letter.envelope.recipients.iter().cloned().partition(&is_wanted);
            if !wanted.is_empty() {
                entries.extend(self.resend(&letter, wanted, others, to.as_ref()).await?);
            }
        }
        mail_log::operator_on_letter("resend", &id, &who, entries.len());
        Ok(Response::new(proto::ResendDeadLetterResponse { entries }))
    }

    async fn delete_dead_letter(
        &self,
        request: Request<proto::DeleteDeadLetterRequest>,
    ) -> Result<Response<proto::DeleteDeadLetterResponse>, Status> {
        let who = hikyaku_grpc::who(&request);
        let id = request.into_inner().id;
        let mut deleted = 0;
        for letter in self.letters(&id).await? {
            deleted += usize::from(self.dead.delete(&letter).await.map_err(CallError::from)?);
        }
        mail_log::operator_on_letter("delete", &id, &who, deleted);
        let deleted = u64::try_from(deleted).unwrap_or(u64::MAX);
        Ok(Response::new(proto::DeleteDeadLetterResponse { deleted }))
    }
}

impl Admin {
    async fn letters(&self, id: &str) -> Result<Vec<DeadLetter>, CallError> {
        let selector = wire::read_dead_id(id)?;
        let (letters, _) = self.dead.list(selector, usize::MAX, None).await?;
        if letters.is_empty() {
            return Err(CallError::NotFound(format!("there is no dead letter {id}")));
        }
        Ok(letters)
    }

    /// The letter goes when what was made of it is acknowledged; a crash before that leaves both.
    async fn resend(
        &self,
        letter: &DeadLetter,
        wanted: Vec<Recipient>,
        others: Vec<Recipient>,
        to: Option<&Mailbox>,
    ) -> Result<Vec<String>, CallError> {
        let content = self.dead.content(letter).await?;
        let recipients = match to {
            Some(to) => vec![Recipient::new(to.clone(), None)],
            None => wanted.into_iter().map(|it| Recipient::new(it.address, it.original)).collect(),
        };
        let new = self.entries(letter, recipients, &content).await?;
        let origin = Origin::Resend(letter.envelope.entry.queue_id);
        self.context.publisher.store_from(origin, new.clone()).await?;
        for envelope in &new {
            mail_log::resent(&letter.envelope, envelope);
        }
        if !others.is_empty() {
            let body = Body::Inline(content);
            let rest = Envelope { recipients: others, body, ..letter.envelope.clone() };
            self.context.publisher.bury(&rest).await?;
        }
        self.dead.delete(letter).await?;
        Ok(new.iter().map(|envelope| envelope.entry.to_string()).collect())
    }

    /// An entry for each next hop.
    async fn entries(
        &self,
        letter: &DeadLetter,
        recipients: Vec<Recipient>,
        content: &Bytes,
    ) -> Result<Vec<Envelope>, CallError> {
        let now = SystemTime::now();
        let millis = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let id = QueueId::new(u64::try_from(millis).unwrap_or(u64::MAX), rand::random());
        let mut new: Vec<Envelope> = Vec::new();
        for recipient in recipients {
            let destination =
                self.destination_of(recipient.address.host(), &letter.envelope.reverse_path).await?;
            match new.iter_mut().find(|envelope| envelope.destination == destination) {
                Some(envelope) => envelope.recipients.push(recipient),
                None => new.push(Envelope {
                    entry: id.entry(u16::try_from(new.len()).unwrap_or(u16::MAX)),
                    destination,
                    recipients: vec![recipient],
                    body: Body::Inline(content.clone()),
                    accepted_at: now,
                    attempt: 0,
                    first_attempt_at: None,
                    delay_reported: false,
                    client: None,
                    lane: Lane::Fresh,
                    ..letter.envelope.clone()
                }),
            }
        }
        Ok(new)
    }

    async fn destination_of(&self, host: &MailHost, sender: &ReversePath) -> Result<Destination, CallError> {
        match host {
            MailHost::Domain(domain) => Ok(self.context.policy.resolve_route(domain, sender).await?),
            MailHost::Literal(address) => Ok(Destination::literal(*address)),
        }
    }
}

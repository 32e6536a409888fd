//! Whether a next hop knows a recipient (SEED-064), for who answers RCPT. A question is a session of its
//! own with MAIL, RCPT and RSET: a server that ends sessions with many refusals ends nobody's mail.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use hikyaku_queue::recipients::{self, Asked, Existence, RecipientQuestion};
use hikyaku_types::{
    address::ReversePath,
    destination::Destination,
    outcome::{Cause, Failure, Phase, RecipientOutcome, RemoteReply},
    reply::EnhancedCode,
};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    connection::{RemoteSession, dial},
    context::Context,
    metrics::RECIPIENT_QUESTIONS,
};

/// Sessions at one next hop; what a flood of invented names may cost it.
const AT_ONE_NEXT_HOP: usize = 4;
/// Who asks has heard that nobody could say by then; the answer would be for nobody.
const TIME_LIMIT: Duration = Duration::from_secs(20);
const REOPEN_PAUSE: Duration = Duration::from_millis(500);

/// The turns of each next hop that was ever asked: as many as own domains have.
#[derive(Debug, Default)]
struct Turns(Mutex<HashMap<Destination, Arc<Semaphore>>>);

impl Turns {
    fn of(&self, next_hop: &Destination) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = all.entry(next_hop.clone()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONE_NEXT_HOP)));
        Arc::clone(turns)
    }
}

/// Answers for ever.
pub(crate) async fn answer(context: Arc<Context>) {
    let turns = Arc::new(Turns::default());
    // Ended with this, whatever they wait for.
    let mut answering = JoinSet::new();
    loop {
        match recipients::questions(&context.nats).await {
            Ok(mut questions) => {
                while let Some(asked) = questions.next().await {
                    let (context, turns) = (Arc::clone(&context), Arc::clone(&turns));
                    answering.spawn(async move { answer_one(&context, &turns, asked).await });
                    while answering.try_join_next().is_some() {}
                }
            }
            Err(error) => tracing::warn!(%error, "questions about recipients are not heard"),
        }
        tokio::time::sleep(REOPEN_PAUSE).await;
    }
}

async fn answer_one(context: &Context, turns: &Turns, asked: Asked) {
    let turns = turns.of(&asked.question.next_hop);
    let existence = tokio::time::timeout(TIME_LIMIT, async {
        match turns.acquire().await {
            Ok(_turn) => ask(context, &asked.question).await,
            Err(_closed) => Existence::Unclear("this worker ends".to_owned()), // never: nobody closes it
        }
    });
    let existence = existence
        .await
        .unwrap_or_else(|_| Existence::Unclear(format!("no answer within {} s", TIME_LIMIT.as_secs())));
    let result = match &existence {
        Existence::Exists => "exists",
        Existence::Unknown => "unknown",
        Existence::Unclear(_) => "unclear",
    };
    metrics::counter!(RECIPIENT_QUESTIONS, "result" => result).increment(1);
    asked.answer(&existence).await;
}

async fn ask(context: &Context, question: &RecipientQuestion) -> Existence {
    let RecipientQuestion { address, next_hop } = question;
    let egress = context.egress(&ReversePath::Null, next_hop);
    let opened = async {
        let hosts = dial::hosts(context, next_hop).await?;
        dial::open(context, next_hop, hosts, egress.as_ref()).await
    };
    let mut remote: RemoteSession = match opened.await {
        Ok(remote) => remote,
        Err(failure) => return Existence::Unclear(failure.cause.to_string()),
    };
    let existence = existence(&remote.ask(address.clone()).await);
    remote.quit().await;
    existence
}

fn existence(outcome: &RecipientOutcome) -> Existence {
    match outcome {
        RecipientOutcome::Delivered { .. } => Existence::Exists,
        RecipientOutcome::Failed(Failure { phase: Phase::Rcpt, cause: Cause::Remote(reply), .. })
            if reply.code >= 500 =>
        {
            refused(reply)
        }
        RecipientOutcome::Failed(failure) => Existence::Unclear(failure.cause.to_string()),
    }
}

/// A 5yz says that the mailbox is not there only where it says so: it may be about us as well.
fn refused(reply: &RemoteReply) -> Existence {
    let about_mailbox = match reply.enhanced {
        Some(EnhancedCode(_, subject, detail)) => match (subject, detail) {
            // RFC 3463 3.2 and RFC 7505; 5.2.1 is a mailbox that takes nothing.
            (1, 0 | 1 | 3 | 6 | 10) | (2, 1) => true,
            // It is there, and full or too small for some mail.
            (2, _) => return Existence::Exists,
            _ => false,
        },
        // Servers without codes say in the same way that they do not relay for us.
        None => {
            let is_about_us = reply.text.to_ascii_lowercase().contains("relay");
            matches!(reply.code, 550 | 551 | 553) && !is_about_us
        }
    };
    if about_mailbox { Existence::Unknown } else { Existence::Unclear(reply.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEED-064, row by row: only what is said of the mailbox counts as its absence.
    #[test]
    fn seed_064_what_a_refusal_says_of_the_mailbox() {
        let said = |code, text: &str| {
            let (enhanced, text) = match text.split_once(' ') {
                Some((first, rest)) if first.starts_with("5.") => (first.parse().ok(), rest),
                _ => (None, text),
            };
            let address = ([192, 0, 2, 1], 25).into();
            refused(&RemoteReply { host: "inner".into(), address, code, enhanced, text: text.into() })
        };
        for (code, text) in [
            (550, "5.1.1 user unknown"),
            (550, "5.1.10 RESOLVER.ADR.RecipientNotFound"),
            (554, "5.1.0 no such address"),
            (550, "5.2.1 mailbox disabled"),
            (550, "Unrouteable address"),
            (553, "no such user"),
        ] {
            assert_eq!(said(code, text), Existence::Unknown, "{text}");
        }
        for (code, text) in [(552, "5.2.2 mailbox full"), (552, "5.2.3 message too long")] {
            assert_eq!(said(code, text), Existence::Exists, "{text}");
        }
        for (code, text) in [
            (550, "5.7.1 access denied"),
            (550, "5.1.8 sender domain does not exist"),
            (554, "5.7.1 <x>: Relay access denied"),
            (550, "relay not permitted"),
            (554, "go away"),
            (503, "5.5.1 bad sequence"),
        ] {
            assert!(matches!(said(code, text), Existence::Unclear(_)), "{text}");
        }
    }
}

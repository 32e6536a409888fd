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
use tokio_util::sync::CancellationToken;

use crate::{
    connection::{
        RemoteSession,
        dial::{self, Wish},
    },
    context::Context,
    metrics::RECIPIENT_QUESTIONS,
};

/// Sessions at one next hop; what a flood of invented names may cost it.
const AT_ONE_NEXT_HOP: usize = 4;
/// Who asks has heard that nobody could say by then; the answer would be for nobody.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// Within the time that a worker has for writing what was decided.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

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

/// Answers until `shutdown`; what was asked by then has a moment for its answer, because nobody else has it.
pub(crate) async fn answer(context: Arc<Context>, shutdown: CancellationToken) {
    let mut answering = JoinSet::new();
    shutdown.run_until_cancelled(take_up(&context, &mut answering)).await;
    let _ = tokio::time::timeout(LAST_ANSWERS, answering.join_all()).await; // who asks hears that nobody could say
}

async fn take_up(context: &Arc<Context>, answering: &mut JoinSet<()>) {
    let turns = Arc::new(Turns::default());
    let mut questions = recipients::questions(&context.nats);
    while let Some(asked) = questions.next().await {
        let (context, turns) = (Arc::clone(context), Arc::clone(&turns));
        answering.spawn(async move { answer_one(&context, &turns, asked).await });
        while answering.try_join_next().is_some() {}
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
    metrics::counter!(RECIPIENT_QUESTIONS, "result" => existence.name()).increment(1);
    asked.answer(&existence).await;
}

async fn ask(context: &Context, question: &RecipientQuestion) -> Existence {
    let RecipientQuestion { address, next_hop } = question;
    let egress = context.egress(&ReversePath::Null, next_hop);
    let opened = async {
        let hosts = dial::hosts(context, next_hop).await?;
        dial::open(context, next_hop, &hosts, Wish::Nothing, egress.as_ref()).await
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
        None => matches!(reply.code, 550 | 551 | 553) && speaks_of_mailbox(&reply.text),
    };
    if about_mailbox { Existence::Unknown } else { Existence::Unclear(reply.to_string()) }
}

/// Servers without codes refuse a mailbox and us by the same number: the words have to say it.
fn speaks_of_mailbox(text: &str) -> bool {
    const OF_MAILBOX: [&str; 9] = [
        "unknown",
        "no such",
        "user",
        "mailbox",
        "recipient",
        "address",
        "unrouteable",
        "account",
        "not found",
    ];
    const OF_US: [&str; 10] = [
        "relay",
        "sender",
        "client",
        "denied",
        "prohibit",
        "block",
        "listed",
        "spam",
        "reject",
        "not allowed",
    ];
    let text = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    has(&OF_MAILBOX) && !has(&OF_US)
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
            (550, "Requested action not taken: mailbox unavailable"),
            (550, "sorry, no mailbox here by that name"),
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
            (550, "Administrative prohibition"),
            (550, "Access denied"),
            (550, "Sender verify failed"),
            (550, "your address is blacklisted"),
            (553, "sorry, that domain isn't in my list of allowed rcpthosts"),
            (550, "no"),
            (554, "go away"),
            (503, "5.5.1 bad sequence"),
        ] {
            assert!(matches!(said(code, text), Existence::Unclear(_)), "{text}");
        }
    }
}

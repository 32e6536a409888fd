//! What the DNS said of a domain is forgotten by all workers, when an operator says so (SEED-153).

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc, time::Duration};

use futures::StreamExt as _;
use hikyaku_queue::ask::{self, Topic};
use hikyaku_types::{destination::Destination, domain::Domain};

use crate::context::Context;

/// A worker only clears its memory.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who has forgotten, and who did not say so.
pub(crate) struct Forgotten {
    pub(crate) nodes: BTreeSet<String>,
    pub(crate) missing: BTreeSet<String>,
}

pub(crate) async fn forget_everywhere(context: &Context, domain: &Domain) -> Forgotten {
    let members = context.register.members().await.unwrap_or_default();
    let delivers = |role: &str| ["delivery", "up"].contains(&role);
    let mut missing: BTreeSet<String> =
        members.into_iter().filter(|member| delivers(&member.role)).map(|member| member.node).collect();
    let mut nodes = BTreeSet::new();
    let text = domain.to_string().into();
    let asking = ask::ask_all(&context.nats, Topic::StaleNames, text, PATIENCE, |answer| {
        let node = String::from_utf8_lossy(&answer).into_owned();
        missing.remove(&node);
        nodes.insert(node);
        if missing.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    asking.await;
    Forgotten { nodes, missing }
}

/// Answers for ever, with the name of this node.
pub(crate) async fn answer(context: Arc<Context>) {
    let mut questions = ask::questions(&context.nats, Topic::StaleNames);
    while let Some(question) = questions.next().await {
        let text = String::from_utf8_lossy(&question.payload).into_owned();
        let Ok(domain) = text.parse::<Domain>() else { continue };
        let hosts = context.resolver.hosts(&Destination::Mx(domain.clone())).await.unwrap_or_default();
        context.resolver.forget(&domain, &hosts, context.config.mx_port);
        question.answer(context.config.node.clone().into()).await;
    }
}

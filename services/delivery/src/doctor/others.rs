//! What the other workers see of the next hops: a firewall may stop one node and let another through
//! (SEED-221). One question to all, and each answers for its node.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc, time::Duration};

use futures::StreamExt as _;
use hikyaku_doctor::facts::Peer;
use hikyaku_queue::{
    ask::{self, Topic},
    presence::Presence,
};
use hikyaku_types::destination::Destination;
use serde::{Deserialize, Serialize};

use super::network;
use crate::context::Context;

/// Each peer takes twice a connection and a greeting at most.
const PATIENCE: Duration = Duration::from_secs(35);

#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    /// The node that asks, and looks by itself.
    node: String,
    /// Lines and destinations.
    hops: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    node: String,
    peers: Vec<Peer>,
}

/// What the others see, and those that do not say.
pub(super) async fn ask(
    context: &Context,
    presences: &[Presence],
    hops: &[(String, Destination)],
) -> (Vec<Peer>, Vec<String>) {
    let own = &context.config.node;
    let delivers = |presence: &&Presence| ["delivery", "up"].contains(&presence.role.as_str());
    let nodes = presences.iter().filter(delivers).map(|presence| presence.node.clone());
    let mut missing: BTreeSet<String> = nodes.filter(|node| node != own).collect();
    if missing.is_empty() || hops.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let hops = hops.iter().map(|(place, destination)| (place.clone(), destination.to_string())).collect();
    // Plain fields cannot fail to be written.
    let asked = serde_json::to_vec(&Asked { node: own.clone(), hops }).unwrap_or_default();
    let mut peers = Vec::new();
    let asking = ask::ask_all(&context.nats, Topic::Surroundings, asked.into(), PATIENCE, |answer| {
        if let Ok(answer) = serde_json::from_slice::<Answer>(&answer) {
            missing.remove(&answer.node);
            peers.extend(answer.peers);
        }
        if missing.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    asking.await;
    (peers, missing.into_iter().collect())
}

/// Answers for ever, one question after the other.
pub(crate) async fn answer(context: Arc<Context>) {
    let mut questions = ask::questions(&context.nats, Topic::Surroundings);
    while let Some(question) = questions.next().await {
        let Ok(asked) = serde_json::from_slice::<Asked>(&question.payload) else { continue };
        if asked.node == context.config.node {
            continue;
        }
        let peers = look(&context, asked.hops).await;
        let answer = Answer { node: context.config.node.clone(), peers };
        question.answer(serde_json::to_vec(&answer).unwrap_or_default().into()).await;
    }
}

async fn look(context: &Context, hops: Vec<(String, String)>) -> Vec<Peer> {
    let hops = hops.into_iter().filter_map(|(place, destination)| Some((place, destination.parse().ok()?)));
    let hops: Vec<(String, Destination)> = hops.collect();
    let resolver = context.resolver.afresh().unwrap_or_else(|_| context.resolver.clone());
    network::peers(context, &resolver, &hops).await
}

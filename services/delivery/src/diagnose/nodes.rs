//! One question to all workers, and each answers for its node.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc, time::Duration};

use futures::StreamExt as _;
use hikyaku_doctor::diagnose::View;
use hikyaku_queue::ask::{self, Topic};
use hikyaku_runtime::error_chain::chain;

use super::{Asked, Question, look};
use crate::context::Context;

/// For the way of an answer.
const GRACE: Duration = Duration::from_secs(3);
/// Questions that a worker answers at the same time; more wait.
const PARALLEL: usize = 4;

/// What was seen, this node first, and the workers that did not say.
#[derive(Debug)]
pub(crate) struct Views {
    pub(crate) views: Vec<View>,
    pub(crate) unheard: Vec<String>,
}

pub(crate) async fn ask(context: &Context, question: &Question) -> Views {
    let (own, (mut others, unheard)) =
        tokio::join!(look::look(context, question), ask_others(context, question));
    others.sort_by(|a, b| a.node.cmp(&b.node));
    let mut views = vec![own];
    views.append(&mut others);
    Views { views, unheard }
}

async fn ask_others(context: &Context, question: &Question) -> (Vec<View>, Vec<String>) {
    let own = &context.config.node;
    let members = context.register.members().await.unwrap_or_else(|error| {
        tracing::warn!(error = chain(&error), "the register of processes was not read");
        Vec::new()
    });
    let workers = members.into_iter().filter(|member| ["delivery", "up"].contains(&member.role.as_str()));
    let mut missing: BTreeSet<String> =
        workers.map(|member| member.node).filter(|node| node != own).collect();
    if missing.is_empty() {
        return (Vec::new(), Vec::new());
    }
    // Plain fields cannot fail to be written.
    let asked = serde_json::to_vec(&question.asked(own)).unwrap_or_default();
    let mut views = Vec::new();
    let patience = question.patience + GRACE;
    let asking = ask::ask_all(&context.nats, Topic::Diagnosis, asked.into(), patience, |answer| {
        if let Ok(view) = serde_json::from_slice::<View>(&answer) {
            missing.remove(&view.node);
            views.push(view);
        }
        if missing.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    asking.await;
    (views, missing.into_iter().collect())
}

/// Answers for ever.
pub(crate) async fn answer(context: Arc<Context>) {
    let questions = ask::questions(&context.nats, Topic::Diagnosis);
    let answering = questions.for_each_concurrent(PARALLEL, |asked| async {
        let Ok(from) = serde_json::from_slice::<Asked>(&asked.payload) else { return };
        let Some(question) = Question::read(&from) else { return };
        if from.node == context.config.node {
            return;
        }
        let view = look::look(&context, &question).await;
        asked.answer(serde_json::to_vec(&view).unwrap_or_default().into()).await;
    });
    answering.await;
}

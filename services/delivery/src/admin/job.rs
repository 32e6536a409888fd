//! Changes that take their time. The caller hears of the progress; the change goes on without it.

use std::{sync::Arc, time::Duration};

use hikyaku_mail_log::{Event, event::Operator, record};
use hikyaku_proto::admin::v1 as wire;
use hikyaku_queue::browse::{Progress, Tally};
use tokio::{
    sync::mpsc,
    time::{Instant, interval_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};

use super::status::CallError;

const TELL_EVERY: Duration = Duration::from_secs(1);

pub(super) type Answers<R> = ReceiverStream<Result<R, Status>>;

/// What is changed, for the mail log.
pub(super) struct Change {
    pub(super) verb: &'static str,
    pub(super) what: String,
    pub(super) who: String,
}

/// Starts `change` and answers with its progress until it has ended.
pub(super) fn start<R, C, F>(
    what: Change,
    answer: fn(Option<wire::Progress>) -> R,
    change: C,
) -> Response<Answers<R>>
where
    R: Send + 'static,
    C: FnOnce(Arc<Progress>) -> F,
    F: Future<Output = Result<(), CallError>> + Send + 'static,
{
    let progress = Arc::new(Progress::default());
    let mut job = tokio::spawn(change(Arc::clone(&progress)));
    let (answers, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut ticks = interval_at(Instant::now() + TELL_EVERY, TELL_EVERY);
        let ended = loop {
            tokio::select! {
                ended = &mut job => break ended,
                _ = ticks.tick() => {
                    // Who does not listen hears the result.
                    let _ = answers.try_send(Ok(answer(Some(told(*progress.borrow(), false)))));
                }
            }
        };
        let tally = *progress.borrow();
        log(&what, &tally);
        let result = match ended {
            Ok(Ok(())) => Ok(answer(Some(told(tally, true)))),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Status::internal("the change ended early; ask again")),
        };
        let _ = answers.send(result).await; // the caller may have gone
    });
    Response::new(ReceiverStream::new(receiver))
}

fn log(change: &Change, tally: &Tally) {
    let Tally { before, done, busy, held, unchanged: _, failed, after } = *tally;
    record(|| {
        Event::Operator(Operator {
            verb: change.verb.to_owned(),
            what: change.what.clone(),
            who: change.who.clone(),
            before: Some(before),
            done,
            busy: Some(busy),
            held: Some(held),
            failed: Some(failed),
            after: Some(after),
        })
    });
}

fn told(tally: Tally, finished: bool) -> wire::Progress {
    let Tally { before, done, busy, held, unchanged, failed, after } = tally;
    wire::Progress { before, done, busy, held, unchanged, failed, after, finished }
}

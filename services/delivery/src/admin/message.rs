//! What became of a message, by the mail log of all nodes (SEED-202).

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hikyaku_mail_log::{Key, fold};
use hikyaku_proto::admin::v1::{
    self as proto, list_message_events_request::Key as Asked,
    message_admin_service_server::MessageAdminService,
};
use hikyaku_queue::mail_log::{self, Found, Query};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::ids::{EntryId, NotAnId, QueueId};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Admin;

const USUAL: u32 = 20;
const MOST: u32 = 1_000;
/// Clocks of machines differ.
const MARGIN: Duration = Duration::from_secs(60);

/// A reader that stands still has the turn of others. 10,000 lines are read in seconds by whoever reads.
const READ_WITHIN: Duration = Duration::from_secs(60);
/// Lines on their way to the reader, beside what the connection holds.
const ON_THEIR_WAY: usize = 16;

type Lines = ReceiverStream<Result<proto::ListMessageEventsResponse, Status>>;

#[tonic::async_trait]
impl MessageAdminService for Admin {
    type ListMessageEventsStream = Lines;

    async fn list_message_events(
        &self,
        request: Request<proto::ListMessageEventsRequest>,
    ) -> Result<Response<Lines>, Status> {
        let query = query(request.into_inner())?;
        if !self.context.nats.keeps_mail_log() {
            return Err(Status::failed_precondition("the cluster keeps no mail log: mail_log.stream is off"));
        }
        let busy = "others look for messages already; try again when that has ended";
        let turn =
            Arc::clone(&self.searches).try_acquire_owned().map_err(|_| Status::resource_exhausted(busy))?;
        let found = mail_log::find(&self.context.nats, &query).await;
        let found = found.map_err(|error| Status::unavailable(chain(&error)))?;
        Ok(Response::new(answer(found, turn)))
    }
}

/// The next search has its turn when this was sent, or nobody wants it any more, or it took too long: until then it
/// is in memory. A task sends it: while the connection takes nothing nobody asks a stream for more, and it would not
/// hear of its time.
fn answer(found: Found, turn: OwnedSemaphorePermit) -> Lines {
    let (sender, receiver) = mpsc::channel(ON_THEIR_WAY);
    tokio::spawn(async move {
        let _turn = turn;
        // There is always room for the last word.
        let Ok(last_word) = sender.clone().try_reserve_owned() else { return };
        let end = proto::ListMessageEventsResponse { has_more: found.has_more, ..Default::default() };
        let line = |line| proto::ListMessageEventsResponse { line, has_more: false };
        let sending = async {
            for response in found.lines.into_iter().map(line).chain([end]) {
                if sender.send(Ok(response)).await.is_err() {
                    break;
                }
            }
        };
        if time::timeout(READ_WITHIN, sending).await.is_err() {
            let within = READ_WITHIN.as_secs();
            last_word.send(Err(Status::deadline_exceeded(format!("not read within {within} s"))));
        }
    });
    ReceiverStream::new(receiver)
}

fn query(request: proto::ListMessageEventsRequest) -> Result<Query, Status> {
    let proto::ListMessageEventsRequest { key, since, until, limit } = request;
    let keys = match key {
        Some(Asked::QueueId(text)) => match queue_id(&text) {
            Ok(id) => vec![id],
            Err(error) => return Err(Status::invalid_argument(format!("queue_id: {text:?}: {error}"))),
        },
        Some(Asked::MessageId(text)) => vec![Key::MessageId(named("message_id", &text)?)],
        Some(Asked::Sender(text)) => vec![Key::Sender(fold(&text))],
        Some(Asked::Recipient(text)) => vec![Key::Recipient(named("recipient", &text)?)],
        Some(Asked::Anything(text)) => match queue_id(&text) {
            Ok(id) => vec![id],
            Err(_) => {
                let text = named("anything", &text)?;
                vec![Key::MessageId(text.clone()), Key::Sender(text.clone()), Key::Recipient(text)]
            }
        },
        None => return Err(Status::invalid_argument("key: want a queue id, a Message-ID or an address")),
    };
    let limit = match limit {
        0 => USUAL,
        1..=MOST => limit,
        _ => return Err(Status::invalid_argument(format!("limit: at most {MOST}"))),
    };
    let since = instant("since", since, UNIX_EPOCH)?;
    let until = instant("until", until, SystemTime::now() + MARGIN)?;
    if since > until {
        return Err(Status::invalid_argument("since is later than until"));
    }
    Ok(Query { keys, since, until, messages: usize::try_from(limit).unwrap_or(usize::MAX) })
}

/// Entries are known by it too.
fn queue_id(text: &str) -> Result<Key, NotAnId> {
    let text = text.trim().to_uppercase();
    let id = text.parse::<QueueId>().or_else(|_| text.parse::<EntryId>().map(|entry| entry.queue_id))?;
    Ok(Key::QueueId(fold(&id.to_string())))
}

fn named(field: &str, text: &str) -> Result<String, Status> {
    let folded = fold(text);
    if folded.is_empty() { Err(Status::invalid_argument(format!("{field}: empty"))) } else { Ok(folded) }
}

fn instant(
    field: &str,
    given: Option<prost_types::Timestamp>,
    otherwise: SystemTime,
) -> Result<SystemTime, Status> {
    let Some(given) = given else { return Ok(otherwise) };
    let wrong = || Status::invalid_argument(format!("{field}: no time since 1970"));
    SystemTime::try_from(given).ok().filter(|at| *at >= UNIX_EPOCH).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use tokio::sync::Semaphore;

    use super::*;

    fn ask(key: Asked) -> Result<Vec<Key>, String> {
        let request = proto::ListMessageEventsRequest { key: Some(key), ..Default::default() };
        query(request).map(|query| query.keys).map_err(|status| status.message().to_owned())
    }

    #[test]
    fn messages_are_asked_for_by_what_people_have() {
        let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let expected = vec![Key::QueueId(id.to_lowercase())];
        assert_eq!(ask(Asked::QueueId(id.to_lowercase())), Ok(expected.clone()));
        assert_eq!(ask(Asked::QueueId(format!(" {id}-12 "))), Ok(expected));
        assert_eq!(ask(Asked::Sender("<>".to_owned())), Ok(vec![Key::Sender(String::new())]));
        assert_eq!(
            ask(Asked::Recipient("<Ann@Example.org>".to_owned())),
            Ok(vec![Key::Recipient("ann@example.org".to_owned())])
        );
        let id = ask(Asked::Anything("01arz3ndektsv4rrffq69g5fav".to_owned()));
        assert_eq!(id, ask(Asked::QueueId("01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned())));
        assert_eq!(ask(Asked::Anything("<1@X.example>".to_owned())).unwrap().len(), 3);
        assert!(ask(Asked::QueueId("x".to_owned())).unwrap_err().starts_with("queue_id: \"x\": not an id"));
        assert_eq!(ask(Asked::MessageId("<>".to_owned())), Err("message_id: empty".to_owned()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let key = Some(Asked::Recipient("a@x.example".to_owned()));
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        for (since, until, limit) in [(at(10), at(5), 1), (at(-10), None, 1), (None, None, 1_001)] {
            let request = proto::ListMessageEventsRequest { key: key.clone(), since, until, limit };
            assert_eq!(query(request).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
    }

    fn begin(searches: &Arc<Semaphore>, lines: usize) -> Option<Lines> {
        let turn = Arc::clone(searches).try_acquire_owned().ok()?;
        let lines = (0..lines).map(|number| number.to_string()).collect();
        Some(answer(Found { lines, has_more: true }, turn))
    }

    async fn is_free(searches: &Arc<Semaphore>) -> bool {
        time::timeout(Duration::from_secs(5), searches.acquire()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_has_its_turn_until_its_answer_is_sent() {
        const LINES: usize = ON_THEIR_WAY * 3;
        let searches = Arc::new(Semaphore::new(1));
        let mut sent = begin(&searches, LINES).unwrap();
        assert!(!is_free(&searches).await);
        for number in 0..LINES {
            assert_eq!(sent.next().await.unwrap().unwrap().line, number.to_string());
        }
        assert!(sent.next().await.unwrap().unwrap().has_more);
        assert!(sent.next().await.is_none());
        assert!(is_free(&searches).await);
        // Nobody wants it any more.
        let unread = begin(&searches, LINES).unwrap();
        assert!(!is_free(&searches).await);
        drop(unread);
        assert!(is_free(&searches).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_has_no_turn_for_ever() {
        let searches = Arc::new(Semaphore::new(1));
        let unread = begin(&searches, ON_THEIR_WAY * 3).unwrap();
        assert!(!is_free(&searches).await);
        time::sleep(READ_WITHIN).await;
        assert!(is_free(&searches).await);
        // It is told that this is not all.
        let mut read: Vec<_> = unread.collect().await;
        assert_eq!(read.pop().unwrap().unwrap_err().code(), tonic::Code::DeadlineExceeded);
        assert!(read.len() < ON_THEIR_WAY && read.iter().all(Result::is_ok));
    }
}

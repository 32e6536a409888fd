//! Two entries in the queue, and changes that go on.

use hikyaku_proto::admin::v1::{self as admin, queue_admin_service_server::QueueAdminService, selector::By};
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::{Answers, Scripted};

fn entry() -> admin::Entry {
    admin::Entry {
        id: "01ARZ3NDEKTSV4RRFFQ69G5FAV-0".to_owned(),
        destination: "example.org".to_owned(),
        state: admin::State::Scheduled.into(),
        reverse_path: String::new(),
        recipients: vec![admin::EntryRecipient {
            address: "a@example.org".to_owned(),
            last_failure: "mx.example.org[192.0.2.1:25]: 451 4.7.1 \u{1b}wait".to_owned(),
            last_failure_at: Some(Timestamp { seconds: 1_795_000_000, nanos: 0 }),
        }],
        accepted_at: Some(Timestamp { seconds: 1_795_000_000, nanos: 0 }),
        attempt: 1,
        next_attempt_at: Some(Timestamp { seconds: 1_795_000_120, nanos: 0 }),
        size: 4096,
        ..admin::Entry::default()
    }
}

/// Progress that goes on, and the result.
fn answers<R>(done: u64, answer: fn(Option<admin::Progress>) -> R) -> Result<Response<Answers<R>>, Status> {
    let running = admin::Progress { before: 5, done: 1, ..admin::Progress::default() };
    let ended = admin::Progress {
        before: 5,
        done,
        busy: 1,
        held: 2,
        after: 4,
        finished: true,
        ..admin::Progress::default()
    };
    Ok(Response::new(tokio_stream::iter(vec![Ok(answer(Some(running))), Ok(answer(Some(ended)))])))
}

fn by(selector: Option<admin::Selector>) -> Option<By> {
    selector.and_then(|selector| selector.by)
}

#[tonic::async_trait]
impl QueueAdminService for Scripted {
    type ListEntriesStream = Answers<admin::ListEntriesResponse>;
    type RetryEntriesStream = Answers<admin::RetryEntriesResponse>;
    type HoldEntriesStream = Answers<admin::HoldEntriesResponse>;
    type ReleaseEntriesStream = Answers<admin::ReleaseEntriesResponse>;
    type MoveEntriesStream = Answers<admin::MoveEntriesResponse>;
    type BounceEntriesStream = Answers<admin::BounceEntriesResponse>;
    type DeleteEntriesStream = Answers<admin::DeleteEntriesResponse>;

    /// Two entries, each on a page of its own, with an empty page between them.
    async fn list_entries(
        &self,
        request: Request<admin::ListEntriesRequest>,
    ) -> Result<Response<Self::ListEntriesStream>, Status> {
        let request = request.into_inner();
        let filter = request.filter.unwrap_or_default();
        let (count, next) = match (request.selector, request.page_token.as_str()) {
            (Some(_), _) => (0, ""),
            (None, _) if filter.state == i32::from(admin::State::Held) => (0, ""),
            (None, "") => (1, "1"),
            (None, "1") => (0, "2"),
            (None, _) => (1, ""),
        };
        let entry = || admin::ListEntriesResponse { entry: Some(entry()), next_page_token: String::new() };
        let end = admin::ListEntriesResponse { entry: None, next_page_token: next.to_owned() };
        let entries: Vec<_> = (0..count).map(|_| entry()).chain([end]).map(Ok).collect();
        Ok(Response::new(tokio_stream::iter(entries)))
    }

    async fn count_entries(
        &self,
        _: Request<admin::CountEntriesRequest>,
    ) -> Result<Response<admin::CountEntriesResponse>, Status> {
        let counts = admin::Counts { fresh: 1, bulk: 2, due: 3, scheduled: 1_000_000, busy: 4 };
        Ok(Response::new(admin::CountEntriesResponse { counts: Some(counts) }))
    }

    async fn get_entry(
        &self,
        request: Request<admin::GetEntryRequest>,
    ) -> Result<Response<admin::GetEntryResponse>, Status> {
        if request.get_ref().id == "gone" {
            return Err(Status::not_found("no entry gone is in the queue"));
        }
        Ok(Response::new(admin::GetEntryResponse { entries: vec![entry()] }))
    }

    async fn retry_entries(
        &self,
        request: Request<admin::RetryEntriesRequest>,
    ) -> Result<Response<Self::RetryEntriesStream>, Status> {
        assert_eq!(by(request.into_inner().selector), Some(By::Destination("[192.0.2.1]:25".to_owned())));
        answers(3, |progress| admin::RetryEntriesResponse { progress })
    }

    async fn hold_entries(
        &self,
        request: Request<admin::HoldEntriesRequest>,
    ) -> Result<Response<Self::HoldEntriesStream>, Status> {
        let request = request.into_inner();
        assert_eq!(request.reason, "work");
        assert_eq!(request.until.unwrap().to_string(), "2027-01-31T18:00:00Z");
        answers(3, |progress| admin::HoldEntriesResponse { progress })
    }

    async fn release_entries(
        &self,
        request: Request<admin::ReleaseEntriesRequest>,
    ) -> Result<Response<Self::ReleaseEntriesStream>, Status> {
        assert_eq!(by(request.into_inner().selector), Some(By::All(true)));
        answers(3, |progress| admin::ReleaseEntriesResponse { progress })
    }

    async fn move_entries(
        &self,
        request: Request<admin::MoveEntriesRequest>,
    ) -> Result<Response<Self::MoveEntriesStream>, Status> {
        assert_eq!(request.into_inner().to, "[192.0.2.9]:25");
        answers(3, |progress| admin::MoveEntriesResponse { progress })
    }

    async fn bounce_entries(
        &self,
        request: Request<admin::BounceEntriesRequest>,
    ) -> Result<Response<Self::BounceEntriesStream>, Status> {
        assert_eq!(request.into_inner().text, "closed");
        answers(3, |progress| admin::BounceEntriesResponse { progress })
    }

    async fn delete_entries(
        &self,
        request: Request<admin::DeleteEntriesRequest>,
    ) -> Result<Response<Self::DeleteEntriesStream>, Status> {
        assert_eq!(by(request.into_inner().selector), Some(By::Id("x-1".to_owned())));
        answers(1, |progress| admin::DeleteEntriesResponse { progress })
    }
}

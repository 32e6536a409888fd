//! Entries: seen, counted and changed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use hikyaku_grpc::who;
use hikyaku_proto::admin::v1::{self as proto, queue_admin_service_server::QueueAdminService};
use hikyaku_queue::{
    browse::{Page, Progress, Selector},
    holds::{Hold, HoldScope},
};
use tonic::{Request, Response, Status};

use super::{
    Admin, bounce,
    job::{Answers, Change, start},
    status::CallError,
    wire,
};

const DEFAULT_LIMIT: usize = 1_000;
/// Workers follow the holds; each change reaches them within milliseconds.
const HEARD_EVERYWHERE: Duration = Duration::from_millis(500);

type EntryStream = tokio_stream::Iter<std::vec::IntoIter<Result<proto::ListEntriesResponse, Status>>>;

#[tonic::async_trait]
impl QueueAdminService for Admin {
    type ListEntriesStream = EntryStream;
    type RetryEntriesStream = Answers<proto::RetryEntriesResponse>;
    type HoldEntriesStream = Answers<proto::HoldEntriesResponse>;
    type ReleaseEntriesStream = Answers<proto::ReleaseEntriesResponse>;
    type MoveEntriesStream = Answers<proto::MoveEntriesResponse>;
    type BounceEntriesStream = Answers<proto::BounceEntriesResponse>;
    type DeleteEntriesStream = Answers<proto::DeleteEntriesResponse>;

    async fn list_entries(
        &self,
        request: Request<proto::ListEntriesRequest>,
    ) -> Result<Response<EntryStream>, Status> {
        let request = request.into_inner();
        let selector = wire::optional(request.selector)?;
        let filter = wire::filter(request.filter)?;
        let from = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|error| CallError::Argument(format!("{token:?}: {error}")))?),
        };
        let page = self.browser.list(&selector, &filter, limit(request.limit), from).await;
        let Page { entries, next } = page.map_err(CallError::from)?;
        let entry = |found| proto::ListEntriesResponse {
            entry: Some(wire::entry(found)),
            next_page_token: String::new(),
        };
        let end = proto::ListEntriesResponse {
            entry: None,
            next_page_token: next.map(|token| token.to_string()).unwrap_or_default(),
        };
        let answers: Vec<_> = entries.into_iter().map(entry).chain([end]).map(Ok).collect();
        Ok(Response::new(tokio_stream::iter(answers)))
    }

    async fn count_entries(
        &self,
        request: Request<proto::CountEntriesRequest>,
    ) -> Result<Response<proto::CountEntriesResponse>, Status> {
        let selector = wire::optional(request.into_inner().selector)?;
        let counts = self.browser.count(&selector).await.map_err(CallError::from)?;
        Ok(Response::new(proto::CountEntriesResponse { counts: Some(wire::counts(counts)) }))
    }

    async fn get_entry(
        &self,
        request: Request<proto::GetEntryRequest>,
    ) -> Result<Response<proto::GetEntryResponse>, Status> {
        let id = request.into_inner().id;
        let selector = wire::read_id(&id)?;
        let found = self.browser.get(&selector).await.map_err(CallError::from)?;
        if found.is_empty() {
            let reason = format!("no entry {id} is in the queue; it has its end, or never was");
            return Err(CallError::NotFound(reason).into());
        }
        Ok(Response::new(proto::GetEntryResponse { entries: found.into_iter().map(wire::entry).collect() }))
    }

    async fn retry_entries(
        &self,
        request: Request<proto::RetryEntriesRequest>,
    ) -> Result<Response<Answers<proto::RetryEntriesResponse>>, Status> {
        let who = who(&request);
        let selector = wire::required(request.into_inner().selector)?;
        if let Selector::Destination(destination) = &selector
            && self.context.holds.holds().is_held(destination, SystemTime::now()).is_some()
        {
            return Err(CallError::Precondition(format!("{destination} is held; release it first")).into());
        }
        let browser = self.browser.clone();
        let answer = |progress| proto::RetryEntriesResponse { progress };
        Ok(start(change("retry", &selector, who), answer, |progress| async move {
            Ok(browser.retry(&selector, &progress).await?)
        }))
    }

    async fn hold_entries(
        &self,
        request: Request<proto::HoldEntriesRequest>,
    ) -> Result<Response<Answers<proto::HoldEntriesResponse>>, Status> {
        let caller = who(&request);
        let proto::HoldEntriesRequest { selector, until, reason, who: called } = request.into_inner();
        let selector = wire::required(selector)?;
        let since = SystemTime::now();
        let until = until.map(wire::time).transpose()?;
        if until.is_some_and(|until| until <= since) {
            return Err(CallError::Argument("the end of the hold is over already".to_owned()).into());
        }
        let hold = Hold { until, since, reason, who: signed(caller.clone(), &called) };
        let admin = self.clone();
        let what = Change {
            verb: "hold",
            what: format!("{} by {:?}: {:?}", wire::name(&selector), hold.who, hold.reason),
            who: caller,
        };
        let answer = |progress| proto::HoldEntriesResponse { progress };
        Ok(start(what, answer, |progress| async move { admin.hold(&selector, hold, &progress).await }))
    }

    async fn release_entries(
        &self,
        request: Request<proto::ReleaseEntriesRequest>,
    ) -> Result<Response<Answers<proto::ReleaseEntriesResponse>>, Status> {
        let who = who(&request);
        let selector = wire::required(request.into_inner().selector)?;
        let admin = self.clone();
        let answer = |progress| proto::ReleaseEntriesResponse { progress };
        Ok(start(change("release", &selector, who), answer, |progress| async move {
            admin.release(&selector, &progress).await
        }))
    }

    async fn move_entries(
        &self,
        request: Request<proto::MoveEntriesRequest>,
    ) -> Result<Response<Answers<proto::MoveEntriesResponse>>, Status> {
        let who = who(&request);
        let proto::MoveEntriesRequest { selector, to } = request.into_inner();
        let (selector, to) = (wire::required(selector)?, wire::destination(&to)?);
        if selector == Selector::Destination(to.clone()) {
            return Err(CallError::Argument(format!("{to} is where they are")).into());
        }
        let browser = self.browser.clone();
        let answer = |progress| proto::MoveEntriesResponse { progress };
        Ok(start(change("move", &selector, who), answer, |progress| async move {
            Ok(browser.move_to(&selector, &to, &progress).await?)
        }))
    }

    async fn bounce_entries(
        &self,
        request: Request<proto::BounceEntriesRequest>,
    ) -> Result<Response<Answers<proto::BounceEntriesResponse>>, Status> {
        let who = who(&request);
        let proto::BounceEntriesRequest { selector, text } = request.into_inner();
        let selector = wire::required(selector)?;
        let text: Arc<str> = bounce::reason(&text)?.into();
        let (browser, context) = (self.browser.clone(), Arc::clone(&self.context));
        let answer = |progress| proto::BounceEntriesResponse { progress };
        Ok(start(change("bounce", &selector, who), answer, |progress| async move {
            let act = |taken| bounce::bounce(Arc::clone(&context), taken, Arc::clone(&text));
            Ok(browser.take_each(&selector, &progress, act).await?)
        }))
    }

    async fn delete_entries(
        &self,
        request: Request<proto::DeleteEntriesRequest>,
    ) -> Result<Response<Answers<proto::DeleteEntriesResponse>>, Status> {
        let who = who(&request);
        let selector = wire::required(request.into_inner().selector)?;
        let browser = self.browser.clone();
        let answer = |progress| proto::DeleteEntriesResponse { progress };
        Ok(start(change("delete", &selector, who), answer, |progress| async move {
            Ok(browser.delete(&selector, &progress).await?)
        }))
    }
}

impl Admin {
    async fn hold(&self, selector: &Selector, hold: Hold, progress: &Progress) -> Result<(), CallError> {
        let Some(scope) = scope(selector) else {
            return Ok(self.browser.hold(selector, &hold, progress).await?);
        };
        self.context.holds.hold(&scope, hold).await?;
        // They wait where they are: workers set them aside when they come to them.
        let all = self.browser.count(selector).await?.all();
        progress.send_modify(|tally| (tally.before, tally.done, tally.after) = (all, all, all));
        Ok(())
    }

    async fn release(&self, selector: &Selector, progress: &Progress) -> Result<(), CallError> {
        let Some(scope) = scope(selector) else {
            return Ok(self.browser.release(selector, progress).await?);
        };
        let holds = &self.context.holds;
        holds.release(&scope).await?;
        // What a worker sets aside before it hears of it is released too.
        tokio::time::sleep(HEARD_EVERYWHERE).await;
        Ok(self.browser.release_destinations(selector, holds.holds(), progress).await?)
    }
}

/// What one record holds.
fn scope(selector: &Selector) -> Option<HoldScope> {
    match selector {
        Selector::All => Some(HoldScope::Everything),
        Selector::Destination(destination) => Some(HoldScope::Destination(destination.clone())),
        Selector::QueueId(_) | Selector::Entry(_) => None,
    }
}

fn change(verb: &'static str, selector: &Selector, who: String) -> Change {
    Change { verb, what: wire::name(selector), who }
}

/// Who holds is who was admitted. What they call themselves may say more where a token is shared.
fn signed(who: String, called: &str) -> String {
    if called.is_empty() || called == who { who } else { format!("{who} ({called})") }
}

/// 0: as many as fit into a page.
pub(super) fn limit(wanted: u32) -> usize {
    match usize::try_from(wanted) {
        Ok(0) | Err(_) => DEFAULT_LIMIT,
        Ok(limit) => limit,
    }
}

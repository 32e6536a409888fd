//! A web server that keeps what is posted to it, and refuses as often as it is told, or what it is told to.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use tokio::net::TcpListener;

#[derive(Debug, Clone)]
pub struct Post {
    /// `idempotency-key` and `authorization`, empty where there is none.
    pub id: String,
    pub authorization: String,
    pub body: String,
    pub was_taken: bool,
}

#[derive(Debug, Default)]
struct Kept {
    posts: Vec<Post>,
    refusals: usize,
    /// Answered with this status while the text is in it.
    refused: Option<(String, StatusCode)>,
}

#[derive(Debug, Clone)]
pub struct Hook {
    pub address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

impl Hook {
    /// The first so many posts are answered 503.
    pub async fn start(refusals: usize) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let kept = Arc::new(Mutex::new(Kept { posts: Vec::new(), refusals, refused: None }));
        let router = Router::new().route("/lines", post(keep)).with_state(Arc::clone(&kept));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, kept })
    }

    /// From now on a post with this text in it is answered so; with an empty text each post.
    pub fn refuse(&self, text: &str, status: u16) -> anyhow::Result<()> {
        self.kept().refused = Some((text.to_owned(), StatusCode::from_u16(status)?));
        Ok(())
    }

    pub fn refuse_nothing(&self) {
        self.kept().refused = None;
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn posts(&self) -> Vec<Post> {
        self.kept().posts.clone()
    }
}

async fn keep(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: String) -> StatusCode {
    let header =
        |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let refused = kept.refused.as_ref().filter(|(text, _)| body.contains(text));
    let refused =
        refused.map(|(_, status)| *status).or((kept.refusals > 0).then_some(StatusCode::SERVICE_UNAVAILABLE));
    kept.refusals = kept.refusals.saturating_sub(1);
    let was_taken = refused.is_none();
    let (id, authorization) = (header("idempotency-key"), header("authorization"));
    kept.posts.push(Post { id, authorization, body, was_taken });
    refused.unwrap_or(StatusCode::NO_CONTENT)
}

//! A web server that keeps what is posted to it, and refuses as often as it is told.

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
        let kept = Arc::new(Mutex::new(Kept { posts: Vec::new(), refusals }));
        let router = Router::new().route("/lines", post(keep)).with_state(Arc::clone(&kept));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, kept })
    }

    pub fn posts(&self) -> Vec<Post> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).posts.clone()
    }
}

async fn keep(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: String) -> StatusCode {
    let header =
        |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let was_taken = kept.refusals == 0;
    kept.refusals = kept.refusals.saturating_sub(1);
    let (id, authorization) = (header("idempotency-key"), header("authorization"));
    kept.posts.push(Post { id, authorization, body, was_taken });
    if was_taken { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE }
}

//! A wire between two programs that can be cut without either being told: connections stay and
//! carry nothing. It can be thin, too, and it can keep what was said.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

const LOOK_EVERY: Duration = Duration::from_millis(20);

pub struct Wire {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    is_cut: AtomicBool,
    /// Octets a second in each direction; 0: as many as there are.
    width: AtomicU64,
    /// What who connects has said, on all connections.
    said: Option<Mutex<Vec<u8>>>,
}

impl Wire {
    /// To a program that may not listen yet.
    pub async fn to(target: SocketAddr) -> anyhow::Result<Self> {
        Self::with(target, State::default()).await
    }

    /// The same, and what is said to the program is kept.
    pub async fn keeping(target: SocketAddr) -> anyhow::Result<Self> {
        Self::with(target, State { said: Some(Mutex::default()), ..State::default() }).await
    }

    async fn with(target: SocketAddr, state: State) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(state);
        let task = tokio::spawn(forward(listener, target, Arc::clone(&state)));
        Ok(Self { address, state, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that was said to the program so far.
    pub fn said(&self) -> Vec<u8> {
        self.state.said.as_ref().map(|said| said.lock().unwrap().clone()).unwrap_or_default()
    }

    pub fn cut(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
    }

    pub fn heal(&self) {
        self.state.is_cut.store(false, Ordering::SeqCst);
    }

    /// Makes it thin; 0: as wide as it was.
    pub fn carry(&self, octets_a_second: u64) {
        self.state.width.store(octets_a_second, Ordering::SeqCst);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(listener: TcpListener, target: SocketAddr, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let Ok(far) = TcpStream::connect(target).await else { return };
            let (near_reader, near_writer) = near.into_split();
            let (far_reader, far_writer) = far.into_split();
            tokio::select! {
                () = pump(near_reader, far_writer, &state, state.said.as_ref()) => {}
                () = pump(far_reader, near_writer, &state, None) => {}
            }
        });
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State, said: Option<&Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if let Some(said) = said {
            said.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
        while state.is_cut.load(Ordering::SeqCst) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if let Some(nanoseconds) =
            (count as u64 * 1_000_000_000).checked_div(state.width.load(Ordering::SeqCst))
        {
            tokio::time::sleep(Duration::from_nanos(nanoseconds)).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

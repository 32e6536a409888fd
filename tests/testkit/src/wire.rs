//! A wire between two programs that can be cut without either being told: connections stay and
//! carry nothing.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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
    is_cut: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Wire {
    /// To a program that may not listen yet.
    pub async fn to(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let is_cut = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(forward(listener, target, Arc::clone(&is_cut)));
        Ok(Self { address, is_cut, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    pub fn heal(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(listener: TcpListener, target: SocketAddr, is_cut: Arc<AtomicBool>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let is_cut = Arc::clone(&is_cut);
        connections.spawn(async move {
            let Ok(far) = TcpStream::connect(target).await else { return };
            let (near_reader, near_writer) = near.into_split();
            let (far_reader, far_writer) = far.into_split();
            tokio::select! {
                () = pump(near_reader, far_writer, &is_cut) => {}
                () = pump(far_reader, near_writer, &is_cut) => {}
            }
        });
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_cut: &AtomicBool) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        while is_cut.load(Ordering::SeqCst) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

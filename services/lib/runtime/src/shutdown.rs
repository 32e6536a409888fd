//! SIGTERM or SIGINT starts the drain; a second one ends the process at once. SIGHUP asks for a change.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the second signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndNow;

#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP, which does not end the process then.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}

impl Signals {
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Cancels `drain` at the first signal and returns at the second.
    pub async fn run(mut self, drain: CancellationToken) -> EndNow {
        self.next().await;
        tracing::info!("draining; a second signal ends at once");
        drain.cancel();
        self.next().await;
        EndNow
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

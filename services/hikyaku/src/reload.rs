//! SIGHUP: the configuration is read again, and the listeners become what it says now (SEED-130). What else has
//! changed in it is in force after a restart.

use hikyaku_ingress::listeners::Listeners;
use hikyaku_runtime::shutdown::Hangups;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{Flags, Role},
    config, parts,
};

pub(crate) struct Reload {
    hangups: Hangups,
    role: Role,
    flags: Flags,
}

impl Reload {
    /// From here on a SIGHUP does not end the process.
    pub(crate) fn listen(role: Role, flags: Flags) -> std::io::Result<Self> {
        Ok(Self { hangups: Hangups::listen()?, role, flags })
    }

    /// Until `shutdown`. `has_tls`: the process has certificates.
    pub(crate) fn follow(mut self, listeners: Listeners, has_tls: bool, shutdown: &CancellationToken) {
        let following = async move {
            loop {
                self.hangups.next().await;
                match self.once(&listeners, has_tls).await {
                    Ok(()) => tracing::info!(?listeners, "listeners are as the configuration says"),
                    Err(error) => {
                        tracing::error!(error = format!("{error:#}"), ?listeners, "listeners are unchanged");
                    }
                }
            }
        };
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(following));
    }

    async fn once(&self, listeners: &Listeners, has_tls: bool) -> anyhow::Result<()> {
        let config = config::load(self.role, self.flags.clone())?;
        parts::change_listeners(listeners, &config, has_tls).await
    }
}

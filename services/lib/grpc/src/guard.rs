//! How the listeners of a process are secured, and who may call.

use std::{io, path::PathBuf, sync::Arc};

use futures::Stream;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tracing::warn;

use crate::{
    callers::{Caller, Callers},
    connection::{Connection, incoming},
    follow::{FileError, Followed},
    gate::Gate,
    refusals::Refusals,
    role::Role,
    tls::{self, ServerTls},
    token::Token,
};

/// The name of who shows the token that is known beside the callers file.
const OPERATOR: &str = "operator";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuardConfig {
    /// Without it connections are plain.
    pub tls: Option<ServerTls>,
    /// Who may call.
    pub callers: Option<PathBuf>,
    /// A file with a token, not its hash; who shows it is an operator.
    pub operator_token: Option<PathBuf>,
}

/// For all listeners of a process; cheap to clone. The default knows nobody: only the policy answers,
/// and only to processes of this machine.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    tls: Option<Followed<ServerConfig>>,
    callers: Option<Followed<Callers>>,
    refusals: Arc<Refusals>,
}

impl Guard {
    /// Must run inside a tokio runtime.
    pub fn new(config: &GuardConfig) -> Result<Self, FileError> {
        let tls = config.tls.as_ref().map(tls::server).transpose()?;
        Ok(Self { tls, callers: callers(config)?, refusals: Arc::default() })
    }

    /// The layer for a server on this listener.
    pub fn gate(&self, listener: &TcpListener) -> io::Result<Gate> {
        let is_local = self.tls.is_none() && listener.local_addr()?.ip().to_canonical().is_loopback();
        Ok(Gate { callers: self.callers.clone(), is_local, refusals: Arc::clone(&self.refusals) })
    }

    /// Connections for a server, after their handshakes.
    pub fn incoming(
        &self,
        listener: TcpListener,
    ) -> impl Stream<Item = io::Result<Connection>> + Send + use<> {
        incoming(listener, self.tls.clone(), Arc::clone(&self.refusals))
    }
}

fn callers(config: &GuardConfig) -> Result<Option<Followed<Callers>>, FileError> {
    let (file, token) = (config.callers.clone(), config.operator_token.clone());
    let files: Vec<PathBuf> = file.iter().chain(&token).cloned().collect();
    if files.is_empty() {
        return Ok(None);
    }
    let read = move |contents: &[Vec<u8>]| {
        let mut contents = contents.iter();
        let mut callers = match (&file, file.as_ref().and_then(|_| contents.next())) {
            (Some(path), Some(text)) => Callers::parse(path, text).map_err(FileError::Callers)?,
            (_, _) => Callers::default(),
        };
        if let Some((path, text)) = token.as_ref().zip(contents.next()) {
            let text = String::from_utf8_lossy(text);
            let token = Token::read(&text).map_err(|error| FileError::content(path, error))?;
            callers.add_token(&token, Caller { name: OPERATOR.into(), role: Role::Operator });
        }
        if callers.is_empty() {
            warn!("the callers file names nobody");
        }
        Ok(callers)
    };
    Followed::start(files, read).map(Some)
}

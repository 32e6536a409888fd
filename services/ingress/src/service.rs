//! What a listener is for.

use std::net::SocketAddr;

use hikyaku_types::{domain::Domain, origin::Listener};
use tokio::net::TcpListener;

/// A socket that is bound already, so that a test may use port 0.
#[derive(Debug)]
pub struct Listening {
    pub socket: TcpListener,
    /// What it was bound to, as it is written in the configuration.
    pub address: SocketAddr,
    pub service: Service,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub listener: Listener,
    pub tls: TlsStart,
    /// Completes a login without a domain (SEED-048).
    pub default_domain: Option<Domain>,
    /// What stands behind 220, in place of the name of the cluster and `ESMTP`.
    pub banner: Option<String>,
}

/// When TLS begins, where there are certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsStart {
    /// RFC 3207: when the client asks for it.
    OnRequest,
    /// RFC 8314 3.3: with the connection.
    AtOnce,
}

impl Service {
    /// Port 25.
    pub const RELAY: Self =
        Self { listener: Listener::Relay, tls: TlsStart::OnRequest, default_domain: None, banner: None };

    /// Port 587 or 465.
    pub const fn submission(tls: TlsStart, default_domain: Option<Domain>) -> Self {
        Self { listener: Listener::Submission, tls, default_domain, banner: None }
    }
}

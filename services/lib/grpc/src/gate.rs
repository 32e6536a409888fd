//! Admits a call, or refuses it, before anything of it is read.

use std::{
    future::ready,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tonic::{
    Request, Status,
    body::Body,
    codegen::http::{self, header::AUTHORIZATION},
};
use tower::{Layer, Service};

use crate::{
    access::{Access, access, names},
    callers::{Caller, Callers},
    certificate::CertificateName,
    connection::Peer,
    follow::Followed,
    metrics,
    refusals::{Refusal, Refusals},
    role::Role,
    span,
};

/// A process of this machine that asks the policy over loopback and shows nothing.
const LOCAL: &str = "local";

/// Stands in front of all services of a server.
#[derive(Debug, Clone)]
pub struct Gate {
    pub(crate) callers: Option<Followed<Callers>>,
    /// Nobody but processes of this machine can reach it, and it asks for no certificate.
    pub(crate) is_local: bool,
    pub(crate) refusals: Arc<Refusals>,
}

/// Kept with a request for what its handler has to ask.
#[derive(Debug, Clone)]
struct Admitted {
    peer: Option<Peer>,
    path: Arc<str>,
    refusals: Arc<Refusals>,
}

/// Who makes this call. Calls that are open to anybody have none.
pub fn caller<T>(request: &Request<T>) -> Option<&Caller> {
    request.extensions().get()
}

/// Their name, for a log.
pub fn who<T>(request: &Request<T>) -> String {
    caller(request).map_or_else(|| "-".to_owned(), |caller| caller.name.to_string())
}

/// For a call that needs more than the table says, because of what it asks for.
pub fn require<T>(request: &Request<T>, needed: Role) -> Result<(), Status> {
    let refusal = match caller(request) {
        Some(caller) if caller.role >= needed => return Ok(()),
        Some(caller) => Refusal::Role { name: caller.name.to_string(), role: caller.role, needed },
        None => Refusal::Nobody { needed },
    };
    Err(match request.extensions().get::<Admitted>() {
        Some(Admitted { peer, path, refusals }) => {
            refusals.call(peer.as_ref().and_then(|peer| peer.address), path, &refusal)
        }
        None => refusal.status("this call"),
    })
}

/// What a call shows.
#[derive(Debug, Clone, Copy, Default)]
struct Shown<'a> {
    /// Text of the header, whatever it is.
    authorization: Option<&'a [u8]>,
    names: &'a [CertificateName],
    has_certificate: bool,
}

impl Gate {
    fn admit(&self, access: Access, shown: Shown<'_>) -> Result<Option<Caller>, Refusal> {
        let Some(needed) = access.needed() else { return Ok(None) };
        let caller = self.known(needed, shown)?;
        if access.admits(caller.role) {
            Ok(Some(caller))
        } else {
            Err(Refusal::Role { name: caller.name.to_string(), role: caller.role, needed })
        }
    }

    /// A token says more than a certificate, because it was given for this call.
    fn known(&self, needed: Role, shown: Shown<'_>) -> Result<Caller, Refusal> {
        let callers = self.callers.as_ref().map(Followed::current).unwrap_or_default();
        if let Some(text) = shown.authorization {
            let known = bearer(text).and_then(|token| callers.by_token(token));
            return known.cloned().ok_or(Refusal::UnknownToken);
        }
        if shown.has_certificate {
            let known = callers.by_certificate(shown.names);
            return known.cloned().ok_or_else(|| Refusal::UnknownCertificate(shown.names.to_vec()));
        }
        if self.is_local && needed == Role::Relay {
            return Ok(Caller { name: LOCAL.into(), role: Role::Relay });
        }
        Err(Refusal::Nobody { needed })
    }
}

/// RFC 6750 2.1; RFC 9110 11.1: the name of a scheme is the same in any case.
fn bearer(authorization: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(authorization).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl<S> Layer<S> for Gate {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { gate: self.clone(), inner }
    }
}

/// A service behind the gate.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    gate: Gate,
    inner: S,
}

impl<S, B> Service<http::Request<B>> for Guarded<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let begun = Instant::now();
        let path: Arc<str> = request.uri().path().into();
        let peer = request.extensions().get::<Peer>().cloned();
        let shown = Shown {
            authorization: request.headers().get(AUTHORIZATION).map(http::HeaderValue::as_bytes),
            names: peer.as_ref().map(|peer| &*peer.names).unwrap_or_default(),
            has_certificate: peer.as_ref().is_some_and(|peer| peer.has_certificate),
        };
        match self.gate.admit(access(&path), shown) {
            Ok(caller) => {
                // Services do not see what was shown for it.
                request.headers_mut().remove(AUTHORIZATION);
                if let Some(caller) = caller {
                    request.extensions_mut().insert(caller);
                }
                let (refusals, names) = (Arc::clone(&self.gate.refusals), names(&path));
                let address = peer.as_ref().and_then(|peer| peer.address);
                let span = names.map(|names| span::of_call(&request, names, address)).unwrap_or_default();
                request.extensions_mut().insert(Admitted { peer, path, refusals });
                let answer = self.inner.call(request);
                Box::pin(async move {
                    // In the span, because the trace of a slow call is looked for.
                    let measured = async {
                        let answer = answer.await;
                        if let Some(names) = names {
                            metrics::answered(names, begun.elapsed());
                        }
                        answer
                    };
                    let answer = span.around(measured).await;
                    if let Ok(answer) = &answer {
                        span::answered(&span, answer);
                    }
                    answer
                })
            }
            Err(refusal) => {
                let address = peer.and_then(|peer| peer.address);
                let status = self.gate.refusals.call(address, &path, &refusal);
                Box::pin(ready(Ok(status.into_http())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::token::Token;

    const READ: Access = Access::Least(Role::Viewer);
    const CHANGE: Access = Access::Least(Role::Operator);
    const QUESTION: Access = Access::Least(Role::Relay);

    async fn gate(is_local: bool) -> Gate {
        let hash = |token: &str| Token::read(token).unwrap().hash();
        let text = format!(
            "ann operator {}\nbob viewer {}\ningress relay dns:ingress.test\n",
            hash("of-ann"),
            hash("of-bob")
        );
        let read = move |_: &[Vec<u8>]| Ok(Callers::parse(Path::new("callers"), text.as_bytes()).unwrap());
        Gate { callers: Some(Followed::start(vec![], read).unwrap()), is_local, refusals: Arc::default() }
    }

    fn token(header: &str) -> Shown<'_> {
        Shown { authorization: Some(header.as_bytes()), ..Shown::default() }
    }

    fn said(result: Result<Option<Caller>, Refusal>) -> String {
        match result {
            Ok(Some(caller)) => format!("{} {}", caller.name, caller.role),
            Ok(None) => "anybody".to_owned(),
            Err(refusal) => format!("{refusal:?}"),
        }
    }

    #[tokio::test]
    async fn a_token_says_who_calls() {
        let gate = gate(false).await;
        assert_eq!(said(gate.admit(CHANGE, token("Bearer of-ann"))), "ann operator");
        assert_eq!(said(gate.admit(QUESTION, token("bearer of-ann"))), "ann operator");
        assert_eq!(said(gate.admit(READ, token("Bearer of-bob"))), "bob viewer");
        let refused = gate.admit(CHANGE, token("Bearer of-bob"));
        let role = Refusal::Role { name: "bob".to_owned(), role: Role::Viewer, needed: Role::Operator };
        assert_eq!(refused, Err(role));
        assert_eq!(said(gate.admit(Access::Relays, token("Bearer of-ann"))), "ann operator");
        let refused = gate.admit(Access::Relays, token("Bearer of-bob"));
        let role = Refusal::Role { name: "bob".to_owned(), role: Role::Viewer, needed: Role::Relay };
        assert_eq!(refused, Err(role), "who only looks tries no passwords");
        for unknown in ["Bearer of-eve", "Bearer", "Bearer ", "Basic of-ann", "of-ann", "", "Bearer \u{fc}"] {
            assert_eq!(gate.admit(READ, token(unknown)), Err(Refusal::UnknownToken), "{unknown:?}");
        }
        assert_eq!(said(gate.admit(Access::Anybody, token("Bearer of-eve"))), "anybody");
    }

    #[tokio::test]
    async fn a_certificate_says_who_calls() {
        let gate = gate(false).await;
        let names = ["uri:a:b", "dns:ingress.test"].map(|name| name.parse().unwrap());
        let shown = Shown { names: &names, has_certificate: true, ..Shown::default() };
        assert_eq!(said(gate.admit(QUESTION, shown)), "ingress relay");
        assert!(matches!(gate.admit(READ, shown), Err(Refusal::Role { role: Role::Relay, .. })));
        let other = Shown { names: &names[..1], ..shown };
        assert_eq!(gate.admit(QUESTION, other), Err(Refusal::UnknownCertificate(names[..1].to_vec())));
        let both = Shown { authorization: Some(b"Bearer of-ann"), ..shown };
        assert_eq!(said(gate.admit(CHANGE, both)), "ann operator");
        let wrong = Shown { authorization: Some(b"Bearer of-eve"), ..shown };
        assert_eq!(gate.admit(QUESTION, wrong), Err(Refusal::UnknownToken));
    }

    #[tokio::test]
    async fn who_shows_nothing_may_ask_the_policy_of_this_machine_and_nothing_else() {
        let local = gate(true).await;
        assert_eq!(said(local.admit(QUESTION, Shown::default())), "local relay");
        let remote = gate(false).await;
        let nobody = |needed| Err(Refusal::Nobody { needed });
        assert_eq!(remote.admit(QUESTION, Shown::default()), nobody(Role::Relay));
        for gate in [local, remote] {
            assert_eq!(gate.admit(READ, Shown::default()), nobody(Role::Viewer));
            assert_eq!(gate.admit(CHANGE, Shown::default()), nobody(Role::Operator));
            assert_eq!(said(gate.admit(Access::Anybody, Shown::default())), "anybody");
        }
    }
}

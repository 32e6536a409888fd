//! Destination -> hosts -> addresses -> a session that takes mail. All hosts of a destination are
//! tried in one attempt, in preference order (SEED-151).

use std::{net::IpAddr, time::SystemTime};

use crate::{
    connection::{demand, login, opening::Opening, race, security::TlsPolicy, transfer::RemoteSession},
    context::Context,
    outcome::classify,
};
use hikyaku_route::plan::RouteError;
use hikyaku_types::{
    destination::{Destination, HostName},
    outcome::{Cause, Failure, FailureClass, Phase},
    traffic::EgressAddress,
};

/// SEED-151: hosts tried in one attempt.
const MAX_HOSTS: usize = 5;

/// The hosts of a destination in the order to try them: all, because they name its site.
pub(crate) async fn hosts(context: &Context, destination: &Destination) -> Result<Vec<HostName>, Failure> {
    match context.resolver.hosts(destination).await {
        Ok(hosts) => Ok(hosts),
        Err(error) => {
            in_host_map(context, destination).ok_or_else(|| classify::no_route(&error, SystemTime::now()))
        }
    }
}

/// What the mail asks for, beyond what the rules and the destination do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Nothing,
    /// RFC 8689.
    RequireTls,
}

pub(crate) async fn open(
    context: &Context,
    destination: &Destination,
    hosts: &[HostName],
    wish: Wish,
    egress: Option<&EgressAddress>,
) -> Result<RemoteSession, Failure> {
    let now = SystemTime::now;
    let security = context.security(destination);
    let login = match &security.login {
        Some(name) => Some(login::read(context, destination, name).await?),
        None => None,
    };
    let sts = match destination {
        Destination::Mx(domain) if security.tls != TlsPolicy::Off => context.sts_policy(domain).await,
        Destination::Mx(_) | Destination::Host { .. } => None,
    };
    let opening = Opening::new(context, destination, security, login, egress);
    let mut failures = Failures { wish, remote: None, unwilling: None, local: None, unprotected: None };
    let behind = behind_mx(context, destination, hosts);
    for host in hosts.iter().take(MAX_HOSTS).chain(&behind) {
        let addresses = match addresses(context, host).await {
            Ok(addresses) => addresses,
            // The MX hosts are what its mail is for, so their failure counts.
            Err(_) if behind.as_ref() == Some(host) => continue,
            Err(error) => {
                failures.add(no_address(destination, host, &error));
                continue;
            }
        };
        let demand =
            demand::of_host(context, destination, sts.as_ref(), host, opening.port, &opening.security.tls);
        let demand = match (demand.await, wish) {
            (Ok(demand), Wish::RequireTls) => {
                demand::protected(context, destination, sts.as_ref(), host, demand).await
            }
            (demand, Wish::Nothing | Wish::RequireTls) => demand,
        };
        let demand = match demand {
            Ok(demand) => demand,
            Err(failure) => {
                failures.add(failure);
                continue;
            }
        };
        let mut left = race::in_turn(&addresses, opening.port);
        while let Some((address, stream)) =
            race::first(&mut left, |to| opening.connection(host, to), |failure| failures.add(failure)).await
        {
            match opening.on(host, address, stream, &demand.policy).await {
                Ok(session) if wish == Wish::RequireTls && !session.offers_require_tls() => {
                    let what = session.host.named("the server does not offer REQUIRETLS");
                    failures.add(classify::no_require_tls(what, now()));
                    session.quit().await;
                }
                Ok(mut session) => {
                    session.keeps_require_tls = wish == Wish::RequireTls;
                    demand.rehearsed(host, &session.channel());
                    return Ok(session);
                }
                Err(failure) => failures.add(failure),
            }
        }
    }
    // Who has moved is found again with the next attempt (SEED-153).
    if let Destination::Mx(domain) = destination {
        context.resolver.forget(domain, hosts, opening.port);
    }
    Err(failures.most_telling().unwrap_or_else(|| classify::no_route(&RouteError::NoAddress, now())))
}

/// A domain without MX records may have its addresses in the host map alone (SEED-152).
fn in_host_map(context: &Context, destination: &Destination) -> Option<Vec<HostName>> {
    let Destination::Mx(domain) = destination else { return None };
    context.policy.hosts().addresses(domain)?;
    Some(vec![HostName::Name(domain.clone())])
}

/// SEED-151: where the rules say so, the domain itself behind its MX hosts.
fn behind_mx(context: &Context, destination: &Destination, hosts: &[HostName]) -> Option<HostName> {
    let Destination::Mx(domain) = destination else { return None };
    let is_wanted = context.policy.traffic().destination(destination).a_after_mx_failure;
    let domain = HostName::Name(domain.clone());
    (is_wanted == Some(true) && !hosts.contains(&domain)).then_some(domain)
}

async fn addresses(context: &Context, host: &HostName) -> Result<Vec<IpAddr>, RouteError> {
    if let HostName::Name(name) = host
        && let Some(addresses) = context.policy.hosts().addresses(name)
    {
        return Ok(addresses.to_vec());
    }
    context.resolver.addresses(host).await
}

/// A domain without MX whose own address look-up finds nothing does not take mail. A host of an
/// MX record or a route that has no address is a fault that somebody will mend: try later.
fn no_address(destination: &Destination, host: &HostName, error: &RouteError) -> Failure {
    let now = SystemTime::now();
    let is_the_domain =
        matches!((destination, host), (Destination::Mx(domain), HostName::Name(name)) if domain == name);
    if is_the_domain {
        return classify::no_route(error, now);
    }
    classify::unresolved(format!("host {host}: {error}"), now)
}

/// Of several hosts' failures, the one that tells the sender most: what a server said comes before
/// what we would not do there, and that before what we could not do. What is for good comes last: another
/// host may take it later.
struct Failures {
    wish: Wish,
    remote: Option<Failure>,
    unwilling: Option<Failure>,
    local: Option<Failure>,
    /// No host may have it.
    unprotected: Option<Failure>,
}

impl Failures {
    fn add(&mut self, failure: Failure) {
        match (&failure.cause, failure.class) {
            // RFC 8689 4.2.1: no TLS is no reason to wait, but one for a report.
            (cause, FailureClass::Policy | FailureClass::Perm)
                if self.wish == Wish::RequireTls && failure.phase == Phase::Tls =>
            {
                self.unprotected = Some(match failure.class {
                    FailureClass::Perm => failure,
                    FailureClass::Policy | FailureClass::Temp | FailureClass::NoReply => {
                        classify::unprotected(cause.to_string(), failure.at)
                    }
                });
            }
            (Cause::Remote(_), _) => self.remote = Some(failure),
            (Cause::Local(_), FailureClass::Policy) => self.unwilling = Some(failure),
            (Cause::Local(_), FailureClass::Temp | FailureClass::NoReply | FailureClass::Perm) => {
                self.local = Some(failure);
            }
        }
    }

    fn most_telling(self) -> Option<Failure> {
        self.remote.or(self.unwilling).or(self.local).or(self.unprotected)
    }
}

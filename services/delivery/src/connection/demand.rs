//! What a host must show before it gets mail: what the rules say, and beyond that what the domain has
//! published, by DANE (RFC 7672) or else by MTA-STS (RFC 8461). Who publishes something is never sent to in
//! the clear because it could not be read.

use std::{sync::Arc, time::SystemTime};

use hikyaku_route::{
    dane::Dane,
    sts::{StsMode, StsPolicy},
};
use hikyaku_runtime::tls::DaneTrust;
use hikyaku_types::{
    destination::{Destination, HostName},
    domain::Domain,
    outcome::{Failure, LocalError, LocalErrorKind},
};

use crate::{
    connection::security::{Channel, TlsPolicy},
    context::Context,
    metrics,
    outcome::classify,
};

/// What is asked of one host.
pub(crate) struct Demand {
    pub(crate) policy: TlsPolicy,
    /// The domain wants to know what enforcing would do.
    rehearsal: Option<Rehearsal>,
}

struct Rehearsal {
    domain: Domain,
    is_named: bool,
}

/// `asked`: what the rules ask of all hosts of the destination.
pub(crate) async fn of_host(
    context: &Context,
    destination: &Destination,
    sts: Option<&Arc<StsPolicy>>,
    host: &HostName,
    port: u16,
    asked: &TlsPolicy,
) -> Result<Demand, Failure> {
    // Who says that there is no TLS, or which, has the last word.
    let may_be_raised = matches!(asked, TlsPolicy::Opportunistic | TlsPolicy::Required);
    let mut least = Demand { policy: asked.clone(), rehearsal: None };
    if !may_be_raised {
        return Ok(least);
    }
    let domain = match destination {
        Destination::Mx(domain) => Some(domain.clone()),
        Destination::Host { .. } => None,
    };
    match context.resolver.dane(destination, host, port).await {
        Ok(Dane::Records(records)) => {
            let policy = TlsPolicy::Dane(DaneTrust { records, domain });
            return Ok(Demand { policy, rehearsal: None });
        }
        // RFC 7672 2.2: never in the clear. What else the domain wants to see, it may say by MTA-STS.
        Ok(Dane::Unusable) => least.policy = TlsPolicy::Required,
        Ok(Dane::Absent) => {}
        Err(error) => {
            let what = format!("host {host}: whether it has TLSA records cannot be known: {error}");
            return Err(classify::unresolved(what, SystemTime::now()));
        }
    }
    let (Some(domain), Some(policy)) = (domain, sts) else { return Ok(least) };
    let is_named = matches!(host, HostName::Name(name) if policy.allows(name));
    match policy.mode {
        StsMode::Enforce if is_named => Ok(Demand { policy: TlsPolicy::Sts, rehearsal: None }),
        StsMode::Enforce => {
            let what = format!("host {host} is not named by the MTA-STS policy of {domain}");
            let error = LocalError::new(LocalErrorKind::Unmet, what);
            Err(classify::no_tls(error, SystemTime::now()))
        }
        StsMode::Testing => Ok(Demand { rehearsal: Some(Rehearsal { domain, is_named }), ..least }),
        StsMode::None => Ok(least),
    }
}

/// RFC 8689 4.2.1: a message that wants it goes only to a host that is known to be one of the destination, by a
/// certificate that proves it.
pub(crate) async fn protected(
    context: &Context,
    destination: &Destination,
    sts: Option<&Arc<StsPolicy>>,
    host: &HostName,
    demand: Demand,
) -> Result<Demand, Failure> {
    let unprotected = |what| Err(classify::unprotected(what, SystemTime::now()));
    match &demand.policy {
        TlsPolicy::Dane(_) | TlsPolicy::Sts => return Ok(demand),
        TlsPolicy::Off => return unprotected(format!("the rules say that {destination} gets no TLS")),
        TlsPolicy::Opportunistic | TlsPolicy::Required | TlsPolicy::Verified => {}
    }
    let verified = Demand { policy: TlsPolicy::Verified, ..demand };
    let (domain, name) = match (destination, host) {
        // An administrator has named it.
        (Destination::Host { .. }, _) => return Ok(verified),
        (Destination::Mx(domain), HostName::Name(name)) => (domain, name),
        (Destination::Mx(_), HostName::Address(_)) => {
            return unprotected(format!("host {host} has no name that a certificate could prove"));
        }
    };
    let is_published = sts.is_some_and(|policy| policy.mode != StsMode::None && policy.allows(name));
    if domain == name || is_published {
        return Ok(verified);
    }
    match context.resolver.proves_hosts_of(domain).await {
        Ok(true) => Ok(verified),
        Ok(false) => {
            unprotected(format!("neither DNSSEC nor MTA-STS proves that {host} is a host of {domain}"))
        }
        Err(error) => {
            let what = format!("whether {host} is a host of {domain} cannot be proven now: {error}");
            Err(classify::unresolved(what, SystemTime::now()))
        }
    }
}

impl Demand {
    /// RFC 8461 5: what enforcing would have refused is told.
    pub(crate) fn rehearsed(&self, host: &HostName, channel: &Channel) {
        let Some(Rehearsal { domain, is_named }) = &self.rehearsal else { return };
        let is_verified = channel.secured.is_some_and(|secured| secured.is_verified);
        metrics::sts_rehearsal(*is_named && is_verified);
        if !is_named || !is_verified {
            tracing::warn!(%domain, %host, named = is_named, verified = is_verified,
                "this host would be refused if the domain enforced its MTA-STS policy");
        }
    }
}

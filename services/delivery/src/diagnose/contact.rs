//! One address: connection, greeting, EHLO, TLS, by the rules of the destination.

use std::{io::ErrorKind, net::SocketAddr};

use hikyaku_doctor::diagnose::view::{Contact, Said, Tls, Unreached};
use hikyaku_runtime::tls::{ClientStream, Secured, Trust};
use hikyaku_smtp::client::Capabilities;
use hikyaku_types::{destination::HostName, outcome::LocalErrorKind, traffic::EgressAddress};
use tokio::time::Instant;

use super::{Limits, dialog::Dialog};
use crate::{
    connection::{
        local_error::describe,
        security::{Security, TlsPolicy},
        source,
    },
    context::Context,
};

/// How each address of a destination is called.
pub(super) struct Caller<'a> {
    pub(super) context: &'a Context,
    pub(super) security: Security,
    pub(super) egress: Option<EgressAddress>,
    pub(super) port: u16,
    /// There is no clear text at that port.
    pub(super) is_implicit: bool,
    pub(super) limits: Limits,
}

impl Caller<'_> {
    /// What was seen, and the session if mail would go over it. `policy` is what the host must show, or why it
    /// gets no mail.
    pub(super) async fn call(
        &self,
        host: &HostName,
        address: SocketAddr,
        is_mapped: bool,
        policy: &Result<TlsPolicy, String>,
    ) -> (Contact, Option<Dialog>) {
        let (policy, why) = match policy {
            Ok(policy) => (policy, None),
            Err(why) => (&TlsPolicy::Off, Some(why)),
        };
        let is_clear_there = !self.is_implicit || *policy == TlsPolicy::Off;
        let bears_clear = why.is_none() && policy.bears_clear() && is_clear_there;
        let (contact, dialog) = self.talk(&host.to_string(), address, policy.trust().as_ref()).await;
        let mut contact =
            Contact { is_mapped, level: policy.name().to_owned(), needs_tls: !bears_clear, ..contact };
        if let Some(why) = why {
            contact.tls = contact.tls.map(|_| Tls::Failed(why.clone()));
            "refused by what the domain publishes".clone_into(&mut contact.level);
        }
        match &contact.tls {
            // As a delivery does.
            Some(Tls::Failed(_)) if bears_clear => {
                let (clear, dialog) = self.talk(&host.to_string(), address, None).await;
                (Contact { hello: clear.hello, ..contact }, dialog)
            }
            Some(Tls::Failed(_) | Tls::NotOffered | Tls::Refused(_)) if !bears_clear => (contact, None),
            Some(_) | None => (contact, dialog),
        }
    }

    /// `trust`: how good a certificate must be; `None`: TLS is not asked for.
    async fn talk(
        &self,
        host: &str,
        address: SocketAddr,
        trust: Option<&Trust>,
    ) -> (Contact, Option<Dialog>) {
        let mut contact = Contact {
            address,
            is_mapped: false,
            connected: Ok(0),
            banner: None,
            hello: None,
            tls: None,
            level: String::new(),
            needs_tls: false,
        };
        let mut dialog = match self.connect(address).await {
            Ok((dialog, milliseconds)) => {
                contact.connected = Ok(milliseconds);
                dialog
            }
            Err(unreached) => {
                contact.connected = Err(unreached);
                return (contact, None);
            }
        };
        if let (true, Some(trust)) = (self.is_implicit, trust) {
            match dialog.secure(&self.context.tls, host, trust).await {
                Ok((secure, secured)) => {
                    dialog = secure;
                    contact.tls = Some(on(secured));
                }
                Err(why) => {
                    contact.tls = Some(Tls::Failed(why));
                    return (contact, None);
                }
            }
        }
        let banner = dialog.greeting().await;
        let is_welcome = is_positive(&banner);
        contact.banner = Some(banner);
        if !is_welcome {
            return (contact, None);
        }
        let hello = self.hello(&mut dialog).await;
        let offer = match &hello {
            Said::Reply { code: 200..300, text } => Capabilities::parse(text),
            Said::Reply { .. } | Said::Nothing(_) => Capabilities::default(),
        };
        let is_answered = is_positive(&hello);
        contact.hello = Some(hello);
        if !is_answered {
            return (contact, None);
        }
        let trust = match (self.is_implicit, trust) {
            (true, _) => return (contact, Some(dialog)),
            (false, None) => {
                contact.tls = Some(Tls::NotAsked);
                return (contact, Some(dialog));
            }
            (false, Some(_)) if !offer.starttls => {
                contact.tls = Some(Tls::NotOffered);
                return (contact, Some(dialog));
            }
            (false, Some(trust)) => trust,
        };
        let answer = dialog.say("STARTTLS").await;
        if !is_positive(&answer) {
            contact.tls = Some(Tls::Refused(answer));
            return (contact, Some(dialog));
        }
        let (mut dialog, secured) = match dialog.secure(&self.context.tls, host, trust).await {
            Ok(secure) => secure,
            Err(why) => {
                contact.tls = Some(Tls::Failed(why));
                return (contact, None);
            }
        };
        // In TLS 1.3 a server that likes nothing of it says so when we have finished already.
        match self.hello(&mut dialog).await {
            Said::Nothing(why) => {
                contact.tls = Some(Tls::Failed(why));
                (contact, None)
            }
            said @ Said::Reply { .. } => {
                let is_answered = is_positive(&said);
                contact.hello = Some(said);
                contact.tls = Some(on(secured));
                (contact, is_answered.then_some(dialog))
            }
        }
    }

    async fn connect(&self, address: SocketAddr) -> Result<(Dialog, u64), Unreached> {
        let limit = self.limits.left(self.limits.connect);
        let begun = Instant::now();
        match tokio::time::timeout(limit, source::connect(address, self.egress.as_ref())).await {
            Ok(Ok(stream)) => {
                let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                Ok((Dialog::new(ClientStream::Plain(stream), self.limits), milliseconds))
            }
            Ok(Err(error)) => {
                Err(Unreached { is_refused: error.kind == LocalErrorKind::REFUSED, what: error.what })
            }
            Err(_) => {
                let what = format!("{} within {} s", describe(&ErrorKind::TimedOut.into()), limit.as_secs());
                Err(Unreached { is_refused: false, what })
            }
        }
    }

    /// Who does not know EHLO is asked again with HELO (RFC 5321 3.2).
    async fn hello(&self, dialog: &mut Dialog) -> Said {
        let named = self.egress.as_ref().and_then(|egress| egress.name.as_ref());
        let name = named.unwrap_or(&self.context.config.hostname);
        match dialog.say(&format!("EHLO {name}")).await {
            Said::Reply { code: 500..=504, .. } => match dialog.say(&format!("HELO {name}")).await {
                Said::Reply { code, text } => {
                    // Nothing is offered behind HELO, whatever its lines look like.
                    let text = text.lines().next().unwrap_or_default().to_owned();
                    Said::Reply { code, text }
                }
                nothing @ Said::Nothing(_) => nothing,
            },
            said @ (Said::Reply { .. } | Said::Nothing(_)) => said,
        }
    }
}

fn on(secured: Secured) -> Tls {
    let Secured { version, cipher, is_verified } = secured;
    Tls::On { version: version.to_owned(), cipher: cipher.to_owned(), is_verified }
}

pub(super) fn is_positive(said: &Said) -> bool {
    matches!(said, Said::Reply { code: 200..300, .. })
}

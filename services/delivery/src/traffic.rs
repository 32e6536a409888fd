//! The administrator's rules, over what the configuration says.

use std::time::Duration;

use hikyaku_queue::Lease;
use hikyaku_smtp::client::Timeouts;
use hikyaku_types::{
    address::ReversePath,
    destination::Destination,
    schedule::RetrySchedule,
    source::Source,
    traffic::{EgressAddress, Rate, Site},
};

use crate::{
    connection::security::Security,
    context::Context,
    destination::Limits,
    egress,
    fair::{Class, USUAL_SHARE},
    sites::Place,
};

impl Context {
    pub(crate) fn limits(&self, destination: &Destination) -> Limits {
        let rules = self.policy.traffic().destination(destination);
        let config = &self.config;
        Limits {
            sessions: rules.connections.map_or(config.max_connections_per_destination, count),
            hold: config.hold,
            idle: config.idle_timeout,
            rate: rules.rate.map(per_second),
        }
    }

    pub(crate) fn schedule(&self, destination: &Destination) -> RetrySchedule {
        let rules = self.policy.traffic().destination(destination);
        rules.retry.apply(self.config.retry.schedule(destination))
    }

    /// How long the hosts of a destination may take (SEED-154).
    pub(crate) fn timeouts(&self, destination: &Destination) -> HostTimeouts {
        let said = self.policy.traffic().destination(destination).timeouts;
        let usual = Timeouts::default();
        HostTimeouts {
            connect: said.connect.unwrap_or(self.config.connect_timeout),
            dialogue: Timeouts {
                greeting: said.greeting.unwrap_or(usual.greeting),
                hello: said.command.unwrap_or(usual.hello),
                mail: said.command.unwrap_or(usual.mail),
                rcpt: said.command.unwrap_or(usual.rcpt),
                data: said.data.unwrap_or(usual.data),
                block: said.block.unwrap_or(usual.block),
                final_dot: said.final_dot.unwrap_or(usual.final_dot),
                message: said.message.unwrap_or(usual.message),
                quit: usual.quit,
            },
        }
    }

    /// What an entry counts as.
    pub(crate) fn class(&self, lease: &Lease) -> Class {
        let envelope = lease.envelope();
        let said = self.policy.traffic().source(envelope.client, &envelope.reverse_path);
        Class {
            lane: lease.lane(),
            source: Source::new(envelope.client, &envelope.reverse_path),
            share: said.share.unwrap_or(USUAL_SHARE),
        }
    }

    /// What one session may carry.
    pub(crate) fn loads(&self, destination: &Destination, site: Option<&Site>) -> Loads {
        let rules = self.policy.traffic().destination(destination);
        let messages = rules.messages_per_connection.or(site.and_then(|site| site.messages_per_connection));
        let recipients = rules.recipients.or(site.and_then(|site| site.recipients));
        Loads {
            messages: messages.unwrap_or(self.config.messages_per_connection),
            recipients: recipients.map_or(usize::MAX, count),
        }
    }

    /// What a session with it must be.
    pub(crate) fn security(&self, destination: &Destination) -> Security {
        Security::of(self.policy.traffic().destination(destination))
    }

    /// Waits until the rate of the site lets the entry go, and keeps its lease meanwhile.
    pub(crate) async fn paced(&self, place: &Place, lease: &Lease) {
        let renewal = lease.renewal();
        tokio::select! {
            () = self.sites.pace(place) => {}
            () = renewal.keep() => {} // never: it has no end
        }
    }

    /// The address that a message leaves from; `None`: any that this machine has.
    pub(crate) fn egress(&self, sender: &ReversePath, destination: &Destination) -> Option<EgressAddress> {
        let traffic = self.policy.traffic();
        let pool = traffic.destination(destination).egress?;
        let can_use = |egress: &EgressAddress| self.local_addresses.can_use(egress);
        egress::choose(traffic.pool(&pool), sender, destination, can_use).cloned()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostTimeouts {
    pub(crate) connect: Duration,
    pub(crate) dialogue: Timeouts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loads {
    pub(crate) messages: u32,
    /// In one transaction.
    pub(crate) recipients: usize,
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX).max(1)
}

pub(crate) fn per_second(rate: Rate) -> f64 {
    f64::from(rate.count.get()) / rate.per.as_secs_f64().max(1.0)
}

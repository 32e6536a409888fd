//! Traffic rules -> wire.

use std::time::Duration;

use hikyaku_proto::policy::v1 as proto;
use hikyaku_types::{
    schedule::{Backoff, RetryOverrides},
    traffic::{
        DestinationRule, EgressRule, Rate, RuleLine, SiteRule, SourceRule, TimeoutOverrides, TlsLevel,
        TrafficRules,
    },
};

pub(super) fn response((rules, version): (&TrafficRules, u64), known: u64) -> proto::GetTrafficResponse {
    if known == version {
        return proto::GetTrafficResponse {
            version,
            unchanged: true,
            ..proto::GetTrafficResponse::default()
        };
    }
    proto::GetTrafficResponse {
        version,
        unchanged: false,
        destinations: rules.destinations().iter().map(destination).collect(),
        sites: rules.sites().iter().map(site).collect(),
        sources: rules.sources().iter().map(source).collect(),
        egress: rules.egress().iter().map(egress).collect(),
    }
}

fn destination(rule: &DestinationRule) -> proto::DestinationRule {
    let settings = &rule.settings;
    proto::DestinationRule {
        line: line(rule.line),
        pattern: rule.pattern.to_string(),
        connections: settings.connections,
        messages_per_connection: settings.messages_per_connection,
        rate: settings.rate.map(rate),
        recipients: settings.recipients,
        egress: settings.egress.as_ref().map(ToString::to_string).unwrap_or_default(),
        timeouts: Some(timeouts(&settings.timeouts)),
        retry: Some(retry(&settings.retry)),
        a_after_mx_failure: settings.a_after_mx_failure,
        seven_bit: settings.seven_bit,
        tls: tls(settings.tls).into(),
        login: settings.login.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn tls(level: Option<TlsLevel>) -> proto::TlsLevel {
    match level {
        None => proto::TlsLevel::Unspecified,
        Some(TlsLevel::Off) => proto::TlsLevel::Off,
        Some(TlsLevel::Opportunistic) => proto::TlsLevel::Opportunistic,
        Some(TlsLevel::Required) => proto::TlsLevel::Required,
        Some(TlsLevel::Verified) => proto::TlsLevel::Verified,
    }
}

fn site(rule: &SiteRule) -> proto::SiteRule {
    let settings = &rule.settings;
    proto::SiteRule {
        line: line(rule.line),
        pattern: rule.pattern.to_string(),
        connections: settings.connections,
        messages_per_connection: settings.messages_per_connection,
        rate: settings.rate.map(rate),
        recipients: settings.recipients,
    }
}

fn source(rule: &SourceRule) -> proto::SourceRule {
    let settings = &rule.settings;
    proto::SourceRule {
        line: line(rule.line),
        pattern: rule.pattern.to_string(),
        rate: settings.rate.map(rate),
        bulk: settings.bulk,
        share: settings.share,
    }
}

fn egress(rule: &EgressRule) -> proto::EgressRule {
    let address = &rule.address;
    proto::EgressRule {
        line: line(rule.line),
        pool: rule.pool.to_string(),
        address: address.address.to_string(),
        via: address.via.as_ref().map(ToString::to_string).unwrap_or_default(),
        name: address.name.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn retry(settings: &RetryOverrides) -> proto::RetrySettings {
    let backoff = match settings.backoff {
        None => proto::Backoff::Unspecified,
        Some(Backoff::Doubling) => proto::Backoff::Doubling,
        Some(Backoff::Fixed) => proto::Backoff::Fixed,
    };
    proto::RetrySettings {
        base: settings.base.and_then(time),
        cap: settings.cap.and_then(time),
        backoff: backoff.into(),
        jitter: settings.jitter,
        give_up_temp: settings.give_up_temp.and_then(time),
        give_up_noreply: settings.give_up_noreply.and_then(time),
        retry_5xx: settings.retry_5xx,
    }
}

fn timeouts(settings: &TimeoutOverrides) -> proto::TimeoutSettings {
    proto::TimeoutSettings {
        connect: settings.connect.and_then(time),
        greeting: settings.greeting.and_then(time),
        command: settings.command.and_then(time),
        data: settings.data.and_then(time),
        block: settings.block.and_then(time),
        final_dot: settings.final_dot.and_then(time),
        message: settings.message.and_then(time),
    }
}

fn line(line: RuleLine) -> Option<proto::RuleLine> {
    Some(proto::RuleLine { shipped: line.shipped, line: line.line })
}

pub(super) fn rate(rate: Rate) -> proto::Rate {
    proto::Rate { count: rate.count.get(), per: time(rate.per) }
}

/// Times of rules are at most months, so each can be written.
fn time(time: Duration) -> Option<prost_types::Duration> {
    time.try_into().ok()
}

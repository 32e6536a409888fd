//! Wire -> traffic rules. Rules with a part that cannot be read are not taken: half of them
//! might send too much.

use std::{error::Error, fmt, num::NonZeroU32, str::FromStr, time::Duration};

use hikyaku_proto::policy::v1 as proto;
use hikyaku_types::{
    schedule::{Backoff, RetryOverrides},
    traffic::{
        DestinationTraffic, EgressAddress, EgressRule, Rate, Rule, RuleLine, SiteTraffic, SourceSettings,
        TimeoutOverrides, TlsLevel, TrafficRules,
    },
};

use crate::error::PolicyUnavailable;

/// What cannot be read, as it came.
#[derive(Debug)]
struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be read", self.0)
    }
}

impl Error for Unreadable {}

pub(crate) fn rules(response: proto::GetTrafficResponse) -> Result<TrafficRules, PolicyUnavailable> {
    let destinations = response.destinations.into_iter().map(|rule| {
        let settings = DestinationTraffic {
            connections: rule.connections,
            messages_per_connection: rule.messages_per_connection,
            rate: rule.rate.map(rate).transpose()?,
            recipients: rule.recipients,
            egress: optional(&rule.egress)?,
            a_after_mx_failure: rule.a_after_mx_failure,
            seven_bit: rule.seven_bit,
            tls: tls(rule.tls)?,
            login: optional(&rule.login)?,
            timeouts: timeouts(rule.timeouts.unwrap_or_default())?,
            retry: retry(rule.retry.unwrap_or_default())?,
        };
        Ok(Rule { pattern: parsed(&rule.pattern)?, settings, line: line(rule.line)? })
    });
    let sites = response.sites.into_iter().map(|rule| {
        let settings = SiteTraffic {
            connections: rule.connections,
            messages_per_connection: rule.messages_per_connection,
            rate: rule.rate.map(rate).transpose()?,
            recipients: rule.recipients,
        };
        Ok(Rule { pattern: parsed(&rule.pattern)?, settings, line: line(rule.line)? })
    });
    let sources = response.sources.into_iter().map(|rule| {
        let settings =
            SourceSettings { rate: rule.rate.map(rate).transpose()?, bulk: rule.bulk, share: rule.share };
        Ok(Rule { pattern: parsed(&rule.pattern)?, settings, line: line(rule.line)? })
    });
    let egress = response.egress.into_iter().map(|rule| {
        let address = EgressAddress {
            address: parsed(&rule.address)?,
            via: optional(&rule.via)?,
            name: optional(&rule.name)?,
        };
        Ok(EgressRule { pool: parsed(&rule.pool)?, address, line: line(rule.line)? })
    });
    Ok(TrafficRules::new(
        all("destination rule", destinations)?,
        all("site rule", sites)?,
        all("source rule", sources)?,
        all("egress rule", egress)?,
    ))
}

fn all<T>(
    field: &'static str,
    rules: impl Iterator<Item = Result<T, Unreadable>>,
) -> Result<Vec<T>, PolicyUnavailable> {
    rules
        .collect::<Result<_, _>>()
        .map_err(|source| PolicyUnavailable::Answer { field, source: source.into() })
}

fn parsed<T: FromStr>(text: &str) -> Result<T, Unreadable> {
    text.parse().map_err(|_| Unreadable(format!("{text:?}")))
}

fn optional<T: FromStr>(text: &str) -> Result<Option<T>, Unreadable> {
    if text.is_empty() { Ok(None) } else { parsed(text).map(Some) }
}

fn line(line: Option<proto::RuleLine>) -> Result<RuleLine, Unreadable> {
    let line = line.ok_or_else(|| Unreadable("a rule without a line".to_owned()))?;
    Ok(RuleLine { shipped: line.shipped, line: line.line })
}

/// A rate in the answer to another question.
pub(crate) fn answered_rate(rate: proto::Rate) -> Result<Rate, PolicyUnavailable> {
    self::rate(rate).map_err(|source| PolicyUnavailable::Answer { field: "rate", source: source.into() })
}

fn rate(rate: proto::Rate) -> Result<Rate, Unreadable> {
    let unreadable = || Unreadable(format!("rate {rate:?}"));
    let per = time(rate.per)?.filter(|per| !per.is_zero()).ok_or_else(unreadable)?;
    Ok(Rate { count: NonZeroU32::new(rate.count).ok_or_else(unreadable)?, per })
}

fn retry(wire: proto::RetrySettings) -> Result<RetryOverrides, Unreadable> {
    let backoff = match proto::Backoff::try_from(wire.backoff) {
        Ok(proto::Backoff::Unspecified) => None,
        Ok(proto::Backoff::Doubling) => Some(Backoff::Doubling),
        Ok(proto::Backoff::Fixed) => Some(Backoff::Fixed),
        Err(_) => return Err(Unreadable(format!("backoff {}", wire.backoff))),
    };
    Ok(RetryOverrides {
        base: time(wire.base)?,
        cap: time(wire.cap)?,
        backoff,
        jitter: wire.jitter,
        give_up_temp: time(wire.give_up_temp)?,
        give_up_noreply: time(wire.give_up_noreply)?,
        retry_5xx: wire.retry_5xx,
    })
}

fn tls(wire: i32) -> Result<Option<TlsLevel>, Unreadable> {
    match proto::TlsLevel::try_from(wire) {
        Ok(proto::TlsLevel::Unspecified) => Ok(None),
        Ok(proto::TlsLevel::Off) => Ok(Some(TlsLevel::Off)),
        Ok(proto::TlsLevel::Opportunistic) => Ok(Some(TlsLevel::Opportunistic)),
        Ok(proto::TlsLevel::Required) => Ok(Some(TlsLevel::Required)),
        Ok(proto::TlsLevel::Verified) => Ok(Some(TlsLevel::Verified)),
        Err(_) => Err(Unreadable(format!("TLS level {wire}"))),
    }
}

fn timeouts(wire: proto::TimeoutSettings) -> Result<TimeoutOverrides, Unreadable> {
    Ok(TimeoutOverrides {
        connect: time(wire.connect)?,
        greeting: time(wire.greeting)?,
        command: time(wire.command)?,
        data: time(wire.data)?,
        block: time(wire.block)?,
        final_dot: time(wire.final_dot)?,
        message: time(wire.message)?,
    })
}

fn time(time: Option<prost_types::Duration>) -> Result<Option<Duration>, Unreadable> {
    let read = |time: prost_types::Duration| {
        Duration::try_from(time).map_err(|_| Unreadable("a negative time".to_owned()))
    };
    time.map(read).transpose()
}

//! One line -> one rule.

use std::{fmt, net::IpAddr, ops::RangeInclusive, str::FromStr, time::Duration};

use hikyaku_types::{
    schedule::{Backoff, RetryOverrides},
    traffic::{
        DestinationTraffic, EgressAddress, EgressRule, Rule, RuleLine, SiteTraffic, SourceSettings,
        TimeoutOverrides, TlsLevel, settings::key,
    },
};

use super::{Draft, fields::Fields};
use crate::problem::Findings;

const CONNECTIONS: RangeInclusive<u32> = 1..=1_000;
const MESSAGES: RangeInclusive<u32> = 1..=100_000;
const RECIPIENTS: RangeInclusive<u32> = 1..=1_000;
/// SEED-171; below a minute, greylisting is never passed sooner (SEED-178).
const BASE: RangeInclusive<Duration> = seconds(60)..=seconds(3_600);
/// SEED-154.
const TIMEOUT: RangeInclusive<Duration> = seconds(1)..=seconds(1_200);
const TIMEOUT_MESSAGE: RangeInclusive<Duration> = seconds(1)..=seconds(86_400);
const CAP: RangeInclusive<Duration> = seconds(60)..=seconds(7 * 86_400);
const GIVE_UP: RangeInclusive<Duration> = seconds(60)..=seconds(30 * 86_400);
const JITTER: f64 = 0.5;
/// SEED-174.
const RETRY_5XX: RangeInclusive<u32> = 0..=9;

const YES_OR_NO: [(&str, bool); 2] = [("yes", true), ("no", false)];

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn read(text: &str, at: RuleLine, draft: &mut Draft, findings: &mut Findings) {
    let mut words = text.split_ascii_whitespace();
    let (kind, about) = (words.next().unwrap_or_default(), words.next());
    match (kind, about) {
        ("defaults", Some("off")) if words.clone().next().is_none() => defaults_off(at, draft, findings),
        ("destination", Some(about)) => rule(about, words, at, &mut draft.destinations, findings),
        ("site", Some(about)) => rule(about, words, at, &mut draft.sites, findings),
        ("source", Some(about)) => rule(about, words, at, &mut draft.sources, findings),
        ("egress", Some(pool)) => egress(pool, words, at, draft, findings),
        ("destination" | "site" | "source" | "egress", None) => {
            findings.error(at.line, "E-TR-FIELDS", format!("{kind} of what?"));
        }
        _ => {
            let reason = "want destination, site, source, egress or \"defaults off\" at the beginning";
            findings.error(at.line, "E-TR-KIND", reason);
        }
    }
}

fn defaults_off(at: RuleLine, draft: &mut Draft, findings: &mut Findings) {
    if let Some(earlier) = draft.defaults_off.replace(at.line) {
        findings.warning(at.line, "W-DUP", format!("the same as line {earlier}"));
    }
}

/// A rule is added when all of its line is good.
fn rule<'t, P, S>(
    about: &str,
    words: impl Iterator<Item = &'t str>,
    at: RuleLine,
    rules: &mut Vec<Rule<P, S>>,
    findings: &mut Findings,
) where
    P: FromStr<Err: fmt::Display> + PartialEq + fmt::Display,
    S: OfFields,
{
    let pattern = pattern(about, at, findings);
    let mut fields = Fields::read(words, at.line, findings);
    let settings = S::read(&mut fields);
    if let Some(reason) = settings.misplaced(about) {
        fields.error("E-TR-LOGIN", reason.to_owned());
    }
    let is_good = fields.finish(S::KNOWN);
    if let Some(pattern) = pattern.filter(|_| is_good) {
        add(rules, Rule { pattern, settings, line: at }, findings);
    }
}

/// What a line of its kind may set.
trait OfFields {
    /// The keys, for who has written another.
    const KNOWN: &str;

    fn read(fields: &mut Fields<'_, '_>) -> Self;

    /// Why this cannot be said of what the line is about.
    fn misplaced(&self, _about: &str) -> Option<&'static str> {
        None
    }
}

impl OfFields for DestinationTraffic {
    const KNOWN: &str = "connections, messages_per_connection, rate, recipients, egress, a_after_mx_failure, \
                         seven_bit, tls, login, timeout_connect, timeout_greeting, timeout_command, timeout_data, \
                         timeout_block, timeout_final_dot, timeout_message, retry_base, retry_cap, backoff, jitter, give_up_temp, give_up_noreply and retry_5xx";

    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let settings = Self {
            connections: fields.number(key::CONNECTIONS, CONNECTIONS),
            messages_per_connection: fields.number(key::MESSAGES_PER_CONNECTION, MESSAGES),
            rate: fields.rate(key::RATE),
            recipients: fields.number(key::RECIPIENTS, RECIPIENTS),
            egress: fields.parsed(key::EGRESS),
            a_after_mx_failure: fields.choice(key::A_AFTER_MX_FAILURE, YES_OR_NO),
            seven_bit: fields.choice(key::SEVEN_BIT, YES_OR_NO),
            tls: fields.parsed(key::TLS),
            login: fields.parsed(key::LOGIN),
            timeouts: TimeoutOverrides {
                connect: fields.time(key::TIMEOUT_CONNECT, TIMEOUT),
                greeting: fields.time(key::TIMEOUT_GREETING, TIMEOUT),
                command: fields.time(key::TIMEOUT_COMMAND, TIMEOUT),
                data: fields.time(key::TIMEOUT_DATA, TIMEOUT),
                block: fields.time(key::TIMEOUT_BLOCK, TIMEOUT),
                final_dot: fields.time(key::TIMEOUT_FINAL_DOT, TIMEOUT),
                message: fields.time(key::TIMEOUT_MESSAGE, TIMEOUT_MESSAGE),
            },
            retry: RetryOverrides {
                base: fields.time(key::RETRY_BASE, BASE),
                cap: fields.time(key::RETRY_CAP, CAP),
                backoff: fields.choice(
                    key::BACKOFF,
                    [Backoff::Doubling, Backoff::Fixed].map(|backoff| (backoff.name(), backoff)),
                ),
                jitter: fields.part(key::JITTER, JITTER),
                give_up_temp: fields.time(key::GIVE_UP_TEMP, GIVE_UP),
                give_up_noreply: fields.time(key::GIVE_UP_NOREPLY, GIVE_UP),
                retry_5xx: fields.number(key::RETRY_5XX, RETRY_5XX),
            },
        };
        if let (Some(base), Some(cap)) = (settings.retry.base, settings.retry.cap)
            && cap < base
        {
            fields.error("E-TR-VALUE", "retry_cap is shorter than retry_base".to_owned());
        }
        if let (Some(level @ (TlsLevel::Off | TlsLevel::Opportunistic | TlsLevel::Required)), Some(_)) =
            (settings.tls, &settings.login)
        {
            let reason =
                format!("a login is sent over verified TLS only, so tls={level} cannot stand with it");
            fields.error("E-TR-LOGIN", reason);
        }
        settings
    }

    /// By MX, whoever answers for the domain's DNS says which host is shown the password.
    fn misplaced(&self, about: &str) -> Option<&'static str> {
        let is_misplaced = self.login.is_some() && !about.starts_with('[');
        is_misplaced.then_some("a login is for fixed next hops: want [host]:port, [host] or [*]")
    }
}

impl OfFields for SiteTraffic {
    const KNOWN: &str = "connections, messages_per_connection, rate and recipients";

    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            connections: fields.number(key::CONNECTIONS, CONNECTIONS),
            messages_per_connection: fields.number(key::MESSAGES_PER_CONNECTION, MESSAGES),
            rate: fields.rate(key::RATE),
            recipients: fields.number(key::RECIPIENTS, RECIPIENTS),
        }
    }
}

impl OfFields for SourceSettings {
    const KNOWN: &str = "rate, bulk and share";

    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            rate: fields.rate(key::RATE),
            bulk: fields.choice(key::BULK, YES_OR_NO),
            share: fields.per_cent(key::SHARE),
        }
    }
}

fn pattern<P: FromStr<Err: fmt::Display>>(text: &str, at: RuleLine, findings: &mut Findings) -> Option<P> {
    let error = |error: P::Err| findings.error(at.line, "E-TR-PATTERN", format!("{text:?}: {error}"));
    text.parse().map_err(error).ok()
}

/// Two lines about the same would hide one of them.
fn add<P: PartialEq + fmt::Display, S>(
    rules: &mut Vec<Rule<P, S>>,
    rule: Rule<P, S>,
    findings: &mut Findings,
) {
    match rules.iter().find(|earlier| earlier.pattern == rule.pattern) {
        Some(earlier) => {
            let reason =
                format!("{} is on line {} already; say all of it there", rule.pattern, earlier.line.line);
            findings.error(rule.line.line, "E-TR-DUP", reason);
        }
        None => rules.push(rule),
    }
}

fn egress<'t>(
    pool: &str,
    mut words: impl Iterator<Item = &'t str>,
    at: RuleLine,
    draft: &mut Draft,
    findings: &mut Findings,
) {
    let mut error = |code, reason: String| findings.error(at.line, code, reason);
    let pool = pool.parse().map_err(|reason| error("E-TR-POOL", format!("{pool:?}: {reason}"))).ok();
    let text = words.next().unwrap_or_default();
    let address = text.parse().ok().map(|address: IpAddr| address.to_canonical());
    let address = address.filter(|address| !address.is_unspecified() && !address.is_multicast());
    if address.is_none() {
        error("E-TR-ADDRESS", format!("{text:?} is not an address that mail can come from"));
    }
    let (mut via, mut name, mut is_good) = (None, None, true);
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_default();
        let read = match word {
            "via" if via.is_none() => {
                value.parse().map(|proxy| via = Some(proxy)).map_err(|_| "want host:port")
            }
            "name" if name.is_none() => {
                value.parse().map(|domain| name = Some(domain)).map_err(|_| "want a host name")
            }
            _ => Err("want \"via HOST:PORT\" or \"name NAME\", each at most once"),
        };
        if let Err(wanted) = read {
            error("E-TR-VALUE", format!("{word} {value}: {wanted}"));
            is_good = false;
        }
    }
    let (Some(pool), Some(address), true) = (pool, address, is_good) else { return };
    let address = EgressAddress { address, via, name };
    let rule = EgressRule { pool, address, line: at };
    let is_same = |it: &&EgressRule| it.pool == rule.pool && it.address.address == rule.address.address;
    match draft.egress.iter().find(is_same) {
        Some(earlier) => {
            let reason = format!("{} is in {} by line {}", text, rule.pool, earlier.line.line);
            findings.error(at.line, "E-TR-DUP", reason);
        }
        None => draft.egress.push(rule),
    }
}

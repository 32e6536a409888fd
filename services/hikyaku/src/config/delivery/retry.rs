//! The clocks of delivery. What they may be is the schedule's own to say; here its problems get
//! the names of the keys.

use std::time::Duration;

use hikyaku_delivery::config::RetryConfig;
use hikyaku_types::schedule::{Backoff, RetrySchedule, ScheduleProblem};

use super::{Problems, RawDelivery};

pub(super) fn check(raw: &RawDelivery, shipped: &RetryConfig, problems: &mut Problems) -> RetryConfig {
    let seconds = |given: Option<u64>, default| given.map_or(default, Duration::from_secs);
    let internet = RetrySchedule {
        base: seconds(raw.retry_base_seconds, shipped.internet.base),
        cap: seconds(raw.retry_cap_seconds, shipped.internet.cap),
        backoff: backoff(raw.retry_backoff.as_deref(), shipped.internet.backoff, problems),
        jitter: raw.retry_jitter.unwrap_or(shipped.internet.jitter),
        retry_5xx: raw.retry_5xx.unwrap_or(shipped.internet.retry_5xx),
        give_up_temp: seconds(raw.give_up_temp_seconds, shipped.internet.give_up_temp),
        give_up_noreply: seconds(raw.give_up_noreply_seconds, shipped.internet.give_up_noreply),
        clock_rate: problems.within("delivery.retry_clock_rate", raw.retry_clock_rate, 1, 1..=100_000),
    };
    let routed = RetrySchedule {
        give_up_temp: seconds(raw.routed_give_up_seconds, shipped.routed.give_up_temp),
        give_up_noreply: seconds(raw.routed_give_up_seconds, shipped.routed.give_up_noreply),
        ..internet.clone()
    };
    let mut told = Vec::new();
    for (schedule, is_routed) in [(&internet, false), (&routed, true)] {
        for problem in schedule.clone().validated().err().into_iter().flat_map(|invalid| invalid.0) {
            let key = key(&problem, is_routed);
            // Both schedules have most keys in common.
            if !told.contains(&key) {
                problems.0.push(format!("{key}: {problem}"));
                told.push(key);
            }
        }
    }
    RetryConfig { internet, routed }
}

fn backoff(given: Option<&str>, shipped: Backoff, problems: &mut Problems) -> Backoff {
    match given {
        None => shipped,
        Some("doubling") => Backoff::Doubling,
        Some("fixed") => Backoff::Fixed,
        Some(other) => {
            problems.note("delivery.retry_backoff", other, "not doubling or fixed");
            shipped
        }
    }
}

const fn key(problem: &ScheduleProblem, is_routed: bool) -> &'static str {
    match problem {
        ScheduleProblem::Base(_) => "delivery.retry_base_seconds",
        ScheduleProblem::Cap { .. } => "delivery.retry_cap_seconds",
        ScheduleProblem::Jitter(_) => "delivery.retry_jitter",
        ScheduleProblem::Retry5xx(_) => "delivery.retry_5xx",
        ScheduleProblem::GiveUpTemp { .. } | ScheduleProblem::GiveUpNoReply { .. } if is_routed => {
            "delivery.routed_give_up_seconds"
        }
        ScheduleProblem::GiveUpTemp { .. } => "delivery.give_up_temp_seconds",
        ScheduleProblem::GiveUpNoReply { .. } => "delivery.give_up_noreply_seconds",
    }
}

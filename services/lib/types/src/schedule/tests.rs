use std::time::UNIX_EPOCH;

use super::*;

const START: SystemTime = UNIX_EPOCH;

fn history(finished: u32) -> History {
    History { accepted_at: START, finished, refusals: None, granted_until: None }
}

fn retry_at(next: Next) -> Option<SystemTime> {
    match next {
        Next::Retry { at, .. } => Some(at),
        Next::GiveUp => None,
    }
}

/// Times of all attempts of a peer that always fails like this, held back for `held` before the
/// first. `draw` is the jitter of each.
fn times(
    schedule: &RetrySchedule,
    class: FailureClass,
    held: Duration,
    mut draw: impl FnMut() -> f64,
) -> Vec<Duration> {
    let mut now = START + held;
    let mut times = vec![];
    for finished in 1..100_000 {
        times.push(now.duration_since(START).unwrap());
        let history = History { refusals: Some(finished), ..history(finished) };
        match retry_at(schedule.next(class, &history, now, draw())) {
            Some(at) => now = at,
            None => return times,
        }
    }
    panic!("it never ends: {schedule:?}");
}

fn minutes(schedule: &RetrySchedule, class: FailureClass) -> Vec<u64> {
    let times = times(schedule, class, Duration::ZERO, || 0.0);
    times.into_iter().map(|time| time.as_secs() / 60).collect()
}

/// SEED-172 and SEED-175: the attempts of an always-451 peer.
#[test]
fn doubles_to_the_cap_and_ends_at_eight_hours() {
    assert_eq!(
        minutes(&RetrySchedule::INTERNET, FailureClass::Temp),
        [0, 2, 6, 14, 30, 62, 122, 182, 242, 302, 362, 422, 480]
    );
}

/// SEED-173.
#[test]
fn a_fixed_interval_stays() {
    let schedule = RetrySchedule { backoff: Backoff::Fixed, ..RetrySchedule::INTERNET };
    assert_eq!(minutes(&schedule, FailureClass::Temp)[..6], [0, 2, 4, 6, 8, 10]);
}

/// SEED-176.
#[test]
fn silence_is_tried_for_a_day() {
    assert_eq!(minutes(&RetrySchedule::INTERNET, FailureClass::NoReply).last(), Some(&1440));
    assert_eq!(minutes(&RetrySchedule::INTERNET, FailureClass::Policy).last(), Some(&1440));
    assert_eq!(minutes(&RetrySchedule::ROUTED, FailureClass::NoReply).last(), Some(&7200));
}

/// SEED-174: 0 is zero, 2 is two more.
#[test]
fn a_permanent_refusal_is_repeated_as_often_as_was_asked_for() {
    assert_eq!(minutes(&RetrySchedule::INTERNET, FailureClass::Perm), [0]);
    let schedule = RetrySchedule { retry_5xx: 2, ..RetrySchedule::INTERNET };
    assert_eq!(minutes(&schedule, FailureClass::Perm), [0, 2, 6]);
    let no_such_domain = schedule.next(FailureClass::Perm, &history(1), START, 0.0);
    assert_eq!(no_such_domain, Next::GiveUp);
}

/// SEED-174: only refusals count, not the attempts before them.
#[test]
fn a_refusal_after_deferrals_is_the_first_one() {
    let schedule = RetrySchedule { retry_5xx: 1, ..RetrySchedule::INTERNET };
    let next = |refusals| {
        let history = History { refusals: Some(refusals), ..history(6) };
        retry_at(schedule.next(FailureClass::Perm, &history, START, 0.0))
    };
    assert_eq!(next(1), Some(START + HOUR));
    assert_eq!(next(2), None);
}

/// SEED-170: a host that was silent for ten hours and then greylists does not end the mail.
#[test]
fn a_shorter_limit_takes_back_nothing() {
    let schedule = &RetrySchedule::INTERNET;
    let ten_hours = START + 10 * HOUR;
    let next = |class, granted_until| {
        schedule.next(class, &History { granted_until, ..history(12) }, ten_hours, 0.0)
    };
    let Next::Retry { until: Some(until), .. } = next(FailureClass::NoReply, None) else { panic!() };
    assert_eq!(until, START + 24 * HOUR);
    assert_eq!(
        next(FailureClass::Temp, Some(until)),
        Next::Retry { at: START + 11 * HOUR, until: Some(until) }
    );
    assert_eq!(next(FailureClass::Temp, None), Next::GiveUp, "the class of the last attempt decides");
}

#[test]
fn a_longer_limit_is_granted_at_once() {
    let seven = START + 7 * HOUR;
    let history = History { granted_until: Some(START + 8 * HOUR), ..history(12) };
    let next = RetrySchedule::INTERNET.next(FailureClass::NoReply, &history, seven, 0.0);
    assert_eq!(next, Next::Retry { at: START + 8 * HOUR, until: Some(START + 24 * HOUR) });
}

#[test]
fn jitter_is_a_tenth_unless_another_share_was_asked_for() {
    let at = |schedule: &RetrySchedule, jitter| {
        let at = retry_at(schedule.next(FailureClass::Temp, &history(1), START, jitter)).unwrap();
        at.duration_since(START).unwrap().as_secs()
    };
    assert_eq!((at(&RetrySchedule::INTERNET, -1.0), at(&RetrySchedule::INTERNET, 9.0)), (108, 132));
    let none = RetrySchedule { jitter: 0.0, ..RetrySchedule::INTERNET };
    assert_eq!((at(&none, -1.0), at(&none, 1.0)), (120, 120));
    let half = RetrySchedule { jitter: 0.5, ..RetrySchedule::INTERNET };
    assert_eq!((at(&half, -1.0), at(&half, 1.0)), (60, 180));
}

/// Such a schedule is refused where it is read; here it must do no harm.
#[test]
fn no_number_is_no_jitter() {
    let odd = RetrySchedule { jitter: f64::NAN, ..RetrySchedule::INTERNET };
    assert_eq!((odd.shift(1.0), RetrySchedule::INTERNET.shift(f64::NAN)), (0.0, 0.0));
}

#[test]
fn all_clocks_run_faster_together() {
    let fast = RetrySchedule { clock_rate: 60, ..RetrySchedule::INTERNET };
    let seconds = times(&fast, FailureClass::Temp, Duration::ZERO, || 0.0);
    let seconds: Vec<u64> = seconds.into_iter().map(|time| time.as_secs()).collect();
    assert_eq!(seconds, [0, 2, 6, 14, 30, 62, 122, 182, 242, 302, 362, 422, 480]);
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn jitter(&mut self) -> f64 {
        f64::from(u32::try_from(self.next(2001)).unwrap()) / 1000.0 - 1.0
    }

    fn schedule(&mut self) -> RetrySchedule {
        let base = 60 + self.next(3541);
        let limit = |dice: &mut Self| Duration::from_secs(base + 1 + dice.next(5 * 24 * 3600));
        RetrySchedule {
            base: Duration::from_secs(base),
            cap: Duration::from_secs(base + self.next(7200)),
            backoff: if self.next(2) == 0 { Backoff::Doubling } else { Backoff::Fixed },
            jitter: f64::from(u32::try_from(self.next(501)).unwrap()) / 1000.0,
            retry_5xx: u32::try_from(self.next(10)).unwrap(),
            give_up_temp: limit(self),
            give_up_noreply: limit(self),
            clock_rate: 1,
        }
        .validated()
        .unwrap()
    }
}

/// SEED-175, SEED-177: whatever the schedule and however long the mail was held, attempts go
/// forward, none is later than the limit, and the last one is exactly there.
#[test]
fn the_last_attempt_is_at_the_limit() {
    let mut dice = Dice(1);
    for _ in 0..500 {
        let schedule = dice.schedule();
        let (class, limit) = match dice.next(3) {
            0 => (FailureClass::Temp, schedule.give_up_temp),
            1 => (FailureClass::NoReply, schedule.give_up_noreply),
            _ => (FailureClass::Policy, schedule.give_up_noreply),
        };
        let held = Duration::from_secs(dice.next(limit.as_secs()));
        let times = times(&schedule, class, held, || dice.jitter());
        assert_eq!(times.first(), Some(&held));
        assert_eq!(times.last(), Some(&limit), "{schedule:?} held {held:?}");
        assert!(times.is_sorted_by(|before, after| before < after), "{times:?}");
        assert!(times.len() >= 2, "never on the first failure");
    }
}

/// SEED-177: held for an hour, it has its three attempts and the same end.
#[test]
fn mail_that_was_held_expires_with_the_others() {
    let mut dice = Dice(2);
    for held in [0, 1, 2, 4, 7] {
        let times = times(&RetrySchedule::INTERNET, FailureClass::Temp, held * HOUR, || dice.jitter());
        assert_eq!(times.last(), Some(&(8 * HOUR)));
        assert!(times.len() >= 3, "held {held} h: {times:?}");
    }
    let late = times(&RetrySchedule::INTERNET, FailureClass::Temp, 9 * HOUR, || 0.0);
    assert_eq!(late, [9 * HOUR], "one attempt all the same");
}

#[test]
fn intervals_keep_to_their_jitter() {
    let mut dice = Dice(3);
    for _ in 0..2_000 {
        let schedule = dice.schedule();
        let finished = 1 + u32::try_from(dice.next(40)).unwrap();
        let jitter = dice.jitter();
        let far = History { granted_until: Some(START + MAX_GIVE_UP), ..history(finished) };
        let at = retry_at(schedule.next(FailureClass::Temp, &far, START, jitter)).unwrap();
        let (interval, waited) = (schedule.interval(finished), at.duration_since(START).unwrap());
        assert!(interval <= schedule.cap && interval >= schedule.base);
        let (least, most) =
            (interval.mul_f64(1.0 - schedule.jitter), interval.mul_f64(1.0 + schedule.jitter));
        assert!((least..=most).contains(&waited), "{waited:?} {schedule:?}");
    }
}

#[test]
fn what_may_not_be_is_told_all_at_once() {
    use ScheduleProblem as P;
    let good = RetrySchedule::INTERNET;
    let seconds = Duration::from_secs;
    for (schedule, problem) in [
        (RetrySchedule { base: seconds(59), ..good.clone() }, P::Base(seconds(59))),
        (RetrySchedule { base: seconds(3601), cap: 2 * HOUR, ..good.clone() }, P::Base(seconds(3601))),
        (RetrySchedule { cap: seconds(119), ..good.clone() }, P::Cap { cap: seconds(119), base: good.base }),
        (
            RetrySchedule { give_up_temp: seconds(120), ..good.clone() },
            P::GiveUpTemp { limit: seconds(120), base: good.base },
        ),
        (
            RetrySchedule { give_up_noreply: MAX_GIVE_UP + seconds(1), ..good.clone() },
            P::GiveUpNoReply { limit: MAX_GIVE_UP + seconds(1), base: good.base },
        ),
        (RetrySchedule { jitter: 0.6, ..good.clone() }, P::Jitter(0.6)),
        (RetrySchedule { retry_5xx: 10, ..good.clone() }, P::Retry5xx(10)),
    ] {
        assert_eq!(schedule.validated(), Err(InvalidSchedule(vec![problem])));
    }
    let nonsense = RetrySchedule { jitter: f64::NAN, retry_5xx: 99, base: HOUR * 2, ..good.clone() };
    assert_eq!(nonsense.validated().unwrap_err().0.len(), 4, "base, cap, jitter, refusals");
    assert!(good.validated().is_ok() && RetrySchedule::ROUTED.validated().is_ok());
    let said = RetrySchedule { base: seconds(5), ..RetrySchedule::INTERNET }.validated().unwrap_err();
    assert_eq!(said.to_string(), "first interval of 5 s is not within 60 to 3600 s");
}

#[test]
fn a_rule_changes_what_it_names_and_nothing_else() {
    let schedule = RetrySchedule { clock_rate: 60, ..RetrySchedule::INTERNET };
    assert_eq!(RetryOverrides::default().apply(&schedule), schedule);
    let rule = RetryOverrides {
        backoff: Some(Backoff::Fixed),
        retry_5xx: Some(2),
        give_up_temp: Some(HOUR),
        ..RetryOverrides::default()
    };
    let expected =
        RetrySchedule { backoff: Backoff::Fixed, retry_5xx: 2, give_up_temp: HOUR, ..schedule.clone() };
    assert_eq!(rule.apply(&schedule), expected);
    let every = RetryOverrides {
        base: Some(Duration::from_secs(60)),
        cap: Some(Duration::from_secs(600)),
        backoff: Some(Backoff::Fixed),
        jitter: Some(0.0),
        retry_5xx: Some(9),
        give_up_temp: Some(2 * HOUR),
        give_up_noreply: Some(3 * HOUR),
    };
    let expected = RetrySchedule {
        base: Duration::from_secs(60),
        cap: Duration::from_secs(600),
        backoff: Backoff::Fixed,
        jitter: 0.0,
        retry_5xx: 9,
        give_up_temp: 2 * HOUR,
        give_up_noreply: 3 * HOUR,
        clock_rate: 60,
    };
    assert_eq!(every.apply(&schedule), expected);
}

/// A rule that only says "first after an hour" is a good rule, whatever the cap was.
#[test]
fn a_cap_that_was_not_asked_for_gives_way() {
    let short = RetrySchedule { cap: Duration::from_secs(600), ..RetrySchedule::INTERNET };
    let rule = RetryOverrides { base: Some(HOUR), ..RetryOverrides::default() };
    assert_eq!(rule.apply(&short).validated().unwrap().cap, HOUR);
    let contrary = RetryOverrides { cap: Some(Duration::from_secs(600)), ..rule };
    assert!(contrary.apply(&short).validated().is_err());
}

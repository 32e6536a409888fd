//! A delivery that goes well, and one fault after the other.

use super::{
    past::{Others, Past, PastFailure},
    view::{Contact, Envelope, Host, Names, Origin, ResolverSeen, Said, Tls, Unreached},
    *,
};
use crate::facts::Lookup;

fn said(code: u16) -> Option<Said> {
    Some(Said::Reply { code, text: "words".to_owned() })
}

fn contact(address: &str) -> Contact {
    Contact {
        address: address.parse().unwrap(),
        is_mapped: false,
        connected: Ok(3),
        banner: said(220),
        hello: said(250),
        tls: Some(Tls::On { version: "1.3".to_owned(), cipher: "X".to_owned(), is_verified: true }),
        level: "opportunistic".to_owned(),
        needs_tls: false,
    }
}

fn unreached(address: &str, what: &str) -> Contact {
    let unreached = Unreached { is_refused: what.contains("refused"), what: what.to_owned() };
    Contact { connected: Err(unreached), banner: None, hello: None, tls: None, ..contact(address) }
}

fn host(name: &str, contacts: Vec<Contact>) -> Host {
    let origin = Origin::Mx { preference: 10, ttl: 300 };
    Host { name: name.to_owned(), origin, addresses: Lookup::Found(contacts), ttl: Some(60) }
}

/// Two hosts, both well.
fn sound() -> View {
    View {
        node: "gw-1".to_owned(),
        resolvers: vec![ResolverSeen { server: "192.0.2.53:53".to_owned(), answer: Ok(2) }],
        destination: "z.example".to_owned(),
        decided_by: String::new(),
        names: Names::Hosts(vec![
            host("a.example", vec![contact("192.0.2.1:25")]),
            host("b.example", vec![contact("192.0.2.2:25")]),
        ]),
        published: Vec::new(),
        envelope: Envelope::NotAsked,
        past: Past::default(),
    }
}

/// The same with these contacts.
fn with(contacts: Vec<Contact>) -> View {
    View { names: Names::Hosts(vec![host("a.example", contacts)]), ..sound() }
}

fn marks(view: &View) -> Vec<Mark> {
    judge(std::slice::from_ref(view)).iter().flat_map(|report| &report.steps).map(|step| step.mark).collect()
}

fn first(views: &[View]) -> Option<(String, StepReport)> {
    let reports = judge(views);
    first_fail(&reports).map(|(node, step)| (node.to_owned(), step.clone()))
}

fn status(view: &View) -> u8 {
    first(std::slice::from_ref(view)).map_or(0, |(_, step)| step.step.exit_status())
}

#[test]
fn seed_220_what_goes_well() {
    use Mark::{Ok, Skipped};
    assert_eq!(marks(&sound()), [Ok, Ok, Ok, Ok, Ok, Skipped, Ok]);
    let reports = judge(&[sound()]);
    assert_eq!(reports[0].steps.iter().map(|step| step.step).collect::<Vec<_>>(), Step::ALL);
    let seen: Vec<&String> = reports[0].steps.iter().flat_map(|step| &step.seen).collect();
    assert!(seen.contains(&&"MX 10 a.example (TTL 300): 192.0.2.1 (TTL 60)".to_owned()), "{seen:?}");
}

#[test]
fn seed_220_the_first_step_that_fails() {
    let silent = |contact: Contact| Contact {
        banner: Some(Said::Nothing("silence for 10 s".to_owned())),
        hello: None,
        tls: None,
        ..contact
    };
    let at = "192.0.2.1:25";
    let dead = ResolverSeen { server: "192.0.2.53:53".to_owned(), answer: Err("silent".to_owned()) };
    let asked = |rcpt| Envelope::Asked {
        at: at.parse().unwrap(),
        mail: Said::Reply { code: 250, text: String::new() },
        rcpt,
    };
    let needed = |contacts: Vec<Contact>| {
        let needs = |contact| Contact { needs_tls: true, ..contact };
        with(contacts.into_iter().map(needs).collect())
    };
    let no_tls = Contact { tls: Some(Tls::Failed("handshake".to_owned())), ..contact(at) };
    let no_address = Host { addresses: Lookup::None, ..host("a.example", Vec::new()) };
    for (view, expected) in [
        (View { resolvers: vec![dead.clone()], ..sound() }, 10),
        (View { resolvers: vec![dead, sound().resolvers.remove(0)], ..sound() }, 0),
        (View { names: Names::Never("domain does not exist".to_owned()), ..sound() }, 11),
        (View { names: Names::Unanswered("servfail".to_owned()), ..sound() }, 11),
        (View { names: Names::Hosts(vec![no_address.clone()]), ..sound() }, 11),
        (View { names: Names::Hosts(vec![no_address, host("b", vec![contact(at)])]), ..sound() }, 0),
        (with(vec![unreached(at, "refused")]), 12),
        (with(vec![unreached(at, "refused"), contact("192.0.2.2:25")]), 0),
        (with(vec![silent(contact(at))]), 13),
        (with(vec![Contact { banner: said(554), ..contact(at) }]), 13),
        (with(vec![silent(contact(at)), contact("192.0.2.2:25")]), 0),
        (with(vec![Contact { hello: said(502), tls: None, ..contact(at) }]), 14),
        (with(vec![no_tls.clone()]), 0),
        (needed(vec![no_tls.clone()]), 14),
        (needed(vec![no_tls, contact("192.0.2.2:25")]), 0),
        (needed(vec![Contact { tls: Some(Tls::NotOffered), ..contact(at) }]), 14),
        // TLS from the first octet: there is no greeting without it.
        (
            needed(vec![Contact {
                tls: Some(Tls::Failed(String::new())),
                banner: None,
                hello: None,
                ..contact(at)
            }]),
            14,
        ),
        (View { envelope: asked(said(550)), ..sound() }, 15),
        (View { envelope: asked(said(451)), ..sound() }, 0),
        (View { envelope: asked(said(250)), ..sound() }, 0),
    ] {
        assert_eq!(status(&view), expected, "{view:?}");
        let marks = marks(&view);
        let failed = marks.iter().position(|mark| *mark == Mark::Fail).unwrap_or(6);
        assert!(marks[failed..6].iter().skip(1).all(|mark| *mark == Mark::Skipped), "{marks:?}");
    }
}

/// SEED-214: one peer, this node, or everything at port 25.
#[test]
fn seed_214_whose_fault_silence_is() {
    let help = |views: &[View]| {
        let (node, step) = first(views).unwrap();
        assert_eq!((node.as_str(), step.step.exit_status()), ("gw-1", 12));
        format!("{} {}", step.seen.join(" "), step.help)
    };
    let past = |reached, unreached| Past { others: Others { reached, unreached }, ..Past::default() };
    let view = |others, port: u16, what| View {
        past: others,
        ..with(vec![unreached(&format!("192.0.2.1:{port}"), what)])
    };
    let (silent, refused) = ("connection timed out (ETIMEDOUT)", "connection refused (ECONNREFUSED)");
    for (past, port, what, expected) in [
        (past(0, 2), 25, silent, "OP25B"),
        (past(0, 1), 25, silent, "nothing is known"),
        (past(0, 2), 20025, silent, "nothing is known"),
        (past(1, 5), 25, silent, "has reached 1 other destinations"),
        (past(1, 5), 25, refused, "nothing listens"),
    ] {
        let said = help(&[view(past, port, what)]);
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let elsewhere = View { node: "gw-2".to_owned(), ..sound() };
    let said = help(&[view(past(0, 9), 25, silent), elsewhere]);
    assert!(said.contains("gw-2 reaches it, gw-1 does not"), "{said}");
}

/// SEED-221: the earliest step that fails anywhere, with its node.
#[test]
fn seed_221_the_node_is_named() {
    let far = View { node: "gw-2".to_owned(), names: Names::Never("gone".to_owned()), ..sound() };
    let near = with(vec![unreached("192.0.2.1:25", "refused")]);
    let (node, step) = first(&[near, far]).unwrap();
    assert_eq!((node.as_str(), step.step), ("gw-2", Step::Name));
}

fn failure(phase: &str, waited: u64, limit: u64) -> PastFailure {
    PastFailure {
        age: 60,
        phase: phase.to_owned(),
        what: "connection closed by peer".to_owned(),
        code: None,
        waited,
        lasted: waited + 500,
        limit,
        sent: 0,
        size: 200_000,
    }
}

fn past(failures: Vec<PastFailure>) -> (Mark, String) {
    let view = View { past: Past { sessions: 40, reach: 90_000, failures, ..Past::default() }, ..sound() };
    let step = judge(&[view])[0].steps.last().cloned().unwrap();
    (step.mark, format!("{} -> {}", step.seen.join(" | "), step.help))
}

#[test]
fn seed_212_whether_a_limit_can_help() {
    let (mark, said) = past(vec![failure("rcpt", 800, 300_000), failure("rcpt", 900, 300_000)]);
    assert_eq!(mark, Mark::Warn);
    let line = "2 of 40 sessions ended without a reply at rcpt after 0.9 s; the limit for rcpt is 300.0 s: a higher \
                limit cannot help";
    assert!(said.contains(line), "{said}");
    let (_, said) = past(vec![failure("greeting", 299_990, 300_000)]);
    assert!(
        said.contains("after 299.9 s; the limit for greeting is 300.0 s: a higher limit may help"),
        "{said}"
    );
    let busy = PastFailure { code: Some(421), what: "421 too busy".to_owned(), ..failure("mail", 5, 9) };
    let (_, said) = past(vec![failure("rcpt", 5, 300_000), busy.clone()]);
    assert!(said.contains("1 refused at mail; the last: 421 too busy"), "{said}");
    assert!(said.contains("the trouble is the peer's"), "{said}");
    assert_eq!(past(vec![busy]).0, Mark::Ok, "what a peer says is its business");
    assert_eq!(past(Vec::new()).0, Mark::Ok);
}

#[test]
fn seed_213_what_is_constant() {
    let cut = |sent| PastFailure { sent, ..failure("content", 100, 180_000) };
    let (_, said) = past(vec![cut(65_536), cut(65_536), cut(66_000)]);
    assert!(said.contains("ended in content at a constant byte count, 66000"), "{said}");
    for failures in [
        vec![cut(65_536), cut(65_536)],
        vec![cut(1_000), cut(65_536), cut(150_000)],
        // All of it was sent: the size of the message is constant then, and nothing else.
        vec![cut(200_000), cut(200_000), cut(200_000)],
    ] {
        let (_, said) = past(failures);
        assert!(!said.contains("constant byte count"), "{said}");
    }
    let idle = |waited| failure("content", waited, 600_000);
    let (_, said) = past(vec![idle(60_000), idle(60_300), idle(60_100)]);
    assert!(said.contains("at constant seconds, 60.3 s") && said.contains("idle timer"), "{said}");
    for times in [[300, 310, 320], [60_000, 90_000, 10_000], [599_000, 600_000, 600_000]] {
        let (_, said) = past(times.map(idle).into());
        assert!(!said.contains("constant seconds"), "{said}");
    }
}

#[test]
fn a_hold_is_told() {
    let held = Past { held: Some("planned work".to_owned()), ..Past::default() };
    let step = judge(&[View { past: held, ..sound() }])[0].steps.last().cloned().unwrap();
    assert_eq!(step.mark, Mark::Warn);
    assert!(step.seen.last().is_some_and(|line| line.ends_with("planned work")));
}

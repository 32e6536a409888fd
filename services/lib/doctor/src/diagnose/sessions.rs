//! Connections, greetings, EHLO and TLS: as long as one address of the destination goes, mail goes.

use super::{
    step::{Mark, Step, StepReport},
    view::{Contact, Said, Tls, View},
};

/// The port at which providers stop their customers.
const SMTP_PORT: u16 = 25;
/// Destinations that nothing came from, this one among them, before the way out is suspected.
const ENOUGH_SILENT: u64 = 3;

pub(super) fn tcp(view: &View, views: &[View]) -> StepReport {
    let seen = view.contacts().map(|contact| match &contact.connected {
        Ok(milliseconds) => format!("{} connected after {milliseconds} ms", contact.address),
        Err(unreached) => format!("{} {}", contact.address, unreached.what),
    });
    let mut seen: Vec<String> = seen.collect();
    let unreached = view.contacts().filter(|contact| contact.connected.is_err()).count();
    let mark = match (view.is_reached(), unreached) {
        (false, _) => Mark::Fail,
        (true, 0) => Mark::Ok,
        (true, _) => Mark::Warn,
    };
    let help = if mark == Mark::Fail {
        let (why, help) = no_way(view, views);
        seen.extend(why);
        help
    } else {
        "mail goes by the other addresses; each attempt may lose time at these"
    };
    StepReport::new(Step::Tcp, mark, seen, help)
}

/// Whose fault it is that no address answers, by what others see and what was seen of others (SEED-214).
fn no_way(view: &View, views: &[View]) -> (Option<String>, &'static str) {
    let elsewhere: Vec<&str> =
        views.iter().filter(|other| other.is_reached()).map(|other| other.node.as_str()).collect();
    if !elsewhere.is_empty() {
        let why = format!("{} reaches it, {} does not", elsewhere.join(", "), view.node);
        return (
            Some(why),
            "the peer is well: look at the firewall, the address and the routes of this node",
        );
    }
    let others = view.past.others;
    let is_usual_port = view.contacts().all(|contact| contact.address.port() == SMTP_PORT);
    if is_usual_port && others.reached == 0 && others.unreached + 1 >= ENOUGH_SILENT {
        let why = format!(
            "none of {} other destinations at port 25 was reached from here either",
            others.unreached
        );
        let help = "outgoing port 25 is probably blocked (OP25B): ask the provider of this node, or send through a \
                    smart host at port 587";
        return (Some(why), help);
    }
    if view.contacts().any(is_refusal) {
        return (
            None,
            "nothing listens there, or a firewall says no: compare the port with that of the server, and ask who runs \
             it",
        );
    }
    if others.reached > 0 {
        let why = format!("this node has reached {} other destinations at that port", others.reached);
        return (
            Some(why),
            "it is this peer or the way to it: ask who runs it, and look for filters between",
        );
    }
    (
        Some("nothing is known of other destinations at that port".to_owned()),
        "the peer is down or a filter drops what is sent; diagnose another domain to see whether it is this node",
    )
}

fn is_refusal(contact: &Contact) -> bool {
    contact.connected.as_ref().is_err_and(|unreached| unreached.is_refused)
}

pub(super) fn banner(view: &View) -> StepReport {
    let banners: Vec<(&Contact, &Said)> =
        view.contacts().filter_map(|contact| Some((contact, contact.banner.as_ref()?))).collect();
    let seen = banners.iter().map(|(contact, said)| format!("{} {}", contact.address, said.words()));
    let refuses = |(_, said): &(&Contact, &Said)| matches!(said, Said::Reply { .. }) && !said.is_positive();
    let help = if banners.iter().any(refuses) {
        "read the reply: the peer is busy or does not want this node's address; its code and words are its own"
    } else {
        "something accepts connections there and is no mail server, is overloaded, or waits for a reverse look-up of \
         our address"
    };
    let is_behind_tls = banners.is_empty() && view.contacts().any(Contact::is_spoken_with);
    let mark = match is_behind_tls {
        true => Mark::Skipped,
        false => mark(banners.iter().map(|(_, said)| said.is_positive())),
    };
    StepReport::new(Step::Banner, mark, seen.collect(), help)
}

/// A session without TLS is one that mail goes by, unless the rules say otherwise.
pub(super) fn tls(view: &View) -> StepReport {
    let greeting: Vec<&Contact> = view.contacts().filter(|contact| contact.is_spoken_with()).collect();
    let mut seen: Vec<String> = Vec::new();
    seen.extend(greeting.iter().map(|contact| format!("{} {}", contact.address, session(contact))));
    seen.extend(view.published.iter().cloned());
    let takes_mail = |contact: &Contact| {
        let is_on = matches!(contact.tls, Some(Tls::On { .. }));
        contact.hello.as_ref().is_some_and(Said::is_positive) && (is_on || !contact.needs_tls)
    };
    let mut mark = mark(greeting.iter().map(|contact| takes_mail(contact)));
    let is_broken = |contact: &&Contact| matches!(contact.tls, Some(Tls::Failed(_) | Tls::Refused(_)));
    let has_broken = greeting.iter().any(is_broken);
    if mark == Mark::Ok && has_broken {
        mark = Mark::Warn;
    }
    let help = match (mark, has_broken) {
        (Mark::Fail, _) if greeting.iter().any(|contact| contact.needs_tls) => {
            "no mail goes there without TLS: its owner has to mend TLS, the certificate or what the domain publishes, \
             or the rule tls= of this destination has to ask for less"
        }
        (_, true) => "TLS is offered and fails, so mail goes in the clear: tell who runs it",
        (..) => {
            "the peer does not answer EHLO: ask who runs it, and look for filters that change SMTP on the way"
        }
    };
    StepReport::new(Step::Tls, mark, seen, help)
}

fn session(contact: &Contact) -> String {
    let tls = match &contact.tls {
        None => None,
        Some(Tls::NotOffered) => Some("STARTTLS is not offered".to_owned()),
        Some(Tls::NotAsked) => Some("STARTTLS is not asked for".to_owned()),
        Some(Tls::Refused(said)) => Some(format!("STARTTLS is answered {}", said.words())),
        Some(Tls::Failed(why)) => Some(format!("no TLS: {why}")),
        Some(Tls::On { version, cipher, is_verified }) => {
            let verified = if *is_verified { "certificate verified" } else { "certificate not verified" };
            Some(format!("TLS {version} {cipher}, {verified}"))
        }
    };
    let hello = contact.hello.as_ref().map(|said| match said {
        // The lines behind the first one are the extensions.
        Said::Reply { code, text } => format!("EHLO {code} {}", text.lines().next().unwrap_or_default()),
        Said::Nothing(why) => why.clone(),
    });
    let level = Some(format!("wanted: {}", contact.level));
    [hello, tls, level].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// One that goes is enough.
fn mark(goes: impl Iterator<Item = bool>) -> Mark {
    let (mut some, mut all) = (false, true);
    for goes in goes {
        some |= goes;
        all &= goes;
    }
    match (some, all) {
        (true, true) => Mark::Ok,
        (true, false) => Mark::Warn,
        (false, _) => Mark::Fail,
    }
}

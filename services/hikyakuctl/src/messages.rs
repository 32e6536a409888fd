//! `hikyakuctl trace ID|MESSAGE-ID|ADDRESS`: the lives of messages over all nodes, in the order of time (SEED-202).

use std::{
    io::Write,
    time::{Duration, SystemTime},
};

use clap::Args as ClapArgs;
use hikyaku_mail_log::{Entry, Event, event::Failed};
use hikyaku_proto::admin::v1::{
    ListMessageEventsRequest, list_message_events_request::Key,
    message_admin_service_client::MessageAdminServiceClient,
};
use serde_json::Value;

use crate::{
    End,
    args::duration,
    output::{Output, harmless},
    server::{Server, connect, refusal},
};

#[derive(Debug, ClapArgs)]
pub(crate) struct MessageArgs {
    /// A queue id, a Message-ID, or the address of a sender or recipient.
    #[arg(value_name = "MESSAGE")]
    message: Option<String>,
    /// Messages of this sender only; <> is the null sender.
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// Messages to this recipient only, before aliases or after.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// Messages with this Message-ID only.
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// Accepted or refused so long ago at most: 90m, 12h, 7d. Default: as long as lines are kept.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    since: Option<Duration>,
    /// The newest so many messages, and so many refusals; at most 1000.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

pub(crate) async fn run(
    args: MessageArgs,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let MessageArgs { message, sender, recipient, message_id, since, limit } = args;
    let key = message
        .map(Key::Anything)
        .or(sender.map(Key::Sender))
        .or(recipient.map(Key::Recipient))
        .or(message_id.map(Key::MessageId));
    let since = since.and_then(|since| SystemTime::now().checked_sub(since)).map(Into::into);
    let request = ListMessageEventsRequest { key, since, until: None, limit };
    let mut messages = MessageAdminServiceClient::new(connect(server).await?);
    let mut lines = messages.list_message_events(request).await.map_err(refusal)?.into_inner();
    // All of it first: a pager or a terminal that stands still keeps nobody else from a search.
    let (mut found, mut has_more) = (Vec::new(), false);
    while let Some(response) = lines.message().await.map_err(refusal)? {
        has_more |= response.has_more;
        found.extend((!response.line.is_empty()).then_some(response.line));
    }
    for line in &found {
        show(line, output)?;
    }
    if has_more {
        output.note("There is more: --since and --limit choose what is shown.")?;
    }
    if found.is_empty() {
        output.note("Nothing is known of it: made up, of another cluster, or older than lines are kept.")?;
        return Ok(End::Refused);
    }
    Ok(End::Done)
}

fn show(line: &str, output: &mut Output<impl Write>) -> anyhow::Result<()> {
    let document: Value = serde_json::from_str(line)?;
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
    let told = match Entry::read(line) {
        Ok(event) => tell(&event),
        // Of a later version: what it says is shown as it is.
        Err(_) => format!("{} {line}", text("event")),
    };
    let (at, node) = (text("timestamp").to_owned(), text("node").to_owned());
    let entry =
        document.get("entry").or(document.get("queue_id")).and_then(Value::as_str).unwrap_or("-").to_owned();
    output.print_line(&document, |writer| {
        writeln!(writer, "{at} {} {} {}", harmless(&node), harmless(&entry), harmless(&told))
    })
}

/// For people, in one line.
fn tell(event: &Event) -> String {
    match event {
        Event::Accepted(it) => {
            let client = it.client.as_deref().unwrap_or("this relay");
            let identity = it.identity.as_ref().map(|who| format!(" as {who}")).unwrap_or_default();
            let id = it.message_id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
            format!(
                "accepted from {client} ({}){identity} by {}: {} to {} for {}, {} octets, {}{id}",
                it.helo,
                it.admitted_by,
                it.sender,
                it.recipients.join(", "),
                it.destination,
                it.size,
                it.lane,
            )
        }
        Event::Refused(it) => format!(
            "refused {} ({}): {} to {}: {} {} by {}",
            it.client,
            it.helo.as_deref().unwrap_or("-"),
            it.sender.as_deref().unwrap_or("-"),
            it.recipient.as_deref().unwrap_or("-"),
            it.code,
            it.enhanced.as_deref().unwrap_or_default(),
            it.decided_by,
        ),
        Event::Attempt(it) => format!(
            "attempt {} with {} [{}]{}, TLS {} ({})",
            it.attempt,
            it.host,
            it.address,
            it.egress.as_ref().map(|egress| format!(" from {egress}")).unwrap_or_default(),
            it.protection.tls,
            it.protection.tls_policy.as_deref().unwrap_or("-"),
        ),
        Event::Delivered(it) => {
            format!("delivered to {} after {:.1} s: {}", it.recipient, it.delay_seconds, it.remote)
        }
        Event::Deferred(it) => {
            let next = it.next_attempt.as_deref().unwrap_or("-");
            format!("deferred {} ({}), next attempt {next}: {}", it.recipient, class(it), it.cause)
        }
        Event::Bounced(it) => {
            let expired = if it.expired == Some(true) { ", given up" } else { "" };
            let report = it.report.as_deref().unwrap_or("none");
            format!("bounced {} ({}{expired}), report {report}: {}", it.recipient, class(it), it.cause)
        }
        Event::Reported(it) => format!("reported as {} to {}: {}", it.kind, it.sender, it.report),
        Event::Parked(it) => format!("set aside until {}", it.until.as_deref().unwrap_or("a word")),
        Event::Waits(it) | Event::Held(it) => {
            let (until, reason) =
                (it.until.as_deref().unwrap_or("a word"), it.reason.as_deref().unwrap_or("-"));
            format!("held until {until}: {reason}")
        }
        Event::Rerouted(it) => {
            format!("rerouted from {} to {}: {}", it.from, it.to, it.recipients.join(", "))
        }
        Event::Moved(it) => format!("moved by an operator from {} to {}", it.from, it.to),
        Event::Deleted(it) => format!("deleted by an operator from {}", it.destination),
        Event::Resent(it) => format!("sent again from the dead letter {}", it.dead_letter),
        // They are about no message.
        Event::Connected(_)
        | Event::Disconnected(_)
        | Event::Authentication(_)
        | Event::Operator(_)
        | Event::Directory(_)
        | Event::RouteExpired(_) => event.name().to_owned(),
    }
}

fn class(failed: &Failed) -> String {
    match &failed.phase {
        Some(phase) => format!("{} at {phase}, attempt {}", failed.class, failed.attempt),
        None => failed.class.clone(),
    }
}

#[cfg(test)]
mod tests {
    use hikyaku_mail_log::event::Accepted;

    use super::*;
    use crate::output::Format;

    fn shown(format: Format, event: &str) -> String {
        let line = format!(
            r#"{{"timestamp":"2026-11-22T08:00:00.123456Z","target":"mail","node":"gw-1","role":"ingress",{event}}}"#
        );
        let mut written = Vec::new();
        show(&line, &mut Output::new(format, &mut written)).unwrap();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn lines_for_people() {
        let event = r#""event":"deferred","queue_id":"Q","entry":"Q-0","sender":"a@x.example","recipient":"b@y.example",
            "destination":"y.example","attempt":1,"class":"temporary","phase":"rcpt","status":"4.7.1",
            "cause":"mx.y.example said 450 4.7.1 greylisted","next_attempt":"2026-11-22T08:02:00.000000Z""#;
        assert_eq!(
            shown(Format::Human, &event.replace('\n', "")),
            "2026-11-22T08:00:00.123456Z gw-1 Q-0 deferred b@y.example (temporary at rcpt, attempt 1), next attempt \
             2026-11-22T08:02:00.000000Z: mx.y.example said 450 4.7.1 greylisted\n"
        );
    }

    #[test]
    fn an_event_of_a_later_version_is_shown_too() {
        let human = shown(Format::Human, r#""event":"sung","queue_id":"Q","song":"a\u001bb""#);
        assert!(human.starts_with("2026-11-22T08:00:00.123456Z gw-1 Q sung {"), "{human}");
        assert!(!human.contains('\u{1b}'), "{human:?}");
    }

    #[test]
    fn an_acceptance_says_who_and_why() {
        let accepted = Event::Accepted(Box::new(Accepted {
            client: Some("192.0.2.1".to_owned()),
            helo: "client.example".to_owned(),
            identity: Some("ann@own.example".to_owned()),
            admitted_by: "access:3".to_owned(),
            sender: "ann@own.example".to_owned(),
            recipients: vec!["b@y.example".to_owned()],
            destination: "y.example".to_owned(),
            size: 1_234,
            lane: "fresh".to_owned(),
            message_id: Some("<1@own.example>".to_owned()),
            ..Accepted::default()
        }));
        assert_eq!(
            tell(&accepted),
            "accepted from 192.0.2.1 (client.example) as ann@own.example by access:3: ann@own.example to b@y.example \
             for y.example, 1234 octets, fresh <1@own.example>"
        );
    }
}

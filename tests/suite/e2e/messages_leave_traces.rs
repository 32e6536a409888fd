//! What processes of a cluster send to a collector: one story of each message, over all of them and over time.

use std::collections::{BTreeMap, BTreeSet};

use hikyaku_spans::declared::{ALL, Declared, OF_CALL, PUBLISH};
use hikyaku_testkit::{
    certificates::{Authority, Names},
    client::send_one,
    collector::{Arrived, Collector},
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    port,
    relay::Relay,
};

use crate::{
    lab::{CONTENT, SOON},
    rig::{Brokers, Rig},
};

const RATIO: &str = "HIKYAKU__TRACE_SAMPLE_RATIO";

fn exporting(to: &str, ratio: &str) -> Vec<(&'static str, String)> {
    let rate = ("HIKYAKU__TRACE_RATE", "100000/s".to_owned());
    vec![("HIKYAKU__OTLP_ENDPOINT", to.to_owned()), (RATIO, ratio.to_owned()), rate]
}

struct Traced {
    rig: Rig,
    servers: BTreeMap<&'static str, ScriptedMx>,
}

impl Traced {
    async fn start() -> anyhow::Result<Self> {
        let mut servers = BTreeMap::new();
        let mut domains = Vec::new();
        for (domain, script) in [
            ("own.test", Script::Accept),
            ("refuses.test", Script::RefuseRcpt("550 5.1.1 no such user")),
            ("later.test", Script::RefuseRcpt("451 4.7.1 later")),
        ] {
            let server = ScriptedMx::start(script).await?;
            domains.push((domain.to_owned(), server.address()));
            servers.insert(domain, server);
        }
        domains.push(("dead.test".to_owned(), "127.0.0.1:1".parse()?));
        let rig = Rig::start(Brokers::One(NatsServer::start()?), &domains, "").await?;
        Ok(Self { rig, servers })
    }

    /// The policy service with more in its environment.
    async fn policy(&mut self, environment: &[(&str, String)]) -> anyhow::Result<()> {
        let policy = &mut self.rig.policy;
        let mut environment = environment.to_vec();
        environment.push(("HIKYAKU__POLICY_LISTEN", policy.address("policy")?.to_string()));
        policy.end().await?;
        policy.again(&environment)?;
        policy.wait_for_message("listening").await;
        Ok(())
    }

    async fn arrived(&self, count: usize) {
        let inner = &self.servers["own.test"];
        eventually(SOON, async || match inner.received_count() {
            arrived if arrived >= count => Ok(()),
            arrived => Err(format!("{arrived} of {count} arrived")),
        })
        .await;
    }
}

/// Of a span that arrived.
fn declared(span: &Arrived) -> Option<&'static Declared> {
    let kind = |declared: &Declared| format!("SPAN_KIND_{}", format!("{:?}", declared.kind).to_uppercase());
    let call = OF_CALL
        .replace("{rpc.service}", span.attribute("rpc.service"))
        .replace("{rpc.method}", span.attribute("rpc.method"));
    let publish = PUBLISH
        .name
        .replace("{messaging.operation.name}", span.attribute("messaging.operation.name"))
        .replace("{messaging.destination.template}", span.attribute("messaging.destination.template"));
    ALL.into_iter().find(|declared| {
        let name = match declared.name {
            OF_CALL => &call,
            name if name == PUBLISH.name => &publish,
            name => name,
        };
        name == span.name && kind(declared) == span.kind
    })
}

fn one<'a>(spans: &'a [Arrived], what: &str, is: impl Fn(&Arrived) -> bool) -> Result<&'a Arrived, String> {
    let mut found = spans.iter().filter(|span| is(span));
    match (found.next(), found.next()) {
        (Some(span), None) => Ok(span),
        (Some(_), Some(_)) => Err(format!("several: {what}")),
        (None, _) => Err(format!("none: {what}")),
    }
}

/// From the transaction to the attempts of the report, by links and parents alone.
fn story(spans: &[Arrived], queue_id: &str) -> Result<(), String> {
    let transaction = one(spans, "transaction", |span| {
        span.name == "smtp.server.transaction" && span.attribute("mail.queue_id") == queue_id
    })?;
    if !transaction.parent.is_empty() {
        return Err("the transaction stands in something".to_owned());
    }
    one(spans, "connection", |span| {
        transaction.links == [span.place()] && span.name == "smtp.server.connection"
    })?;
    let publish = one(spans, "publish", |span| {
        span.parent == transaction.id && span.trace == transaction.trace && span.name == "accept queue"
    })?;
    let attempt = one(spans, "attempt", |span| {
        span.name == "process queue" && span.links.first() == Some(&publish.place())
    })?;
    if !attempt.parent.is_empty()
        || attempt.trace == transaction.trace
        || attempt.attribute("mail.queue_id") != queue_id
    {
        return Err(format!("not an attempt of its own: {attempt:?}"));
    }
    one(spans, "session", |span| {
        span.name == "smtp.client.session" && attempt.links.get(1) == Some(&span.place())
    })?;
    let inside = |parent: &Arrived, name: &str| {
        let inside =
            |span: &Arrived| span.parent == parent.id && span.trace == parent.trace && span.name == name;
        one(spans, name, inside).cloned()
    };
    inside(attempt, "smtp.client.transaction")?;
    let report = inside(attempt, "mail.report")?;
    let written = inside(&report, "accept queue")?;
    let of_report = one(spans, "attempt of the report", |span| {
        span.name == "process queue" && span.links.first() == Some(&written.place())
    })?;
    if of_report.trace == attempt.trace
        || of_report.attribute("mail.queue_id") != report.attribute("mail.queue_id")
    {
        return Err(format!("not the attempt of the report: {of_report:?}"));
    }
    let services = [transaction, attempt, of_report].map(|span| span.resource["service.name"].as_str());
    if services != ["hikyaku-ingress", "hikyaku-delivery", "hikyaku-delivery"] {
        return Err(format!("{services:?}"));
    }
    Ok(())
}

#[tokio::test]
async fn a_message_is_followed_from_its_acceptance_to_its_report() -> anyhow::Result<()> {
    let collector = Collector::start().await?;
    let mut traced = Traced::start().await?;
    let mut environment = exporting(&format!("http://{}", collector.address), "1");
    environment.push((
        "OTEL_RESOURCE_ATTRIBUTES",
        "deployment.environment.name=tests,service.name=other".to_owned(),
    ));
    environment.push(("OTEL_TRACES_SAMPLER", "always_off".to_owned()));
    environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1".to_owned()));
    environment.push(("OTEL_SERVICE_NAME", "hikyaku-policy".to_owned()));
    traced.policy(&environment).await?;
    let environment = exporting(&format!("http://{}", collector.address), "1");
    let ingress = traced.rig.ingress_in("", &environment).await?;
    let worker = traced.rig.worker_in(&environment).await?;

    let smtp = ingress.smtp();
    let refused = send_one(smtp, "secret-sender@own.test", &["secret-rcpt@refuses.test"], CONTENT).await?;
    // Larger than what travels in an envelope.
    let large = format!("Subject: large\r\n\r\n{}", "confidential text\r\n".repeat(6_000));
    let later = send_one(smtp, "secret-sender@own.test", &["secret-rcpt@later.test"], &large).await?;
    worker.wait_for_mail_log("deferred", &later, SOON).await;
    let host = traced.servers["later.test"].address();
    worker.ctl(&["queue", "retry", "--destination", &format!("[{}]:{}", host.ip(), host.port())]).await?;
    // Nobody to report to, and nobody there.
    let dead = send_one(smtp, "", &["secret-rcpt@refuses.test"], CONTENT).await?;
    worker.wait_for_mail_log("bounced", &dead, SOON).await;
    let unreachable = send_one(smtp, "secret-sender@own.test", &["secret-rcpt@dead.test"], CONTENT).await?;
    worker.wait_for_mail_log("deferred", &unreachable, SOON).await;
    traced.arrived(1).await;

    eventually(SOON, async || {
        let spans = collector.spans();
        story(&spans, &refused)?;
        for declared_span in ALL {
            let is_it =
                |found: &Declared| found.name == declared_span.name && found.kind == declared_span.kind;
            let is_there = spans.iter().filter_map(declared).any(is_it);
            if !is_there {
                return Err(format!("no {:?} {}", declared_span.kind, declared_span.name));
            }
        }
        let attempts_of = |queue_id: &str, number: &str| {
            one(&spans, &format!("attempt {number}"), |span| {
                span.name == "process queue"
                    && span.attribute("mail.queue_id") == queue_id
                    && span.attribute("mail.attempt") == number
            })
            .cloned()
        };
        // Each attempt of a message is linked to its acceptance, not to the one before.
        let (first, second) = (attempts_of(&later, "1")?, attempts_of(&later, "2")?);
        if first.links.first() != second.links.first() || first.trace == second.trace {
            return Err(format!("{first:?} {second:?}"));
        }
        // What a host says is no error, what keeps us from it is.
        let failed = attempts_of(&unreachable, "1")?;
        if first.is_error || !failed.is_error || failed.attribute("error.type") != "ECONNREFUSED" {
            return Err(format!("{first:?} {failed:?}"));
        }
        for name in ["accept dead", "schedule queue", "store body"] {
            if !spans.iter().any(|span| span.name == name) {
                return Err(format!("no {name}"));
            }
        }
        // A call that is answered stands in the span of the one who asks, over processes.
        let served = spans
            .iter()
            .filter(|span| span.attribute("rpc.system") == "grpc" && span.kind == "SPAN_KIND_SERVER");
        for served in served {
            let asked = one(&spans, &format!("client of {}", served.name), |span| {
                span.id == served.parent && span.trace == served.trace && span.name == served.name
            })?;
            if asked.kind != "SPAN_KIND_CLIENT"
                || asked.resource["service.name"] == served.resource["service.name"]
            {
                return Err(format!("{served:?} {asked:?}"));
            }
        }
        Ok(())
    })
    .await;

    let spans = collector.spans();
    let mut names = BTreeSet::new();
    for span in &spans {
        let declared = declared(span).unwrap_or_else(|| panic!("nobody declares {span:?}"));
        for (key, value) in &span.attributes {
            assert!(declared.attributes.contains(&key.as_str()), "{key} of {span:?}");
            let is_private = ["secret", "confidential", "@"].iter().any(|word| value.contains(word));
            assert!(!is_private, "{span:?}");
        }
        assert_eq!(span.is_error, span.attributes.contains_key("error.type"), "{span:?}");
        assert_eq!(span.resource["service.version"], env!("CARGO_PKG_VERSION"));
        assert!(!span.resource["service.instance.id"].is_empty());
        let is_policy = span.resource["service.name"] == "hikyaku-policy";
        assert_eq!(span.resource.contains_key("deployment.environment.name"), is_policy, "{span:?}");
        names.insert(&span.name);
    }
    println!("{} spans of {} names", spans.len(), names.len());
    let warned = traced.rig.policy.log().iter().any(|line| {
        let unread = line["unread"].to_string();
        unread.contains("OTEL_TRACES_SAMPLER") && !unread.contains("OTEL_RESOURCE_ATTRIBUTES")
    });
    assert!(warned, "variables that do not count were not named");
    Ok(())
}

async fn deliver(traced: &Traced, ingress: &Relay, messages: usize) -> anyhow::Result<()> {
    let before = traced.servers["own.test"].received_count();
    for n in 0..messages {
        send_one(ingress.smtp(), "a@client.test", &[&format!("u{n}@own.test")], CONTENT).await?;
    }
    traced.arrived(before + messages).await;
    Ok(())
}

/// A trace that ingress does not sample is sampled by nobody; one that nobody has begun is drawn by the worker,
/// because nothing of it is in the queue.
#[tokio::test]
async fn attempts_follow_what_was_said_at_the_acceptance() -> anyhow::Result<()> {
    let collector = Collector::start().await?;
    let to = format!("http://{}", collector.address);
    let mut traced = Traced::start().await?;
    traced.policy(&exporting(&to, "1")).await?;
    let never = traced.rig.ingress_in("", &exporting(&to, "0")).await?;
    let silent = traced.rig.ingress().await?;
    let always = traced.rig.ingress_in("", &exporting(&to, "1")).await?;
    let _worker = traced.rig.worker_in(&exporting(&to, "1")).await?;
    deliver(&traced, &never, 3).await?;
    deliver(&traced, &silent, 2).await?;
    deliver(&traced, &always, 1).await?;
    eventually(SOON, async || {
        let spans = collector.spans();
        let attempts = spans.iter().filter(|span| span.name == "process queue");
        // To what put them into the queue, the session apart.
        let is_session = |place: &(String, String)| {
            spans.iter().any(|span| span.place() == *place && span.name == "smtp.client.session")
        };
        let links: Vec<usize> =
            attempts.map(|span| span.links.iter().filter(|link| !is_session(link)).count()).collect();
        let with = links.iter().filter(|count| **count == 1).count();
        match (links.len(), with) {
            (3, 1) => Ok(()),
            other => Err(format!("{other:?} attempts, with a link; {links:?}")),
        }
    })
    .await;
    let transactions = collector.spans();
    let transactions: Vec<&Arrived> =
        transactions.iter().filter(|span| span.name == "smtp.server.transaction").collect();
    assert_eq!(transactions.len(), 1);
    Ok(())
}

/// Connections are taken and never answered.
#[tokio::test]
async fn a_collector_that_hangs_costs_spans_and_no_mail() -> anyhow::Result<()> {
    let hanging = std::net::TcpListener::bind("127.0.0.1:0")?;
    let to = format!("http://{}", hanging.local_addr()?);
    let mut traced = Traced::start().await?;
    let metrics = port::unused()?;
    let mut environment = exporting(&to, "1");
    environment.extend([
        ("HIKYAKU__TRACE_QUEUE_SPANS", "16".to_owned()),
        ("HIKYAKU__TRACE_BATCH_SPANS", "8".to_owned()),
        ("HIKYAKU__OTLP_TIMEOUT_SECONDS", "60".to_owned()),
        ("HIKYAKU__METRICS", metrics.to_string()),
    ]);
    let mut ingress = traced.rig.ingress_in("", &environment).await?;
    environment.pop();
    environment.retain(|(key, _)| *key != "HIKYAKU__OTLP_TIMEOUT_SECONDS");
    let mut worker = traced.rig.worker_in(&environment).await?;
    deliver(&traced, &ingress, 30).await?;
    let text = tokio::task::spawn_blocking(move || hikyaku_testkit::metrics::read(metrics)).await??;
    let dropped = hikyaku_testkit::metrics::value(&text, "telemetry_spans_total{outcome=\"dropped\"}");
    assert!(dropped > 30.0, "{dropped} spans dropped");
    assert_eq!(hikyaku_testkit::metrics::value(&text, "telemetry_spans_total{outcome=\"exported\"}"), 0.0);
    // It waits for the collector as long as for one export and no longer; without a limit this would not end.
    assert_eq!(worker.stop().await?, Some(0));
    ingress.end().await?;
    Ok(())
}

#[tokio::test]
async fn the_collector_is_known_by_its_certificate_and_knows_us_by_a_header() -> anyhow::Result<()> {
    let authority = Authority::new("collectors")?;
    let pair = authority.issue(&Names { common: "collector", dns: &["localhost"], uris: &[] })?;
    let collector = Collector::secured(&pair).await?;
    let mut traced = Traced::start().await?;
    let (ca, headers) = (traced.rig.path("collectors.crt"), traced.rig.path("headers"));
    authority.write(ca.as_ref())?;
    std::fs::write(&headers, "Authorization: Bearer of-the-relay\n")?;
    let mut environment = exporting(&format!("https://localhost:{}", collector.address.port()), "1");
    environment.push(("HIKYAKU__OTLP_CA", ca));
    environment.push(("HIKYAKU__OTLP_HEADERS_FILE", headers));
    let ingress = traced.rig.ingress_in("", &environment).await?;
    let _worker = traced.rig.worker().await?;
    deliver(&traced, &ingress, 1).await?;
    eventually(SOON, async || match collector.authorizations().first() {
        Some(shown) if shown == "Bearer of-the-relay" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let printed = ingress.log().iter().any(|line| line.to_string().contains("of-the-relay"));
    assert!(!printed, "the secret is in the log");
    assert!(!collector.spans().is_empty());
    Ok(())
}

//! From a bucket to a trace. A real Prometheus finds traces that have arrived at the collector, and the same series
//! whichever format it asks for.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::SocketAddr,
    process::{Command, Stdio},
};

use hikyaku_testkit::{
    client::send_one,
    collector::{Arrived, Collector},
    eventually::eventually,
    metrics,
    mx::{Script, ScriptedMx},
    port,
    relay::Relay,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{boards, prometheus::Prometheus};
use crate::lab::{CONTENT, Lab, SOON};

const TEXT: &str = "text/plain;version=0.0.4";
const OPEN: &str = "application/openmetrics-text;version=1.0.0";

/// Where there must be some after mail of every fate: name, a label.
const EXPECTED: [(&str, &str, &str); 8] = [
    ("mail_delivery_latency_seconds_bucket", "outcome", "delivered"),
    ("mail_delivery_latency_seconds_bucket", "outcome", "bounced"),
    ("messaging_client_operation_duration_seconds_bucket", "messaging_operation_name", "accept"),
    ("messaging_client_operation_duration_seconds_bucket", "messaging_operation_name", "schedule"),
    ("messaging_client_operation_duration_seconds_bucket", "messaging_operation_name", "body"),
    ("mail_policy_decision_duration_seconds_bucket", "source", "remote"),
    ("rpc_server_call_duration_seconds_bucket", "rpc_service", "hikyaku.policy.v1.PolicyService"),
    ("smtp_server_message_size_bytes_bucket", "", ""),
];

/// It is in no trace.
const NOBODYS: &str = "mail_policy_directory_load_duration_seconds";

struct Traced {
    relay: Relay,
    metrics: SocketAddr,
    collector: Collector,
    _lab: Lab,
    _servers: Vec<ScriptedMx>,
}

impl Traced {
    async fn start(ratio: f64) -> anyhow::Result<Self> {
        let (mut lab, collector) = (Lab::new().await?, Collector::start().await?);
        let mut servers = Vec::new();
        for (domain, script) in [
            ("own.test", Script::Accept),
            ("refuses.test", Script::RefuseRcpt("550 5.1.1 no such user")),
            ("later.test", Script::RefuseRcpt("451 4.7.1 later")),
        ] {
            let server = ScriptedMx::start(script).await?;
            lab.own_domain(domain, &server);
            servers.push(server);
        }
        let metrics = port::unused()?;
        lab.configure(&format!(
            "metrics = \"{metrics}\"\notlp_endpoint = \"http://{}\"\ntrace_sample_ratio = {ratio:?}\n",
            collector.address
        ))?;
        let relay = lab.up().await?;
        Ok(Self { relay, metrics, collector, _lab: lab, _servers: servers })
    }

    async fn send(&self, to: &str, content: &str, fate: &str) -> anyhow::Result<String> {
        let queue_id = send_one(self.relay.smtp(), "a@own.test", &[to], content).await?;
        self.relay.wait_for_mail_log(fate, &queue_id, SOON).await;
        Ok(queue_id)
    }

    /// Header and body.
    async fn shown(&self, accept: &'static str) -> anyhow::Result<(String, String)> {
        let from = self.metrics;
        let answer = tokio::task::spawn_blocking(move || metrics::read_as(from, accept)).await??;
        let (header, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        Ok((header.to_ascii_lowercase(), body.to_owned()))
    }
}

/// Asks for text, whatever it is asked for.
async fn in_text(metrics: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4_096]).await; // whatever
            let answer = tokio::task::spawn_blocking(move || metrics::read_as(metrics, TEXT)).await;
            if let Ok(Ok(answer)) = answer {
                let _ = stream.write_all(answer.as_bytes()).await; // it asks again
            }
        }
    });
    Ok(address)
}

/// Without those that tell where they are from.
fn alike(series: &[Value]) -> BTreeSet<String> {
    let alike = series.iter().filter_map(Value::as_object).map(|series| {
        let labels = series.iter().filter(|(name, _)| !["job", "instance"].contains(&name.as_str()));
        labels.map(|(name, value)| format!("{name}={value} ")).collect()
    });
    alike.collect()
}

/// An exemplar in its series, and the span that it names.
fn meant<'a>(series: &Value, exemplar: &Value, spans: &'a [Arrived]) -> Result<&'a Arrived, String> {
    let named = |label: &str| exemplar["labels"][label].as_str().unwrap_or_default().to_owned();
    let place = (named("trace_id"), named("span_id"));
    let number = |value: &Value| value.as_str().and_then(|value| value.parse::<f64>().ok());
    let (value, bound) = (number(&exemplar["value"]), number(&series["seriesLabels"]["le"]));
    assert!(value.is_some() && value <= bound, "{exemplar} is not of {series}");
    spans.iter().find(|span| span.place() == place).ok_or_else(|| format!("no span {exemplar} of {series}"))
}

#[tokio::test]
async fn exemplars_are_traces_that_arrived() -> anyhow::Result<()> {
    let traced = Traced::start(1.0).await?;
    let targets = [("relay", traced.metrics), ("text", in_text(traced.metrics).await?)];
    let Some(prometheus) = Prometheus::of(&targets, &[]).await? else { return Ok(()) };
    let large = format!("Subject: large\r\n\r\n{}", "more text\r\n".repeat(20_000));
    traced.send("b@own.test", CONTENT, "delivered").await?;
    let large = traced.send("b@own.test", &large, "delivered").await?;
    let refused = traced.send("b@refuses.test", CONTENT, "bounced").await?;
    traced.send("b@later.test", CONTENT, "deferred").await?;

    eventually(SOON, async || {
        let found = prometheus.exemplars("{__name__=~\".+_bucket\"}").await;
        let found = found.map_err(|error| error.to_string())?;
        let spans = traced.collector.spans();
        let mut missing: BTreeSet<_> = EXPECTED.into();
        let mut messages = BTreeSet::new();
        for series in &found {
            let labels = &series["seriesLabels"];
            assert_eq!(labels["job"], "relay", "text has no exemplars");
            missing.retain(|(name, label, value)| {
                labels["__name__"] != *name || !(label.is_empty() || labels[*label] == *value)
            });
            for exemplar in series["exemplars"].as_array().into_iter().flatten() {
                let span = meant(series, exemplar, &spans)?;
                messages.insert((
                    labels.to_string(),
                    span.name.clone(),
                    span.attribute("mail.queue_id").to_owned(),
                ));
            }
        }
        if !missing.is_empty() {
            return Err(format!("no exemplars of {missing:?}"));
        }
        // Not any traces: those of these messages.
        for (label, name, queue_id) in [
            ("\"outcome\":\"bounced\"", "process queue", &refused),
            ("\"le\":\"262144\"", "smtp.server.transaction", &large),
        ] {
            let is_there = |(labels, span, message): &(String, String, String)| {
                labels.contains(label) && span == name && message == queue_id
            };
            if !messages.iter().any(is_there) {
                return Err(format!("{label} does not lead to {name} of {queue_id}: {messages:?}"));
            }
        }
        Ok(())
    })
    .await;

    // As Grafana asks for them.
    let queries =
        boards::all().into_iter().flat_map(|board| board.exemplar_queries()).collect::<BTreeSet<_>>();
    assert!(queries.len() > 5, "{queries:?}");
    for query in &queries {
        let query = query.replace("$namespace", ".*").replace("$__rate_interval", "1m");
        let found = prometheus.exemplars(&query).await?;
        assert_eq!(found.is_empty(), query.contains(NOBODYS), "{query}: {found:?}");
    }

    eventually(SOON, async || {
        let of = async |job: &str| {
            let series = prometheus.series(&format!("{{job=\"{job}\"}}")).await;
            series.map(|series| alike(&series)).map_err(|error| error.to_string())
        };
        let (open, text) = (of("relay").await?, of("text").await?);
        let different: Vec<&String> = open.symmetric_difference(&text).collect();
        if different.is_empty() && open.len() > 300 {
            println!("{} series in both formats", open.len());
            Ok(())
        } else {
            Err(format!("{} and {} series; {different:?}", open.len(), text.len()))
        }
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn who_does_not_ask_for_open_metrics_gets_text() -> anyhow::Result<()> {
    let traced = Traced::start(1.0).await?;
    traced.send("b@own.test", CONTENT, "delivered").await?;
    let (header, open) = traced.shown(OPEN).await?;
    assert!(
        header.contains("\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{header}"
    );
    assert!(open.ends_with("\n# EOF\n") && open.contains(" # {trace_id=\""), "no exemplar, or no end");
    for accept in [TEXT, "*/*", "application/json"] {
        let (header, text) = traced.shown(accept).await?;
        assert!(header.contains("\r\ncontent-type: text/plain; charset=utf-8"), "{header}");
        let of_the_other = text.lines().find(|line| line.contains("trace_id") || line.contains("# EOF"));
        assert_eq!(of_the_other, None);
        let kind = text.lines().find(|line| line.starts_with("# TYPE smtp_server_transactions"));
        assert_eq!(kind, Some("# TYPE smtp_server_transactions_total counter"));
        check_metrics(&text)?;
    }
    Ok(())
}

fn check_metrics(text: &str) -> anyhow::Result<()> {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: promtool: {error}; tests/get-peers installs it");
            return Ok(());
        }
    };
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    let mut said = String::new();
    if let Some(mut errors) = child.stderr.take() {
        errors.read_to_string(&mut said)?;
    }
    let status = child.wait()?;
    assert!(status.success(), "{said}");
    Ok(())
}

/// Traces that nobody will see are not named.
#[tokio::test]
async fn what_is_not_sampled_is_no_exemplar() -> anyhow::Result<()> {
    let traced = Traced::start(0.0).await?;
    traced.send("b@own.test", CONTENT, "delivered").await?;
    let (_, open) = traced.shown(OPEN).await?;
    let counted = "mail_delivery_latency_seconds_count{outcome=\"delivered\",lane=\"fresh\"}";
    assert!(metrics::value(&open, counted) > 0.0, "nothing was delivered");
    assert_eq!(open.lines().find(|line| line.contains("trace_id")), None);
    Ok(())
}

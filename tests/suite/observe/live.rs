//! A real Prometheus looks at a run of all roles: each panel has data, each alert is understood.

use std::{collections::BTreeSet, time::Duration};

use hikyaku_testkit::eventually::eventually;
use serde_json::Value;

use super::{alerts, boards, prometheus::Prometheus, shown, traffic::Scene};
use crate::arch::metric_catalogue;

const LIMIT: Duration = Duration::from_secs(180);

/// What may have no series after this run, and why.
const WITHOUT: [(&str, &str); 2] = [
    ("error_type=\"INTERNAL\"", "a defect of ours, or content that is lost"),
    ("tls_certificate_expiry_seconds", "roles that know each other by certificates are in another test"),
];

fn is_number(sample: &Value) -> bool {
    sample["value"][1].as_str().is_some_and(|value| value != "NaN")
}

#[tokio::test]
async fn each_panel_has_data() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let rules = alerts::rules();
    let Some(prometheus) = Prometheus::start(scene.metrics, &rules).await? else { return Ok(()) };
    let queries: BTreeSet<String> = boards::all()
        .iter()
        .flat_map(|board| board.queries().map(|query| query.expression.clone()).collect::<Vec<_>>())
        // As Grafana fills them in.
        .map(|query| query.replace("$namespace", ".*").replace("$__rate_interval", "1m"))
        .collect();
    let (expected, rest): (BTreeSet<&String>, BTreeSet<&String>) =
        queries.iter().partition(|query| !WITHOUT.iter().any(|(metric, _)| query.contains(metric)));
    scene.outage().await?;
    eventually(LIMIT, async || {
        scene.round().await.map_err(|error| format!("{error:#}"))?;
        let mut missing = Vec::new();
        for query in &expected {
            match prometheus.query(query).await {
                Ok(samples) if samples.iter().any(is_number) => {}
                Ok(samples) => missing.push(format!("{query}: {} samples", samples.len())),
                Err(error) => panic!("{query}: {error:#}"),
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(missing.join("\n")) }
    })
    .await;
    // After load with failures of every kind.
    let metrics = scene.metrics;
    let text = tokio::task::spawn_blocking(move || hikyaku_testkit::metrics::read(metrics)).await??;
    let shown = shown::check(text.split_once("\r\n\r\n").map_or("", |(_, body)| body));
    let missing: Vec<&str> =
        metric_catalogue::all().map(|measure| measure.name).filter(|name| !shown.contains(name)).collect();
    assert_eq!(missing, ["tls.certificate.expiry"], "declared and not shown");

    for query in rest {
        let samples = prometheus.query(query).await?;
        println!("{}: {query}", if samples.is_empty() { "no data" } else { "data" });
    }

    // The same rules with the same data: all of them can be evaluated, and what happened is noticed.
    let found = prometheus.rules().await?;
    assert!(found.len() > 20, "{}", found.len());
    for rule in &found {
        assert!(rule["health"] == "ok" && rule["lastError"].is_null(), "{rule}");
    }
    eventually(LIMIT, async || {
        let rules = prometheus.rules().await.map_err(|error| error.to_string())?;
        let is_firing =
            |name: &str| rules.iter().any(|rule| rule["name"] == name && rule["state"] == "firing");
        if is_firing("HikyakuDeadLetters") {
            Ok(())
        } else {
            Err("HikyakuDeadLetters does not fire".to_owned())
        }
    })
    .await;
    println!("{} queries, {} rules", queries.len(), found.len());
    Ok(())
}

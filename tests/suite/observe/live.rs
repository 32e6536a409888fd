//! A real Prometheus looks at a run of all roles: each panel has data, each alert is understood.

use std::{collections::BTreeSet, time::Duration};

use hikyaku_testkit::eventually::eventually;
use serde_json::Value;

use super::{alerts, boards, prometheus::Prometheus, traffic::Scene};

const LIMIT: Duration = Duration::from_secs(180);

/// Counters that may have no series after this run, and why.
const WITHOUT: [(&str, &str); 8] = [
    ("actor_restarts_total", "a defect of ours"),
    ("error_type=\"INTERNAL\"", "a defect of ours, or content that is lost"),
    ("mail_custody_late_total", "depends on what the broker had in hand when it was killed"),
    ("mail_custody_lost_total", "a process that is ended while the broker is away"),
    ("mail_log_lost_total", "16 MiB of lines have to wait first"),
    ("mail_delivery_fenced_total", "depends on how far attempts were when the broker was killed"),
    ("mail_queue_orphans_total", "shards are looked at every ten minutes"),
    ("mail_policy_directory_rejected_total", "a version that another program wrote"),
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

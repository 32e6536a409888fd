//! How the chart has pods replaced.

use std::time::Duration;

use crate::chart::objects::{Objects, number, text};

/// Pauses are shorter here, all in the same proportion. What the program takes to end is not.
const FASTER: u32 = 5;

/// Of a Deployment.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// A new pod is ready for so long before an old one goes.
    pub min_ready: Duration,
    /// Between the word that a pod goes and SIGTERM.
    pub pre_stop: Duration,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
}

#[derive(Debug)]
pub struct Plan {
    pub ingress: Times,
    pub delivery: Times,
    pub policy: Times,
    /// In which somebody who looks at readiness has seen a change.
    pub probe: Duration,
}

impl Plan {
    pub fn of(objects: &Objects) -> Self {
        let times = |role: &str| {
            let workload = objects.get("Deployment", &format!("rel-{role}"));
            let update = &workload["spec"]["strategy"]["rollingUpdate"];
            assert_eq!((&update["maxUnavailable"], &update["maxSurge"]), (&0.into(), &1.into()), "{role}");
            let pod = &workload["spec"]["template"]["spec"];
            let sleep = pod["containers"][0].pointer("/lifecycle/preStop/sleep/seconds");
            let sleep = sleep.and_then(serde_json::Value::as_u64).unwrap_or(0);
            let grace = number(pod, "/terminationGracePeriodSeconds") - sleep;
            Times {
                min_ready: Duration::from_secs(number(workload, "/spec/minReadySeconds")) / FASTER,
                pre_stop: Duration::from_secs(sleep) / FASTER,
                grace: Duration::from_secs(grace),
            }
        };
        let ingress = objects.pod("Deployment rel-ingress");
        let probe = &ingress.containers()[0]["readinessProbe"];
        assert_eq!(text(probe, "/httpGet/path"), "/readyz");
        Self {
            ingress: times("ingress"),
            delivery: times("delivery"),
            policy: times("policy"),
            probe: Duration::from_secs(number(probe, "/periodSeconds") * number(probe, "/failureThreshold"))
                / FASTER,
        }
    }
}

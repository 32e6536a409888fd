use std::{fs, path::Path};

use super::{chart, helm::helm};

const RULES: &str = "groups:\n  - name: hikyaku\n    rules:\n      - alert: NotDurable\n        expr: hikyaku_durable == 0\n        annotations:\n          summary: \"{{ $labels.pod }} refuses mail\"\n          runbook_url: runbooks/NotDurable.md\n";
const DASHBOARD: &str = "{ \"title\": \"overview {{pod}}\" }";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Each file becomes one object, with its text as it stands; without files there is none.
#[test]
fn dashboards_and_rules_are_files() {
    let Some(helm) = helm() else { return };
    let folder = tempfile::tempdir().unwrap();
    copy(&chart(), folder.path());
    for kind in ["dashboards", "rules"] {
        fs::remove_dir_all(folder.path().join("files").join(kind)).unwrap();
    }
    let values = ["metrics={\"rules\":true,\"dashboards\":{\"enabled\":true}}"];
    let empty = helm.render(folder.path(), "minimal", &values).unwrap();
    let dashboard = |object: &&serde_json::Value| object["metadata"]["labels"]["grafana_dashboard"] == "1";
    assert_eq!(
        empty.of_kind("PrometheusRule").count() + empty.of_kind("ConfigMap").filter(dashboard).count(),
        0
    );

    for (file, text) in [("dashboards/overview.json", DASHBOARD), ("rules/alerts.yaml", RULES)] {
        let path = folder.path().join("files").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let full = helm.render(folder.path(), "minimal", &values).unwrap();
    assert_eq!(full.text("ConfigMap", "rel-dashboard-overview", "overview.json").trim(), DASHBOARD);
    let rule = &full.get("PrometheusRule", "rel-rules-alerts")["spec"]["groups"][0]["rules"][0];
    assert_eq!(rule["annotations"]["summary"], "{{ $labels.pod }} refuses mail");
    assert_eq!(rule["annotations"]["runbook_url"], "runbooks/NotDurable.md");
    let values = ["metrics={\"rules\":true,\"runbooks\":\"https://wiki.example/mail/\"}"];
    let elsewhere = helm.render(folder.path(), "minimal", &values).unwrap();
    let rule = &elsewhere.get("PrometheusRule", "rel-rules-alerts")["spec"]["groups"][0]["rules"][0];
    assert_eq!(rule["annotations"]["runbook_url"], "https://wiki.example/mail/NotDurable.md");
    // Nobody gets them unasked.
    let off = helm.render(folder.path(), "minimal", &[]).unwrap();
    assert_eq!(off.of_kind("PrometheusRule").count() + off.of_kind("ConfigMap").filter(dashboard).count(), 0);
}

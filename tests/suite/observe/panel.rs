//! A dashboard as the JSON that Grafana reads.

use serde_json::{Value, json};

/// Grafana's grid has 24 columns: three panels, or six figures, beside each other.
const COLUMNS: usize = 24;
const PANEL: (usize, usize) = (8, 8);
const FIGURE: (usize, usize) = (4, 4);

pub struct Board {
    /// Of the file, and of the address in Grafana.
    pub name: &'static str,
    pub title: &'static str,
    pub text: &'static str,
    pub rows: Vec<Row>,
}

pub struct Row {
    pub title: &'static str,
    pub panels: Vec<Panel>,
}

pub struct Panel {
    title: &'static str,
    text: &'static str,
    unit: Unit,
    shape: Shape,
    queries: Vec<Query>,
}

#[derive(Clone, Copy)]
enum Shape {
    Lines,
    Figure,
}

#[derive(Clone, Copy)]
pub enum Unit {
    Count,
    PerSecond,
    Seconds,
    Bytes,
    /// 0 to 1.
    Share,
}

impl Unit {
    /// As Grafana calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::PerSecond => "ops",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::Share => "percentunit",
        }
    }
}

pub struct Query {
    pub expression: String,
    legend: &'static str,
}

impl Query {
    /// Buckets may have traces beside them, dots in the panel that lead to a message.
    fn has_exemplars(&self) -> bool {
        self.expression.contains("_bucket{")
    }
}

pub fn query(expression: String, legend: &'static str) -> Query {
    Query { expression, legend }
}

pub fn row(title: &'static str, panels: Vec<Panel>) -> Row {
    Row { title, panels }
}

pub fn lines(title: &'static str, unit: Unit, text: &'static str, queries: Vec<Query>) -> Panel {
    Panel { title, text, unit, shape: Shape::Lines, queries }
}

pub fn figure(title: &'static str, unit: Unit, text: &'static str, expression: String) -> Panel {
    Panel { title, text, unit, shape: Shape::Figure, queries: vec![query(expression, "")] }
}

/// What is looked at is chosen above the panels.
fn selector(labels: &str) -> String {
    let chosen = "namespace=~\"$namespace\"";
    if labels.is_empty() { format!("{{{chosen}}}") } else { format!("{{{chosen}, {labels}}}") }
}

fn by(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!(" by ({labels})") }
}

/// Of a gauge.
pub fn level(metric: &str, labels: &str) -> String {
    format!("sum{} ({metric}{})", by(labels), selector(""))
}

/// Of a gauge: `max` or `min`.
pub fn extreme(which: &str, metric: &str, labels: &str) -> String {
    format!("{which}{} ({metric}{})", by(labels), selector(""))
}

/// Of a counter, in a second.
pub fn rate(metric: &str, labels: &str) -> String {
    rate_of(metric, "", labels)
}

/// Of those series of a counter.
pub fn rate_of(metric: &str, which: &str, labels: &str) -> String {
    format!("sum{} (rate({metric}{}[$__rate_interval]))", by(labels), selector(which))
}

/// Of a counter: those series among all; 0 while there is none of them.
pub fn share(metric: &str, which: &str) -> String {
    let all = rate(metric, "");
    format!("({} or 0 * {all}) / {all}", rate_of(metric, which, ""))
}

/// Of a histogram.
pub fn quantile(quantile: f64, metric: &str, labels: &str) -> String {
    quantile_of(quantile, metric, "", labels)
}

pub fn quantile_of(quantile: f64, metric: &str, which: &str, labels: &str) -> String {
    let labels = if labels.is_empty() { "le".to_owned() } else { format!("le, {labels}") };
    let rates = rate_of(&format!("{metric}_bucket"), which, &labels);
    format!("histogram_quantile({quantile}, {rates})")
}

/// How long half of them, and nearly all of them, took.
pub fn durations(metric: &str, which: &str) -> Vec<Query> {
    vec![
        query(quantile_of(0.5, metric, which, ""), "half"),
        query(quantile_of(0.99, metric, which, ""), "99 %"),
    ]
}

impl Board {
    pub fn queries(&self) -> impl Iterator<Item = &Query> {
        self.rows.iter().flat_map(|row| &row.panels).flat_map(|panel| &panel.queries)
    }

    /// With which Grafana asks for exemplars too.
    pub fn exemplar_queries(&self) -> Vec<String> {
        let queries = self.queries().filter(|query| query.has_exemplars());
        queries.map(|query| query.expression.clone()).collect()
    }

    pub fn json(&self) -> Value {
        let mut panels = Vec::new();
        let mut top = 0;
        for row in &self.rows {
            panels.push(json!({
                "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "id": panels.len() + 1,
                "gridPos": { "x": 0, "y": top, "w": COLUMNS, "h": 1 },
            }));
            top += 1;
            let (mut left, mut height) = (0, 0);
            for panel in &row.panels {
                let (width, tall) = panel.size();
                if left + width > COLUMNS {
                    (left, top) = (0, top + height);
                    height = 0;
                }
                let place = json!({ "x": left, "y": top, "w": width, "h": tall });
                panels.push(panel.json(panels.len() + 1, &place));
                left += width;
                height = height.max(tall);
            }
            top += height;
        }
        json!({
            "uid": format!("hikyaku-{}", self.name),
            "title": self.title,
            "description": self.text,
            "tags": ["hikyaku"],
            "schemaVersion": 39,
            "editable": false,
            "refresh": "30s",
            "time": { "from": "now-3h", "to": "now" },
            "timezone": "",
            "links": [{ "type": "dashboards", "tags": ["hikyaku"], "title": "Hikyaku", "asDropdown": true, "keepTime": true, "includeVars": true }],
            "templating": { "list": [
                { "type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus" },
                {
                    "type": "query", "name": "namespace", "label": "Namespace",
                    "datasource": source(),
                    "query": "label_values(mail_queue_durable, namespace)",
                    // Outside of Kubernetes nothing has the label.
                    "includeAll": true, "allValue": ".*", "current": { "text": "All", "value": "$__all" },
                    "refresh": 2,
                },
            ] },
            "panels": panels,
        })
    }
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

impl Panel {
    const fn size(&self) -> (usize, usize) {
        match self.shape {
            Shape::Lines => PANEL,
            Shape::Figure => FIGURE,
        }
    }

    fn json(&self, id: usize, place: &Value) -> Value {
        let targets: Vec<Value> = self.queries.iter().zip('A'..).map(target).collect();
        let (kind, options) = match self.shape {
            Shape::Lines => (
                "timeseries",
                json!({ "legend": { "displayMode": "list", "placement": "bottom" }, "tooltip": { "mode": "multi" } }),
            ),
            Shape::Figure => {
                ("stat", json!({ "reduceOptions": { "calcs": ["lastNotNull"] }, "colorMode": "value" }))
            }
        };
        json!({
            "id": id, "type": kind, "title": self.title, "description": self.text,
            "gridPos": place, "datasource": source(), "targets": targets, "options": options,
            // A counter is there from its first event on.
            "fieldConfig": { "defaults": { "unit": self.unit.name(), "min": 0, "noValue": "0" }, "overrides": [] },
        })
    }
}

fn target((query, id): (&Query, char)) -> Value {
    let mut target = json!({
        "refId": id.to_string(), "datasource": source(), "expr": query.expression, "legendFormat": query.legend,
    });
    if query.has_exemplars() {
        target["exemplar"] = json!(true);
    }
    target
}

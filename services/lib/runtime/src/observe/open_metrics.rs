//! The exporter's text as OpenMetrics 1.0, which alone has exemplars. A series has the same name and labels as in
//! the text, `le="1"` included, where OpenMetrics would rather see `1.0`: panels and alerts must not depend on what
//! a scraper asks for.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use axum::http::{HeaderMap, header::ACCEPT};

use super::exemplars::Exemplar;

pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const VERSION: &str = "1.0.0";

/// Rather than the text. Who takes anything gets the text.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (mut open, mut text) = (0.0_f32, 0.0_f32);
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut weight, mut version) = (1.0, VERSION);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.to_ascii_lowercase().as_str() {
                "q" => weight = value.parse().unwrap_or_default(),
                "version" => version = value.trim_matches('"'),
                _ => {}
            }
        }
        match kind.as_str() {
            "application/openmetrics-text" if version == VERSION => open = open.max(weight),
            "text/plain" | "text/*" | "*/*" => text = text.max(weight),
            _ => {}
        }
    }
    open > 0.0 && open >= text
}

/// `text` is the exporter's. What it calls `x_total` is there the sample `x_total` of the counter `x`.
pub(super) fn render(text: &str, exemplars: &HashMap<String, Exemplar>) -> String {
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let counters: HashSet<&str> = kinds.filter_map(|kind| kind.strip_suffix(" counter")).collect();
    let mut open = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !line.is_empty()) {
        let comment = line.strip_prefix("# ").map(|comment| comment.splitn(3, ' ').collect::<Vec<_>>());
        if let Some([what, name, rest]) = comment.as_deref() {
            let family = counters.get(name).and_then(|name| name.strip_suffix("_total")).unwrap_or(name);
            let _ = writeln!(open, "# {what} {family} {rest}"); // into a String
            continue;
        }
        open.push_str(line);
        if let Some(exemplar) = line.rsplit_once(' ').and_then(|(series, _)| exemplars.get(series)) {
            let _ = write!(open, " # {exemplar}"); // the same
        }
        open.push('\n');
    }
    open + "# EOF\n"
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use axum::http::HeaderValue;
    use opentelemetry::trace::{SpanId, TraceId};

    use super::*;

    const TEXT: &str = "\
# HELP a_total What it counts, in total
# TYPE a_total counter
a_total{b=\"x y\"} 1

# HELP c_seconds How long
# TYPE c_seconds histogram
c_seconds_bucket{le=\"1\"} 2
c_seconds_bucket{le=\"+Inf\"} 3
c_seconds_sum 4.5
c_seconds_count 3

";
    const OPEN: &str = "\
# HELP a What it counts, in total
# TYPE a counter
a_total{b=\"x y\"} 1
# HELP c_seconds How long
# TYPE c_seconds histogram
c_seconds_bucket{le=\"1\"} 2
c_seconds_bucket{le=\"+Inf\"} 3 # {trace_id=\"0000000000000000000000000000000a\",span_id=\"000000000000000b\"} 2.5 7.250
c_seconds_sum 4.5
c_seconds_count 3
# EOF
";

    #[test]
    fn it_is_the_same_in_other_words() {
        let (trace, span) = (TraceId::from(10), SpanId::from(11));
        let exemplar = Exemplar { trace, span, value: 2.5, at: UNIX_EPOCH + Duration::from_millis(7_250) };
        let exemplars = HashMap::from([("c_seconds_bucket{le=\"+Inf\"}".to_owned(), exemplar)]);
        assert_eq!(render(TEXT, &exemplars), OPEN);
    }

    #[test]
    fn who_asks_for_it_gets_it() {
        let is_wanted = |accept: &str| {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]);
            is_wanted(&headers)
        };
        for accept in [
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
            // Prometheus 2 and 3.
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        ] {
            assert!(is_wanted(accept), "{accept}");
        }
        for accept in [
            "*/*",
            "text/plain",
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.3,text/plain;q=0.5",
            "application/openmetrics-text;q=much",
            "application/json",
            "",
        ] {
            assert!(!is_wanted(accept), "{accept}");
        }
        assert!(!super::is_wanted(&HeaderMap::new()));
    }
}

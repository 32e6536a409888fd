//! Versions of the directory: listed, compared, brought back, watched; and lines looked for.

use std::{collections::BTreeMap, io::Write};

use hikyaku_proto::directory::v1::{
    GetDirectoryRequest, ListVersionsRequest, RollBackRequest, SearchDirectoryRequest, WatchDirectoryRequest,
};
use similar::TextDiff;

use super::{Client, Report, Shown, get};
use crate::{
    End,
    output::{Output, harmless, harmless_lines, rfc3339, table},
    server::refusal,
};

pub(super) async fn versions(client: &mut Client, output: &mut Output<impl Write>) -> anyhow::Result<End> {
    let versions = client.list_versions(ListVersionsRequest {}).await.map_err(refusal)?.into_inner().versions;
    let shown: Vec<_> = versions
        .iter()
        .map(|it| {
            serde_json::json!({
                "version": it.version, "at": rfc3339(it.at.as_ref()), "by": it.by, "comment": it.comment,
                "changed": it.changed,
            })
        })
        .collect();
    output.print(&serde_json::json!({ "versions": shown }), |writer| {
        let rows: Vec<[String; 5]> = versions
            .iter()
            .map(|it| {
                let at = rfc3339(it.at.as_ref()).unwrap_or_default();
                let comment = harmless(&it.comment);
                [it.version.to_string(), at, it.by.clone(), it.changed.join(","), comment]
            })
            .collect();
        table(writer, ["VERSION", "AT", "BY", "CHANGED", "COMMENT"], &rows)
    })?;
    Ok(End::Done)
}

/// What the second version has and the first has not, and the other way round.
pub(super) async fn diff(
    client: &mut Client,
    from: u64,
    to: Option<u64>,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let before = documents(client, from).await?;
    let after = documents(client, to.unwrap_or(0)).await?;
    let mut texts = serde_json::Map::new();
    let mut shown = String::new();
    for (name, new) in &after.1 {
        let old = before.1.get(name).map_or("", String::as_str);
        if old == new {
            continue;
        }
        let heads = (format!("{name} (version {})", before.0), format!("{name} (version {})", after.0));
        let diff = TextDiff::from_lines(old, new);
        let text = diff.unified_diff().context_radius(2).header(&heads.0, &heads.1).to_string();
        shown.push_str(&harmless_lines(&text));
        texts.insert(name.clone(), text.into());
    }
    let json = serde_json::json!({ "from": before.0, "to": after.0, "documents": texts });
    output.print(&json, |writer| writer.write_all(shown.as_bytes()))?;
    Ok(End::Done)
}

async fn documents(client: &mut Client, version: u64) -> anyhow::Result<(u64, BTreeMap<String, String>)> {
    let request = GetDirectoryRequest { version, with_credentials: false };
    let response = client.get_directory(request).await.map_err(refusal)?.into_inner();
    let texts = response.documents.into_iter().map(|document| (document.name, document.text));
    Ok((response.version, texts.collect()))
}

pub(super) async fn roll_back(
    client: &mut Client,
    version: u64,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let base_version = get(client).await?.version;
    let request = RollBackRequest { base_version, version };
    let response = client.roll_back(request).await.map_err(refusal)?.into_inner();
    let problems = response.problems.into_iter().map(|problem| Shown::new(problem, "", "")).collect();
    let report = Report { version: Some(response.version), accepted: response.accepted, problems };
    report.print(false, output)
}

/// Until it is interrupted, or the service ends.
pub(super) async fn watch(client: &mut Client, output: &mut Output<impl Write>) -> anyhow::Result<End> {
    let mut versions = client.watch_directory(WatchDirectoryRequest {}).await.map_err(refusal)?.into_inner();
    while let Some(told) = versions.message().await.map_err(refusal)? {
        let version = told.version;
        output.print(&serde_json::json!({ "version": version }), |writer| {
            writeln!(writer, "version {version} is in force")
        })?;
    }
    Ok(End::Done)
}

pub(super) async fn search(
    client: &mut Client,
    text: String,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let request = SearchDirectoryRequest { text, limit: 0 };
    let found = client.search_directory(request).await.map_err(refusal)?.into_inner();
    let lines: Vec<_> = found
        .lines
        .iter()
        .map(|it| serde_json::json!({ "document": it.document, "line": it.line, "text": it.text }))
        .collect();
    let json = serde_json::json!({ "version": found.version, "lines": lines, "has_more": found.has_more });
    output.print(&json, |writer| {
        for line in &found.lines {
            writeln!(writer, "{}:{}: {}", line.document, line.line, harmless(&line.text))?;
        }
        if found.has_more { writeln!(writer, "and more; give a longer text") } else { Ok(()) }
    })?;
    Ok(if found.lines.is_empty() { End::Refused } else { End::Done })
}

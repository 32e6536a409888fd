//! The files are what is made here: `UPDATE_GOLDEN=1 cargo test -p hikyaku-suite observe` writes them.

use std::{collections::BTreeMap, fs};

use hikyaku_measures::Measure;

use super::boards;
use crate::{arch::metric_catalogue, chart::chart};

#[test]
fn dashboards_are_made_by_the_code() {
    let folder = chart().join("files/dashboards");
    let made: BTreeMap<String, String> = boards::all()
        .iter()
        .map(|board| {
            (format!("{}.json", board.name), serde_json::to_string_pretty(&board.json()).unwrap() + "\n")
        })
        .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        for (name, text) in &made {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap());
    let found: BTreeMap<String, String> = files
        .map(|file| {
            (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap_or_default())
        })
        .collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>());
    for (name, text) in &made {
        assert!(found[name] == *text, "{name} is not what the code makes: UPDATE_GOLDEN=1");
    }
}

#[test]
fn every_metric_is_on_a_dashboard() {
    let boards = boards::all();
    let queries: Vec<&str> =
        boards.iter().flat_map(|board| board.queries()).map(|query| query.expression.as_str()).collect();
    let is_shown = |metric: &str| {
        queries.iter().any(|query| {
            query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| {
                word == metric
                    || ["_bucket", "_count", "_sum"].iter().any(|part| word == format!("{metric}{part}"))
            })
        })
    };
    let missing: Vec<String> =
        metric_catalogue::all().map(Measure::exposed).filter(|metric| !is_shown(metric)).collect();
    assert!(missing.is_empty(), "on no dashboard: {missing:?}");
}

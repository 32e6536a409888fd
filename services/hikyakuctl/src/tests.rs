//! Whole commands against scripted services over real gRPC on loopback.

mod scripted; // services
mod queue; // hikyakuctl queue ...
mod directory; // hikyakuctl directory ...
mod callers; // who asks

use clap::CommandFactory as _;
use tokio::net::TcpListener;

use super::*;
use scripted::serve;

async fn command_with(stdin: &[u8], words: &[&str]) -> (anyhow::Result<End>, String) {
    let url = format!("http://{}", serve().await);
    let head = ["hikyakuctl", "--server", &url, "--directory-server", &url];
    let args = Args::try_parse_from(head.iter().chain(words)).unwrap();
    let mut stdout = Vec::new();
    let end = run(args, &mut stdout, stdin).await;
    (end, String::from_utf8(stdout).unwrap())
}

async fn command(words: &[&str]) -> (End, String) {
    let (end, stdout) = command_with(b"", words).await;
    (end.unwrap(), stdout)
}

async fn json(words: &[&str]) -> serde_json::Value {
    let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&command(&words).await.1).unwrap()
}

#[test]
fn the_help_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn usage_errors() {
    for words in [
        "",
        "queue",
        "queue retry",
        "queue retry x --destination example.org",
        "queue list --limit 0",
        "queue list --limit x",
        "queue list --older-than 5",
        "queue retry --all x",
        "queue hold x --until tomorrow",
        "queue hold x --for 4h --until 2027-01-31T18:00:00Z",
        "queue move x",
        "queue bounce x",
        "queue show",
        "directory set routes",
        "--server localhost:7003 version",
        "--server ftp://localhost:7003 version",
        "token new ann --role operator",
        "token new ann --role root --out t",
        "token new a/b --role viewer --out t",
        "diagnose",
        "diagnose example.net --timeout soon",
        "nonsense",
    ] {
        let error =
            Args::try_parse_from(["hikyakuctl"].into_iter().chain(words.split_whitespace())).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{words:?}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let args = Args::try_parse_from(["hikyakuctl", "queue", "list", "--server", &url]).unwrap();
    let error = run(args, Vec::new(), io::empty()).await.unwrap_err();
    assert!(format!("{error:#}").starts_with(&format!("cannot connect to {url}: ")), "{error:#}");
}

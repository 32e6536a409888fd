//! What waits for delivery.

use super::*;

#[tokio::test]
async fn the_queue_for_people() {
    let (end, list) = command(&["queue", "list"]).await;
    assert_eq!(end, End::Done);
    let line = "01ARZ3NDEKTSV4RRFFQ69G5FAV-0  scheduled  1         2026-11-18T11:06:40Z  2026-11-18T11:08:40Z  4096   \
                example.org  <>    a@example.org\n";
    let head = "ID                            STATE      ATTEMPTS  ACCEPTED              NEXT \
    ATTEMPT          BYTES  \
                DESTINATION  FROM  TO\n";
    assert_eq!(list, format!("{head}{line}{line}"));
    assert_eq!(
        command(&["queue", "list", "--limit", "1"]).await.1,
        format!("{head}{line}there are more: --page-token 1\n")
    );
    assert_eq!(command(&["queue", "list", "--page-token", "2"]).await.1, format!("{head}{line}"));
    assert_eq!(command(&["queue", "list", "--state", "held"]).await.1, "no entries\n");
    assert_eq!(
        command(&["queue", "count"]).await.1,
        "FRESH  BULK  DUE  SCHEDULED  BUSY\n1      2     3    1000000    4\n"
    );
    assert_eq!(command(&["queue", "list", "--destination", "z.example"]).await.1, "no entries\n");

    let show = command(&["queue", "show", "x"]).await.1;
    assert!(
        show.contains(
            "last failure at 2026-11-18T11:06:40Z: mx.example.org[192.0.2.1:25]: 451 4.7.1 ?wait\n"
        ),
        "{show}"
    );
    for (words, said) in [
        ("retry --destination [192.0.2.1]:25", "3 entries made due"),
        ("hold x --until 2027-01-31T18:00:00Z --reason work", "3 entries held"),
        ("release --all", "3 entries released"),
        ("move --destination a.example --to [192.0.2.9]:25", "3 entries moved"),
        ("bounce x --reason closed", "3 entries returned"),
        ("delete x-1", "1 entry deleted"),
    ] {
        let words: Vec<&str> = ["queue"].into_iter().chain(words.split(' ')).collect();
        assert_eq!(command(&words).await.1, format!("{said}; 5 before, 4 now; 1 with a worker; 2 held\n"));
    }
    let (gone, _) = command_with(b"", &["queue", "show", "gone"]).await;
    assert_eq!(format!("{:#}", gone.unwrap_err()), "no entry gone is in the queue");
}

#[tokio::test]
async fn the_queue_for_programs() {
    let list = json(&["queue", "list"]).await;
    assert_eq!(list["entries"][1]["state"], "scheduled");
    assert_eq!(list["entries"][1]["size_bytes"], 4096);
    assert_eq!(list["entries"][0]["reverse_path"], "");
    assert_eq!(
        json(&["queue", "list", "--destination", "z.example"]).await["entries"],
        serde_json::json!([])
    );
    let deleted = json(&["queue", "delete", "x-1"]).await;
    assert_eq!((&deleted["done"], &deleted["after"]), (&1.into(), &4.into()));
    assert_eq!(json(&["version"]).await, serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
}

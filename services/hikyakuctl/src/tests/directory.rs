//! Documents, and the files that they come from.

use std::fs;

use super::*;

#[tokio::test]
async fn documents_are_read_as_they_are_stored() {
    assert_eq!(command(&["directory", "get", "routes"]).await.1, "a.jp,h.jp,25\n");
    assert_eq!(
        command(&["directory", "get"]).await.1,
        "version 4\nDOCUMENT  LINES  BYTES\nroutes    1      13\nhosts     0      0\n"
    );
    let (unknown, _) = command_with(b"", &["directory", "get", "gateway.dat"]).await;
    assert_eq!(
        format!("{:#}", unknown.unwrap_err()),
        "\"gateway.dat\" is not a document; there are routes, hosts"
    );
    assert_eq!(json(&["directory", "get"]).await["documents"]["routes"], "a.jp,h.jp,25\n");
}

#[tokio::test]
async fn a_change_is_reported_with_the_name_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gw.dat");
    let path = file.to_str().unwrap();
    fs::write(path, "a.jp,h.jp,25").unwrap();
    assert_eq!(
        command(&["directory", "set", "routes", path]).await,
        (End::Done, "aliases:6: warning W-AL-MODEA: because\napplied as version 5\n".to_owned())
    );
    assert_eq!(
        command(&["directory", "set", "routes", path, "--validate-only"]).await.1,
        "aliases:6: warning W-AL-MODEA: because\n0 errors, 1 warnings; would be applied\n"
    );
    fs::write(path, "bad").unwrap();
    assert_eq!(
        command(&["directory", "set", "routes", path]).await,
        (
            End::Refused,
            format!(
                "aliases:6: warning W-AL-MODEA: because\n{path}:6: error E-GW-PORT: because\n1 errors, 1 \
                warnings; \
                 nothing applied\n"
            )
        )
    );
    assert_eq!(json(&["directory", "set", "routes", path]).await["problems"][1]["file"], path);
    let (stale, _) = command_with(b"ok", &["directory", "set", "routes", "-", "--base-version", "3"]).await;
    assert_eq!(format!("{:#}", stale.unwrap_err()), "based on another version");
}

#[tokio::test]
async fn what_cannot_be_read() {
    let (end, said) = command_with(b"ok\n\xff", &["directory", "set", "routes", "-"]).await;
    assert_eq!(end.unwrap(), End::Refused);
    assert_eq!(
        said,
        "stdin:2: error E-ENCODING: byte 3 is not UTF-8\n1 errors, 0 warnings; nothing applied\n"
    );
    let (missing, _) = command_with(b"", &["directory", "set", "routes", "/nonexistent/file"]).await;
    let missing = missing.unwrap_err();
    assert!(missing.is::<Unreadable>());
    assert!(missing.to_string().starts_with("cannot read /nonexistent/file: "), "{missing}");
    for (stdin, words, reason) in [
        (&b"\xff"[..], "account secret a@own.jp -", "cannot read stdin: it is not UTF-8"),
        (b"\nsecret", "account secret a@own.jp -", "the first line of stdin is empty"),
        (b"To: a\n\n", "trace --header -", "stdin has no Received field of this relay in its header"),
    ] {
        let (end, _) = command_with(stdin, &words.split(' ').collect::<Vec<_>>()).await;
        assert_eq!(format!("{:#}", end.unwrap_err()), reason);
    }
}

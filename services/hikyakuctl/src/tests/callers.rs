//! Who asks, and what a service says to who is not known.

use tonic::Status;

use super::*;

#[tokio::test]
async fn options_that_belong_together() {
    for words in ["--certificate c version", "--key k version", "--certificate c --key k version"] {
        let args = Args::try_parse_from(["hikyakuctl"].into_iter().chain(words.split(' '))).unwrap();
        let error = run(args, Vec::new(), io::empty()).await.unwrap_err();
        assert!(error.is::<Unusable>(), "{words}: {error:#}");
    }
}

#[tokio::test]
async fn a_fresh_token_is_in_its_file_and_nowhere_else() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ann.token");
    let out = path.to_str().unwrap();
    let (end, line) = command(&["token", "new", "ann", "--role", "operator", "--out", out]).await;
    let token = std::fs::read_to_string(&path).unwrap();
    assert_eq!((end, token.len()), (End::Done, 44), "43 characters of base64url and a line end");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(line.starts_with("ann operator sha256:") && !line.contains(token.trim()), "{line}");
    let (again, said) = command_with(b"", &["token", "new", "ann", "--role", "operator", "--out", out]).await;
    assert!(format!("{:#}", again.unwrap_err()).starts_with(&format!("cannot write {out}: ")));
    assert_eq!((said.as_str(), std::fs::read_to_string(&path).unwrap()), ("", token));
    let printed = command(&["token", "new", "bob", "--role", "viewer", "--out", "-"]).await.1;
    assert_eq!(printed.lines().map(str::len).collect::<Vec<_>>(), [43, "bob viewer sha256:".len() + 64]);
}

#[test]
fn who_is_not_known_hears_what_to_give() {
    let said = refusal_text(Status::unauthenticated("the token is not known here"));
    assert!(said.starts_with("the token is not known here: give --token-file FILE or set"), "{said}");
    let said =
        refusal_text(Status::permission_denied("X needs the role operator, and bob has the role viewer"));
    assert_eq!(said, "X needs the role operator, and bob has the role viewer");
}

fn refusal_text(status: Status) -> String {
    format!("{:#}", server::refusal(status))
}

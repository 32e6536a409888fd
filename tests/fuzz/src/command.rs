//! Anything as a client's side of a session, and every line of it as a command.

use hikyaku_smtp::wire::command::{Allowed, Command};
use hikyaku_types::address::ReversePath;

use crate::{
    Input,
    input::cut,
    server::{Server, Setting},
};

const ALL: Allowed = Allowed { smtputf8: true, requiretls: true, xclient: true, auth: true };

pub fn run(input: &[u8]) {
    let Some(input) = Input::read(input) else { return };
    for line in input.octets.split(|octet| *octet == b'\n') {
        line_by_itself(line.strip_suffix(b"\r").unwrap_or(line));
    }
    let setting = Setting::of(&input);
    let whole = Server::play(setting, input.octets, |octets| vec![octets]);
    let pieces = Server::play(setting, input.octets, |octets| input.pieces(octets));
    assert_eq!(pieces, whole, "how it is cut into reads is visible");
    let octet_by_octet = Server::play(setting, input.octets, |octets| cut(octets, &[1]));
    assert_eq!(octet_by_octet, whole, "read octet by octet");
}

fn line_by_itself(line: &[u8]) {
    const NOTHING: Allowed = Allowed { smtputf8: false, requiretls: false, xclient: false, auth: false };
    for allowed in [NOTHING, ALL] {
        let again = |text: String| Command::parse(text.as_bytes(), ALL);
        match Command::parse(line, allowed) {
            Ok(Command::Mail { reverse_path, transfer, .. }) => {
                assert!(
                    transfer.smtputf8
                        || reverse_path == ReversePath::Null
                        || is_ascii_but_domain(&reverse_path)
                );
                let said = again(format!("MAIL FROM:<{reverse_path}> SMTPUTF8"));
                let same =
                    matches!(&said, Ok(Command::Mail { reverse_path: found, .. }) if *found == reverse_path);
                assert!(same, "{reverse_path}: {said:?}");
            }
            Ok(Command::Rcpt { forward_path, reporting }) => {
                let mut text = format!("RCPT TO:<{forward_path}>");
                if let Some(notify) = reporting.notify {
                    text += &format!(" NOTIFY={notify}");
                }
                if let Some(original) = &reporting.original_recipient {
                    text += &format!(" ORCPT={original}");
                }
                // RFC 3461 5.2.1: passed on as it was said.
                assert_eq!(again(text), Ok(Command::Rcpt { forward_path, reporting }));
            }
            Ok(Command::Ehlo { name } | Command::Helo { name }) => {
                assert!(!name.is_empty() && name.bytes().all(|octet| matches!(octet, b' '..=b'~')));
            }
            Ok(_) => {}
            Err(error) => assert!((500..=555).contains(&error.code().0)),
        }
    }
}

/// A domain is A-labels, however it was written.
fn is_ascii_but_domain(path: &ReversePath) -> bool {
    match path {
        ReversePath::Null => true,
        ReversePath::Mailbox(mailbox) => !mailbox.needs_smtputf8() && mailbox.host().to_string().is_ascii(),
    }
}

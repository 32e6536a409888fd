//! Paths and domains: what is read is written as it is read again, and is one line of visible characters.

use hikyaku_smtp::wire::command::{Allowed, Command};
use hikyaku_types::{
    address::{ForwardPath, MailHost, Mailbox, ReversePath, canonical_local_part},
    destination::Destination,
    domain::Domain,
};

pub fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(domain) = text.parse::<Domain>() {
        let shown = domain.to_string();
        assert_eq!(shown.parse(), Ok(domain.clone()));
        assert!(shown.len() <= 253 && !shown.ends_with('.') && !shown.starts_with('.'));
        assert!(shown.bytes().all(|octet| octet.is_ascii_graphic() && !octet.is_ascii_uppercase()));
        assert!(!shown.contains(['@', ':', '[', ']', '<', '>', ',', ';', '"', '\\', '/', '%']));
        // Nobody takes it for an address.
        assert!(shown.parse::<std::net::IpAddr>().is_err());
    }
    if let Ok(host) = text.parse::<MailHost>() {
        assert_eq!(host.to_string().parse(), Ok(host));
    }
    if let Ok(destination) = text.parse::<Destination>() {
        assert_eq!(destination.to_string().parse::<Destination>().ok(), Some(destination));
    }
    if let Ok(mailbox) = text.parse::<Mailbox>() {
        of_mailbox(&mailbox);
    }
    if let Ok(path) = text.parse::<ReversePath>() {
        assert_eq!(path.to_string().parse(), Ok(path));
    }
    if let Ok(path) = text.parse::<ForwardPath>() {
        assert_eq!(path.to_string().parse(), Ok(path));
    }
    in_a_command(text);
}

fn of_mailbox(mailbox: &Mailbox) {
    let shown = mailbox.to_string();
    assert_eq!(shown.parse(), Ok(mailbox.clone()));
    assert!(!shown.contains(|c: char| c.is_control()), "{shown:?}");
    assert!((1..=64).contains(&mailbox.local_part().len()));
    let canonical = mailbox.canonical();
    assert_eq!(canonical.host(), mailbox.host());
    assert_eq!(canonical.to_string().parse(), Ok(canonical.clone()));
    assert_eq!(canonical.canonical(), canonical, "a spelling of a spelling");
    assert_eq!(
        canonical_local_part(canonical.local_part()),
        canonical_local_part(mailbox.local_part()),
        "another mailbox"
    );
    let meant = canonical_local_part(mailbox.local_part()).replace('\\', "\\\\").replace('"', "\\\"");
    if let Ok(quoted) = Mailbox::new(&format!("\"{meant}\""), mailbox.host().clone()) {
        assert_eq!(quoted.canonical(), canonical, "another spelling of one mailbox");
    }
}

/// What a client writes between the brackets is that path or no path, and nothing of it is a parameter.
fn in_a_command(text: &str) {
    let allowed = Allowed { smtputf8: true, ..Allowed::default() };
    if let Ok(path) = text.parse::<ReversePath>() {
        match Command::parse(format!("MAIL FROM:<{text}> SMTPUTF8").as_bytes(), allowed) {
            Ok(Command::Mail { reverse_path, size, transfer }) => {
                assert_eq!((reverse_path, size, transfer.smtputf8), (path, None, true));
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }
    if let Ok(Command::Rcpt { forward_path, .. }) =
        Command::parse(format!("RCPT TO:<{text}>").as_bytes(), allowed)
    {
        let again = format!("RCPT TO:<{forward_path}>");
        let found = Command::parse(again.as_bytes(), allowed);
        assert!(matches!(found, Ok(Command::Rcpt { forward_path: found, .. }) if found == forward_path));
    }
}

//! Clients that may relay because of the certificate that they show.

use std::path::PathBuf;

use hikyaku_testkit::{
    certificates::{Authority, Names},
    mx::{Script, ScriptedMx},
};

use crate::lab::{Certificates, Lab, python};

/// From an address that nobody trusts: what RCPT for a foreign domain hears, with this certificate or none.
const RELAY: &str = r"
import smtplib, ssl, sys
port, trusted, version, certificate, key, named = sys.argv[1:]
context = ssl.create_default_context(cafile=trusted)
context.check_hostname = False
if version == '1.2':
    context.maximum_version = ssl.TLSVersion.TLSv1_2
if certificate:
    context.load_cert_chain(certificate, key)
client = smtplib.SMTP('127.0.0.1', int(port), source_address=('127.0.0.5' if named else '127.0.0.9', 0))
if named:
    assert client.docmd('XCLIENT ADDR=' + named)[0] == 220
client.starttls(context=context)
client.ehlo('client.test')
print(client.mail('a@client.test')[0], client.rcpt('b@far.test')[0])
";

struct Shown {
    certificate: PathBuf,
    key: PathBuf,
    fingerprint: String,
}

/// Signed by somebody whom nobody knows.
async fn issued(folder: &std::path::Path, name: &str) -> anyhow::Result<Shown> {
    let names = Names { common: name, dns: &[name], uris: &[] };
    let files = Authority::new("unknown")?.issue(&names)?.write(folder, name)?;
    let (certificate, key) = (files.certificate, files.key);
    let mut openssl = tokio::process::Command::new("openssl");
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&certificate);
    let text = String::from_utf8(openssl.output().await?.stdout)?;
    let fingerprint = text.trim().split_once('=').map(|(_, digits)| digits.to_owned());
    Ok(Shown { certificate, key, fingerprint: fingerprint.unwrap_or_default() })
}

#[tokio::test]
async fn a_named_certificate_may_relay_and_no_other() -> anyhow::Result<()> {
    let (certificates, folder) = (Certificates::new()?, tempfile::tempdir()?);
    let (named, other) =
        (issued(folder.path(), "branch.test").await?, issued(folder.path(), "other.test").await?);
    let mut lab = Lab::empty().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &mx);
    lab.configure(&format!(
        "{}client_certificates = true\n[ingress]\nxclient_from = [\"127.0.0.5/32\"]\n",
        certificates.section(&["gw.test"])
    ))?;
    let relay = lab.up().await?;
    let document = folder.path().join("relay-networks");
    std::fs::write(&document, format!("certificate={}\n", named.fingerprint))?;
    relay.ctl(&["directory", "set", "relay-networks", &document.to_string_lossy()]).await?;

    let (port, trusted) = (relay.smtp().port().to_string(), certificates.trusted.to_string_lossy());
    for (version, shown, behind, expected) in [
        ("1.3", Some(&named), "", "250 250\n"),
        ("1.2", Some(&named), "", "250 250\n"),
        // A stranger's certificate is no reason to turn mail away, and none to relay it.
        ("1.3", Some(&other), "", "250 550\n"),
        ("1.3", None, "", "250 550\n"),
        // That of a proxy is not that of whom it has named.
        ("1.3", Some(&named), "127.0.0.9", "250 550\n"),
    ] {
        let file = |of: fn(&Shown) -> &PathBuf| shown.map(|it| of(it).to_string_lossy()).unwrap_or_default();
        let arguments = [&port, &*trusted, version, &file(|it| &it.certificate), &file(|it| &it.key), behind];
        match python(RELAY, &arguments).await? {
            Some(said) => assert_eq!(said, expected, "{version} {:?}", shown.map(|it| &it.certificate)),
            None => return Ok(()),
        }
    }
    let explained = relay
        .ctl(&[
            "explain",
            "--client",
            "127.0.0.9",
            "--from",
            "a@client.test",
            "--to",
            "b@far.test",
            "--client-certificate",
            &named.fingerprint,
        ])
        .await?;
    assert!(explained.contains("relay-networks:1"), "{explained}");
    Ok(())
}

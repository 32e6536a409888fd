//! Clients that may relay because of the certificate that they show.

use std::path::{Path, PathBuf};

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
    context.set_ciphers('DEFAULT:@SECLEVEL=0')
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
async fn issued(folder: &Path, name: &str) -> anyhow::Result<Shown> {
    let names = Names { common: name, dns: &[name], uris: &[] };
    let files = Authority::new("unknown")?.issue(&names)?.write(folder, name)?;
    shown(files.certificate, files.key).await
}

async fn shown(certificate: PathBuf, key: PathBuf) -> anyhow::Result<Shown> {
    let file = certificate.to_string_lossy();
    let text = openssl(&format!("x509 -noout -fingerprint -sha256 -in {file}")).await?;
    let fingerprint = text.trim().split_once('=').map(|(_, digits)| digits.to_owned());
    Ok(Shown { certificate, key, fingerprint: fingerprint.unwrap_or_default() })
}

/// Signed by itself, with what OpenSSL is told about it.
async fn made(folder: &Path, name: &str, about: &str) -> anyhow::Result<Shown> {
    let file = |extension: &str| folder.join(format!("{name}.{extension}"));
    let (key, request, certificate) = (file("key"), file("csr"), file("crt"));
    let (key_file, request_file) = (key.to_string_lossy(), request.to_string_lossy());
    let certificate_file = certificate.to_string_lossy();
    if about == "version 1" {
        openssl(&format!("req -newkey rsa:2048 -nodes -subj /CN=c -keyout {key_file} -out {request_file}"))
            .await?;
        openssl(&format!("x509 -req -in {request_file} -signkey {key_file} -out {certificate_file}")).await?;
    } else {
        let out = format!("-keyout {key_file} -out {certificate_file}");
        openssl(&format!("req -x509 -nodes -subj /CN=c {out} {about}")).await?;
    }
    shown(certificate, key).await
}

async fn openssl(arguments: &str) -> anyhow::Result<String> {
    let output = tokio::process::Command::new("openssl").args(arguments.split(' ')).output().await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "openssl {arguments}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
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

/// A client that always shows its certificate is not turned away, and does not go on in the clear, because of that.
#[tokio::test]
async fn every_certificate_may_be_shown() -> anyhow::Result<()> {
    let (certificates, folder) = (Certificates::new()?, tempfile::tempdir()?);
    let mut all = Vec::new();
    for (name, about, may_relay) in [
        ("v1", "version 1", true),
        ("critical", "-newkey rsa:2048 -addext 1.2.3.4=critical,ASN1:UTF8String:x", true),
        ("p521", "-newkey ec -pkeyopt ec_paramgen_curve:P-521", true),
        ("ed25519", "-newkey ed25519", true),
        // Nothing can be proved with these.
        ("short", "-newkey rsa:1024", false),
        ("curve", "-newkey ec -pkeyopt ec_paramgen_curve:secp256k1", false),
    ] {
        all.push((made(folder.path(), name, about).await?, may_relay));
    }
    let lab = {
        let mut lab = Lab::empty().await?;
        let section = certificates.section(&["gw.test"]);
        lab.configure(&format!("{section}client_certificates = true\n"))?;
        lab
    };
    let relay = lab.up().await?;
    let document = folder.path().join("relay-networks");
    let lines: String = all.iter().map(|(it, _)| format!("certificate={}\n", it.fingerprint)).collect();
    std::fs::write(&document, lines)?;
    relay.ctl(&["directory", "set", "relay-networks", &document.to_string_lossy()]).await?;

    let (port, trusted) = (relay.smtp().port().to_string(), certificates.trusted.to_string_lossy());
    for (shown, may_relay) in &all {
        let (certificate, key) = (shown.certificate.to_string_lossy(), shown.key.to_string_lossy());
        let expected = if *may_relay { "250 250\n" } else { "250 550\n" };
        for version in ["1.2", "1.3"] {
            match python(RELAY, &[&port, &*trusted, version, &certificate, &key, ""]).await? {
                Some(said) => assert_eq!(said, expected, "{version} {certificate}"),
                None => return Ok(()),
            }
        }
    }
    Ok(())
}

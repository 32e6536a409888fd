//! Programs that hand mail in: swaks, curl, msmtp, Python's smtplib and aiosmtplib.

use std::{fs, path::Path, process::Stdio};

use hikyaku_testkit::gateways::python_packages;
use tokio::process::Command;

use super::{
    Cell, Feature, Row,
    letter::{LIMIT, Letter},
    world::{SECRET, USER, World},
};

struct Program {
    name: &'static str,
    /// What must exist for it.
    file: &'static str,
    command: fn(&World, Feature, &Letter) -> anyhow::Result<Command>,
    /// Why it cannot send to addresses with UTF-8; true as long as its file does not know the word.
    without_utf8: Option<&'static str>,
}

const PROGRAMS: [Program; 5] = [
    Program {
        name: "swaks",
        file: "/usr/bin/swaks",
        command: swaks,
        without_utf8: Some("swaks has no SMTPUTF8: it cannot say the parameter"),
    },
    Program { name: "curl", file: "/usr/bin/curl", command: curl, without_utf8: None },
    Program {
        name: "msmtp",
        file: "/usr/bin/msmtp",
        command: msmtp,
        without_utf8: Some("msmtp has no SMTPUTF8: it cannot say the parameter"),
    },
    Program { name: "Python smtplib", file: "", command: smtplib, without_utf8: None },
    Program { name: "aiosmtplib", file: "", command: aiosmtplib, without_utf8: None },
];

pub async fn rows(world: &World) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for program in &PROGRAMS {
        rows.push(row(world, program).await?);
    }
    Ok(rows)
}

async fn row(world: &World, program: &Program) -> anyhow::Result<Row> {
    let name = format!("{} to Hikyaku", program.name);
    let is_here = match program.name {
        "aiosmtplib" => python_packages().join("aiosmtplib").exists(),
        _ => program.file.is_empty() || Path::new(program.file).exists(),
    };
    if !is_here {
        return Ok(Row::skipped(name, "it is not there; tests/get-peers gets it".to_owned()));
    }
    let mut cells = Vec::new();
    for feature in Feature::ALL {
        cells.push(cell(world, program, feature).await?);
    }
    Ok(Row { name, cells, skipped: None })
}

async fn cell(world: &World, program: &Program, feature: Feature) -> anyhow::Result<Cell> {
    if let (Feature::SmtpUtf8, Some(reason)) = (feature, program.without_utf8) {
        let text = fs::read(program.file)?;
        if !text.windows(8).any(|word| word.eq_ignore_ascii_case(b"SMTPUTF8")) {
            return Ok(Cell::Reason(reason));
        }
    }
    let name = program.name.replace(' ', "-").to_lowercase();
    let mut letter = Letter::new(&world.contents, &name, feature, "own.test");
    letter.ends_with_more = program.name == "swaks";
    let mut command = (program.command)(world, feature, &letter)?;
    let output = tokio::time::timeout(LIMIT, command.kill_on_drop(true).output());
    let sent = match output.await {
        Err(_) => Err("it has not ended".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = [output.stdout, output.stderr].concat();
            Err(format!("{}: {}", output.status, String::from_utf8_lossy(&said)))
        }
    };
    if let Err(error) = sent {
        return Ok(Cell::Failed(error));
    }
    Ok(letter.has_come(&world.sink, received_with(feature)).await.into())
}

/// What our Received field says of a session that came by this way.
pub fn received_with(feature: Feature) -> &'static str {
    match feature {
        Feature::Plain | Feature::Large | Feature::Hundred => "by gw.test with ESMTP id",
        Feature::StartTls => "by gw.test with ESMTPS id",
        Feature::ImplicitTls | Feature::Auth => "by gw.test with ESMTPSA id",
        Feature::SmtpUtf8 => "by gw.test with UTF8SMTP id",
    }
}

fn address(world: &World, feature: Feature) -> std::net::SocketAddr {
    match feature {
        Feature::StartTls => world.doors.starttls,
        Feature::ImplicitTls => world.doors.implicit,
        Feature::Auth => world.doors.auth,
        Feature::Plain | Feature::SmtpUtf8 | Feature::Large | Feature::Hundred => world.doors.plain,
    }
}

fn swaks(world: &World, feature: Feature, letter: &Letter) -> anyhow::Result<Command> {
    let mut swaks = Command::new("swaks");
    let data = format!("@{}", letter.content.lf.display());
    swaks.args(["--hide-all", "--ehlo", "client.test", "--server", &address(world, feature).to_string()]);
    swaks.args(["--from", &letter.from, "--to", &letter.to.join(","), "--data", &data]);
    match feature {
        Feature::StartTls | Feature::Auth => swaks.arg("--tls"),
        Feature::ImplicitTls => swaks.arg("--tls-on-connect"),
        Feature::Plain | Feature::SmtpUtf8 | Feature::Large | Feature::Hundred => &mut swaks,
    };
    if feature.way() != "plain" {
        swaks.args(["--tls-verify", "--tls-ca-path"]).arg(&world.trusted);
    }
    if matches!(feature, Feature::Auth | Feature::ImplicitTls) {
        swaks.args(["--auth", "PLAIN", "--auth-user", USER, "--auth-password", SECRET]);
    }
    Ok(swaks)
}

fn curl(world: &World, feature: Feature, letter: &Letter) -> anyhow::Result<Command> {
    let scheme = if feature == Feature::ImplicitTls { "smtps" } else { "smtp" };
    let url = format!("{scheme}://{}/client.test", address(world, feature));
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--url", &url, "--mail-from", &letter.from]);
    for to in &letter.to {
        curl.args(["--mail-rcpt", to]);
    }
    curl.arg("--upload-file").arg(&letter.content.crlf).arg("--cacert").arg(&world.trusted);
    if matches!(feature, Feature::StartTls | Feature::Auth) {
        curl.arg("--ssl-reqd");
    }
    if matches!(feature, Feature::Auth | Feature::ImplicitTls) {
        curl.args(["--user", &format!("{USER}:{SECRET}")]);
    }
    Ok(curl)
}

fn msmtp(world: &World, feature: Feature, letter: &Letter) -> anyhow::Result<Command> {
    let address = address(world, feature);
    let mut msmtp = Command::new("msmtp");
    msmtp.args(["--domain=client.test", &format!("--host={}", address.ip())]);
    msmtp.args([&format!("--port={}", address.port()), &format!("--from={}", letter.from)]);
    if feature.way() != "plain" {
        msmtp.args(["--tls=on", &format!("--tls-trust-file={}", world.trusted.display())]);
        msmtp.arg(format!("--tls-starttls={}", if feature == Feature::ImplicitTls { "off" } else { "on" }));
    }
    if matches!(feature, Feature::Auth | Feature::ImplicitTls) {
        msmtp.args(["--auth=plain", &format!("--user={USER}"), &format!("--passwordeval=echo {SECRET}")]);
    }
    msmtp.args(&letter.to).stdin(Stdio::from(fs::File::open(&letter.content.lf)?));
    Ok(msmtp)
}

fn smtplib(world: &World, feature: Feature, letter: &Letter) -> anyhow::Result<Command> {
    Ok(python(include_str!("smtplib.py"), world, feature, letter))
}

fn aiosmtplib(world: &World, feature: Feature, letter: &Letter) -> anyhow::Result<Command> {
    let mut python = python(include_str!("aiosmtplib.py"), world, feature, letter);
    python.env("PYTHONPATH", python_packages());
    Ok(python)
}

fn python(script: &str, world: &World, feature: Feature, letter: &Letter) -> Command {
    let address = address(world, feature);
    let mut python = Command::new("python3");
    python.args(["-c", script, feature.way(), &address.ip().to_string(), &address.port().to_string()]);
    python.arg(&world.trusted).args([USER, SECRET, &letter.from]).arg(&letter.content.crlf).args(&letter.to);
    python
}

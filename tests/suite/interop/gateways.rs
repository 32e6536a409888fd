//! Servers that pass mail on: what they take from anybody goes to our receiving relay, and what our sending
//! relay delivers to them comes out at the sink.

use std::{net::SocketAddr, time::Instant};

use hikyaku_testkit::{client::SmtpClient, gateways::Gateway};
use serde_json::Value;

use super::{
    Cell, Feature, Row,
    clients::received_with,
    letter::{LIMIT, Letter, POLL},
    world::{World, offers},
};
use crate::lab::python;

const NO_UTF8: &str = "OpenSMTPD has no SMTPUTF8: it does not offer it, and so cannot take such mail in";
const NO_TLS: &str = "this OpenSMTPD cannot serve TLS: written for OpenSSL 1.1 and linked to 3, it ends every \
                      handshake with an internal error, also those of OpenSSL";

/// A handshake by OpenSSL that trusts everybody.
const HANDSHAKE: &str = r"
import smtplib, ssl, sys
host, port = sys.argv[1], int(sys.argv[2])
context = ssl._create_unverified_context()
try:
    smtplib.SMTP(host, port).starttls(context=context)
    print('secure')
except ssl.SSLError as error:
    print(error.reason)
";

pub async fn rows(world: &World) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, gateway) in &world.gateways {
        // aiosmtpd is a server alone: what passes its mail on is smtplib.
        let both = if *name == "aiosmtpd" { &[false][..] } else { &[true, false] };
        for to_us in both {
            let title = if *to_us { format!("{name} to Hikyaku") } else { format!("Hikyaku to {name}") };
            rows.push(match gateway {
                Err(why) => Row::skipped(title, why.clone()),
                Ok(gateway) => {
                    let cells = match listens(gateway.doors().plain).await {
                        Err(error) => {
                            let failed = Cell::Failed(format!("{error}; {}", tail(gateway)));
                            vec![failed; Feature::ALL.len()]
                        }
                        Ok(()) if *to_us => to_hikyaku(world, name, gateway).await?,
                        Ok(()) => to_gateway(world, name, Some(gateway)).await?,
                    };
                    Row { name: title, cells, skipped: None }
                }
            });
        }
    }
    let cells = to_gateway(world, "Hikyaku", None).await?;
    rows.push(Row { name: "Hikyaku to Hikyaku".to_owned(), cells, skipped: None });
    // Clients first.
    rows.sort_by_key(|row| !row.name.ends_with("to Hikyaku"));
    Ok(rows)
}

async fn listens(address: SocketAddr) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match SmtpClient::connect(address).await {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > LIMIT => return Err(error.to_string()),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

async fn to_hikyaku(world: &World, name: &str, gateway: &Gateway) -> anyhow::Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for feature in Feature::ALL {
        let inside = gateway.doors().plain;
        if feature == Feature::SmtpUtf8 && !offers_utf8(inside).await? {
            cells.push(no_utf8(name));
            continue;
        }
        let domain = format!("{}.test", feature.way());
        let letter = Letter::new(&world.contents, &format!("from-{}", name.to_lowercase()), feature, &domain);
        let passed = match hand_in(inside, &letter).await {
            Ok(_) => letter.has_come(&world.sink, received_with(feature)).await,
            Err(error) => Err(error.to_string()),
        };
        cells.push(passed.map_err(|error| format!("{error}; {}", tail(gateway))).into());
    }
    Ok(cells)
}

/// Without a gateway it is our receiving relay.
async fn to_gateway(world: &World, name: &str, gateway: Option<&Gateway>) -> anyhow::Result<Vec<Cell>> {
    let doors = gateway.map_or(world.doors, Gateway::doors);
    let mut cells = Vec::new();
    for feature in Feature::ALL {
        if feature == Feature::SmtpUtf8 && !offers_utf8(doors.plain).await? {
            cells.push(no_utf8(name));
            continue;
        }
        if feature.way() != "plain" && name == "OpenSMTPD" && !serves_tls(doors.starttls).await? {
            cells.push(Cell::Reason(NO_TLS));
            continue;
        }
        let domain = format!("{}.{}.test", feature.way(), name.to_lowercase());
        let letter = Letter::new(&world.contents, "to", feature, &domain);
        let passed = match hand_in(world.sending.smtp(), &letter).await {
            Ok(id) => match letter.has_come(&world.sink, says(name, feature)).await {
                Ok(()) => was_protected(world, &id, feature).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error.to_string()),
        };
        let more = |error| format!("{error}; {}", gateway.map(tail).unwrap_or_default());
        cells.push(passed.map_err(more).into());
    }
    Ok(cells)
}

async fn offers_utf8(address: SocketAddr) -> anyhow::Result<bool> {
    offers(address, "SMTPUTF8").await.map_err(anyhow::Error::msg)
}

/// Only of OpenSMTPD it is known; of others it would be news.
fn no_utf8(name: &str) -> Cell {
    match name {
        "OpenSMTPD" => Cell::Reason(NO_UTF8),
        _ => Cell::Failed("it does not offer SMTPUTF8".to_owned()),
    }
}

async fn serves_tls(address: SocketAddr) -> anyhow::Result<bool> {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    Ok(python(HANDSHAKE, &[&host, &port]).await?.is_none_or(|said| !said.contains("INTERNAL_ERROR")))
}

/// What the server writes of a session that came by this way.
fn says(name: &str, feature: Feature) -> &'static str {
    match (name, feature) {
        ("Hikyaku", _) => received_with(feature),
        ("Postfix", Feature::Auth) => "(Authenticated sender: user1@own.test)",
        ("Postfix", Feature::StartTls | Feature::ImplicitTls) => "using TLSv1.3",
        ("Postfix", Feature::SmtpUtf8) => "with UTF8SMTP",
        ("Exim", Feature::Auth) => "with esmtpsa",
        ("Exim", Feature::StartTls | Feature::ImplicitTls) => "with esmtps",
        ("Exim", Feature::SmtpUtf8) => "with utf8esmtp",
        ("OpenSMTPD", Feature::Auth) => "ESMTPSA",
        ("OpenSMTPD", Feature::StartTls | Feature::ImplicitTls) => "ESMTPS",
        ("aiosmtpd", Feature::Auth) => "X-Session: TLS user1@own.test",
        ("aiosmtpd", Feature::StartTls | Feature::ImplicitTls) => "X-Session: TLS nobody",
        ("aiosmtpd", _) => "X-Session: clear nobody",
        (_, _) => "Received:",
    }
}

/// Our own log says the same of the session.
async fn was_protected(world: &World, id: &str, feature: Feature) -> Result<(), String> {
    let is_secure = feature.way() != "plain";
    let start = Instant::now();
    loop {
        let delivered = world.sending.mail_log("delivered", Some(id));
        if let Some(line) = delivered.first() {
            let (tls, verified) = (&line["tls"], &line["tls_verified"]);
            let is_tls = tls.as_str().is_some_and(|tls| tls != "none");
            let fits = is_tls == is_secure && (!is_secure || *verified == Value::Bool(true));
            return if fits { Ok(()) } else { Err(format!("the mail log says {line}")) };
        }
        if start.elapsed() > LIMIT {
            return Err(format!("{id} is not delivered"));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The queue id.
async fn hand_in(address: SocketAddr, letter: &Letter) -> anyhow::Result<String> {
    let mut client = SmtpClient::connect(address).await?;
    client.expect("EHLO client.test").await?;
    client.expect(&letter.mail()).await?;
    for recipient in &letter.to {
        client.expect(&format!("RCPT TO:<{recipient}>")).await?;
    }
    client.expect("DATA").await?;
    client.send(letter.content.text.replace("\r\n.", "\r\n..").as_bytes()).await?;
    let reply = client.expect(".").await?;
    client.expect("QUIT").await?;
    Ok(reply.rsplit(' ').next().unwrap_or_default().to_owned())
}

/// What may say why.
fn tail(gateway: &Gateway) -> String {
    let said = gateway.said() + &gateway.log();
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n  ")
}

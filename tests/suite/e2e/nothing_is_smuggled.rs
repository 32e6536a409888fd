//! Octets that some server takes for the end of a message, and a transaction behind them that nobody asked for:
//! what the relay answers and what leaves. `services/lib/smtp/SMUGGLING.md` is this table.

use std::{fmt::Write as _, fs, path::Path};

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    peers::Peer,
    relay::Relay,
    wire::Wire,
};

use crate::lab::{Lab, SOON};

const DOCUMENT: &str = "services/lib/smtp/SMUGGLING.md";

/// How the octets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Data,
    Bdat,
    /// BODY=BINARYMIME.
    Binary,
}

struct Row {
    by: By,
    /// They stand between `hello` and the commands.
    octets: Vec<u8>,
    /// In the table, where the octets themselves are too many.
    shown: Option<&'static str>,
    outcome: Outcome,
}

#[derive(Clone, Copy)]
enum Outcome {
    /// The content is refused, and nothing leaves.
    Refused,
    /// It is one message, and these octets leave in the place of those that came.
    Leaves(&'static [u8]),
    /// The same octets leave.
    Unchanged,
    /// The message ends; what follows is what the client says next.
    End,
}

/// A line end, a dot and a line end, of every kind.
const BARE: [&[u8]; 10] = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\n",
    b"\r\0\n.\r\n",
    b"\r\n.\r\0\n",
];

fn rows() -> Vec<Row> {
    let row = |by, octets: &[u8], outcome| Row { by, octets: octets.to_vec(), shown: None, outcome };
    let mut rows = vec![row(By::Data, b"\r\n.\r\n", Outcome::End)];
    for by in [By::Data, By::Bdat] {
        rows.extend(BARE.iter().map(|octets| row(by, octets, Outcome::Refused)));
        rows.push(row(by, b"\r\n\0.\r\n", Outcome::Refused));
    }
    rows.extend([
        row(By::Data, b"\r\n.\0\r\n", Outcome::Leaves(b"\r\n\0\r\n")),
        row(By::Data, b"\r\n.\0.\r\n", Outcome::Refused),
        row(By::Data, b"\r\n..\r\n", Outcome::Unchanged),
        row(By::Bdat, b"\r\n.\r\n", Outcome::Leaves(b"\r\n..\r\n")),
        row(By::Bdat, b"\r\n.\0\r\n", Outcome::Leaves(b"\r\n..\0\r\n")),
        row(By::Binary, b"\n.\n", Outcome::Unchanged),
        row(By::Binary, b"\r\n.\r\n", Outcome::Unchanged),
    ]);
    for (length, shown) in [
        (998, "998 octets and `.\\r\\n`"),
        (1023, "1,023 octets and `.\\r\\n`"),
        (4095, "4,095 octets and `.\\r\\n`"),
    ] {
        let octets = [b"x".repeat(length), b".\r\n".to_vec()].concat();
        rows.push(Row { by: By::Data, octets, shown: Some(shown), outcome: Outcome::Unchanged });
    }
    rows
}

const SMUGGLED: &[u8] =
    b"MAIL FROM:<admin@own.test>\r\nRCPT TO:<victim@own.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nforged";

fn content(number: usize, octets: &[u8]) -> Vec<u8> {
    [format!("Subject: row {number}\r\n\r\nhello").as_bytes(), octets, SMUGGLED, b"\r\n"].concat()
}

impl Row {
    /// Sends it as message `number`; the client that did, if it may go on.
    async fn send(&self, relay: &Relay, number: usize, is_careless_there: bool) -> anyhow::Result<()> {
        let mut client = SmtpClient::connect(relay.smtp()).await?;
        client.expect("EHLO client.test").await?;
        let body = if self.by == By::Binary { " BODY=BINARYMIME" } else { "" };
        client.expect(&format!("MAIL FROM:<a@client.test>{body}")).await?;
        client.expect("RCPT TO:<a@own.test>").await?;
        if self.by != By::Binary && is_careless_there {
            client.expect("RCPT TO:<a@off.test>").await?;
        }
        let content = content(number, &self.octets);
        match self.by {
            By::Data => {
                client.expect("DATA").await?;
                client.send(&[&content[..], b".\r\n"].concat()).await?;
            }
            By::Bdat | By::Binary => {
                client.send(format!("BDAT {} LAST\r\n", content.len()).as_bytes()).await?;
                client.send(&content).await?;
            }
        }
        let shown = format!("{} by {:?}", self.octets.escape_ascii(), self.by);
        let reply = client.reply().await?;
        match self.outcome {
            Outcome::Refused => assert!(reply.starts_with("554 5.6.0 "), "{shown}: {reply}"),
            Outcome::Leaves(_) | Outcome::Unchanged => {
                assert!(reply.starts_with("250 2.0.0 "), "{shown}: {reply}")
            }
            Outcome::End => {
                for code in ["250 2.1.0 ", "250 2.1.5 ", "354 ", "250 2.0.0 "] {
                    let reply = client.reply().await?;
                    assert!(reply.starts_with(code), "{shown}: {reply}");
                }
            }
        }
        // Nothing else was answered: what follows is the reply to NOOP, or the end.
        let next = client.command("NOOP").await.unwrap_or_default();
        let goes_on = self.by != By::Data || !matches!(self.outcome, Outcome::Refused);
        assert_eq!(next, if goes_on { "250 2.0.0 ok" } else { "" }, "{shown}");
        Ok(())
    }

    /// What of it leaves, up to its end.
    fn leaves(&self, number: usize) -> Option<Vec<u8>> {
        match (self.outcome, self.by) {
            (Outcome::Refused, _) => None,
            (Outcome::End, _) => Some(format!("Subject: row {number}\r\n\r\nhello\r\n.\r\n").into_bytes()),
            (Outcome::Unchanged, By::Binary) => Some(content(number, &self.octets)),
            (Outcome::Unchanged, By::Data | By::Bdat) => {
                Some([&content(number, &self.octets)[..], b".\r\n"].concat())
            }
            (Outcome::Leaves(octets), _) => Some([&content(number, octets)[..], b".\r\n"].concat()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_server_takes_for_an_end_leaves_as_none() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::OffersChunks).await?;
    let wire = Wire::keeping(inner.address()).await?;
    lab.own_domain_at("own.test", wire.address());
    let careless = match Peer::careless_postfix()? {
        Ok(postfix) => {
            lab.own_domain_at("off.test", postfix.address());
            Some(postfix)
        }
        Err(reason) => {
            println!("without a careless server: {reason}");
            None
        }
    };
    let relay = lab.up().await?;
    let rows = rows();
    for (number, row) in rows.iter().enumerate() {
        row.send(&relay, number, careless.is_some()).await?;
    }
    long_command(&relay).await?;

    let leaving: Vec<Vec<u8>> =
        rows.iter().enumerate().filter_map(|(number, row)| row.leaves(number)).collect();
    eventually(SOON, async || {
        let said = wire.said();
        let missing: Vec<String> = leaving
            .iter()
            .filter(|content| !said.windows(content.len()).any(|window| window == &content[..]))
            .map(|content| content.escape_ascii().take(200).map(char::from).collect())
            .collect();
        // The one that the client sent behind a real end is a message of its own.
        let count = inner.received_count();
        match missing.is_empty() && count == leaving.len() + 1 {
            true => Ok(()),
            false => Err(format!("{count} arrived, these have not left: {missing:?}")),
        }
    })
    .await;
    let to_victim =
        inner.received().into_iter().filter(|mail| mail.recipients == ["victim@own.test"]).count();
    assert_eq!(to_victim, 1, "the one behind a real end");
    if let Some(careless) = careless {
        is_careless(&careless).await?;
        let is_there = |row: &&Row| row.by != By::Binary && !matches!(row.outcome, Outcome::Refused);
        let expected = rows.iter().filter(is_there).count();
        eventually(SOON, async || {
            let mail = careless.mail();
            let (found, forged) =
                (count(&mail, "Delivered-To: a@off.test"), count(&mail, "Delivered-To: victim"));
            if found == expected && forged == 0 { Ok(()) } else { Err(format!("{found}, {forged} forged")) }
        })
        .await;
    }
    is_documented(&rows)
}

/// Without the relay in front of it, that server takes one message for two.
async fn is_careless(server: &Peer) -> anyhow::Result<()> {
    let mut client = SmtpClient::connect(server.address()).await?;
    for command in ["EHLO client.test", "MAIL FROM:<a@client.test>", "RCPT TO:<b@off.test>", "DATA"] {
        client.expect(command).await?;
    }
    let hidden = b"MAIL FROM:<c@client.test>\r\nRCPT TO:<d@off.test>\r\nDATA\r\nx\r\n.\r\n";
    client.send(&[&b"hello\n.\r\n"[..], hidden].concat()).await?;
    for code in ["250 2.0.0 ", "250 2.1.0 ", "250 2.1.5 ", "354 ", "250 2.0.0 "] {
        let reply = client.reply().await?;
        assert!(reply.starts_with(code), "{reply}");
    }
    Ok(())
}

fn count(mail: &str, line: &str) -> usize {
    mail.lines().filter(|found| found.starts_with(line)).count()
}

/// A command line that is too long is one error, and none of its rest is a command.
async fn long_command(relay: &Relay) -> anyhow::Result<()> {
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    for length in [2043, 3000, 100_000] {
        let line = format!("NOOP {}MAIL FROM:<admin@own.test>", "x".repeat(length));
        let reply = client.command(&line).await?;
        assert!(reply.starts_with("500 5.5.2 "), "{length}: {reply}");
        assert_eq!(client.command("NOOP").await?, "250 2.0.0 ok");
    }
    assert!(client.command("NOOP\nMAIL FROM:<admin@own.test>").await?.starts_with("500 5.5.2 "));
    assert_eq!(client.reply().await?, "");
    Ok(())
}

fn is_documented(rows: &[Row]) -> anyhow::Result<()> {
    let mut table = String::from("| octets | by | reply | what leaves |\n|---|---|---|---|\n");
    for row in rows {
        let octets =
            |octets: &[u8]| format!("`{}`", octets.escape_ascii().to_string().replace("\\x00", "\\0"));
        let came = row.shown.map_or_else(|| octets(&row.octets), str::to_owned);
        let by = match row.by {
            By::Data => "DATA",
            By::Bdat => "BDAT",
            By::Binary => "BDAT, BINARYMIME",
        };
        let (reply, leaves) = match (row.outcome, row.by) {
            (Outcome::Refused, By::Data) => ("554 5.6.0, closed", "nothing".to_owned()),
            (Outcome::Refused, By::Bdat | By::Binary) => ("554 5.6.0", "nothing".to_owned()),
            (Outcome::End, _) => ("250", "the message; what follows is the client's next command".to_owned()),
            (Outcome::Unchanged, By::Binary) => ("250", format!("{came}, by BDAT only")),
            (Outcome::Unchanged, By::Data | By::Bdat) => ("250", came.clone()),
            (Outcome::Leaves(leaving), _) => ("250", format!("{}, by DATA", octets(leaving))),
        };
        writeln!(table, "| {came} | {by} | {reply} | {leaves} |")?;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(DOCUMENT);
    let text = fs::read_to_string(&path)?;
    let (front, rest) = text.split_once("<!-- table -->\n").unwrap_or((&text, ""));
    let (_, back) = rest.split_once("<!-- end -->\n").unwrap_or(("", ""));
    let wanted = format!("{front}<!-- table -->\n{table}<!-- end -->\n{back}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &wanted)?;
    }
    let there = fs::read_to_string(&path)?;
    assert!(there == wanted, "rerun with UPDATE_GOLDEN=1 and review the diff of {DOCUMENT}");
    Ok(())
}

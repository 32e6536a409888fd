//! What is sent, and whether it has come as it was.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hikyaku_testkit::mx::{Received, ScriptedMx};

use super::{Feature, world::USER};

const LARGE: usize = 25 * 1024 * 1024;
/// For 25 MiB on a machine that does much else; what passes does not wait for it.
pub const LIMIT: Duration = Duration::from_secs(120);
pub const POLL: Duration = Duration::from_millis(50);

/// One message of one cell.
pub struct Letter {
    pub from: String,
    pub to: Vec<String>,
    pub content: Content,
    /// One empty line is the program's own, and no difference.
    pub ends_with_more: bool,
    feature: Feature,
}

/// The same octets for every program, in files with the line ends that it wants.
#[derive(Clone)]
pub struct Content {
    pub text: std::sync::Arc<str>,
    pub crlf: PathBuf,
    /// For programs that read the text files of Unix.
    pub lf: PathBuf,
}

pub struct Contents {
    small: Content,
    utf8: Content,
    large: Content,
}

impl Contents {
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let write = |name: &str, subject: &str, body: &str| {
            let text = format!("From: {USER}\r\nTo: x@own.test\r\nSubject: {subject}\r\n\r\n{body}");
            let (crlf, lf) = (folder.join(name), folder.join(format!("{name}.lf")));
            fs::write(&crlf, &text)?;
            fs::write(&lf, text.replace("\r\n", "\n"))?;
            anyhow::Ok(Content { text: text.into(), crlf, lf })
        };
        let small = "first\r\n\r\n.\r\n..dots\r\n.one dot\r\n From here\r\nblanks at the end  \r\n";
        Ok(Self {
            small: write("small", "small", small)?,
            utf8: write("utf8", "\u{4ef6}\u{540d}", "\u{672c}\u{6587}\r\n")?,
            large: write("large", "large", &large(small))?,
        })
    }
}

/// No two lines are the same, so that nothing may be missing, moved or doubled.
fn large(begin: &str) -> String {
    let mut text = String::with_capacity(LARGE + 100);
    text.push_str(begin);
    let mut number = 0_u64;
    while text.len() < LARGE {
        let dot = if number.is_multiple_of(7) { "." } else { "" };
        text.push_str(&format!("{dot}{number:08} {:016x}\r\n", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        number += 1;
    }
    text
}

impl Letter {
    /// `name` is unlike that of every other row; `domain` decides the way.
    pub fn new(contents: &Contents, name: &str, feature: Feature, domain: &str) -> Self {
        let (from, content) = match feature {
            Feature::SmtpUtf8 => ("\u{9001}\u{4fe1}@client.test", &contents.utf8),
            Feature::Large => (USER, &contents.large),
            Feature::Plain | Feature::StartTls | Feature::ImplicitTls | Feature::Auth | Feature::Hundred => {
                (USER, &contents.small)
            }
        };
        let to = |mark: &str| format!("{name}-{mark}@{domain}");
        let to = match feature {
            Feature::Hundred => (0..100).map(|n| to(&format!("n{n}"))).collect(),
            Feature::SmtpUtf8 => vec![to("\u{5b9b}\u{5148}")],
            Feature::Large => vec![to("large")],
            Feature::Plain | Feature::StartTls | Feature::ImplicitTls | Feature::Auth => {
                vec![to(feature.way())]
            }
        };
        Self { from: from.to_owned(), to, content: content.clone(), ends_with_more: false, feature }
    }

    pub fn mail(&self) -> String {
        let options = if self.feature == Feature::SmtpUtf8 { " SMTPUTF8 BODY=8BITMIME" } else { "" };
        format!("MAIL FROM:<{}>{options}", self.from)
    }

    /// Every recipient once, from the same sender, with the octets that were sent. `evidence` must stand
    /// in the header that was put before them.
    pub async fn has_come(&self, sink: &ScriptedMx, evidence: &str) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let received = sink.received_where(|mail| mail.recipients.iter().any(|to| self.to.contains(to)));
            let count: usize = received.iter().map(|mail| mail.recipients.len()).sum();
            if count >= self.to.len() {
                return self.compare(&received, evidence);
            }
            if start.elapsed() > LIMIT {
                return Err(format!("{count} of {} recipients have got it", self.to.len()));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn compare(&self, received: &[Received], evidence: &str) -> Result<(), String> {
        let mut recipients: Vec<&String> = received.iter().flat_map(|mail| &mail.recipients).collect();
        let mut wanted: Vec<&String> = self.to.iter().collect();
        recipients.sort();
        wanted.sort();
        if recipients != wanted {
            return Err(format!("the recipients are {recipients:?}"));
        }
        for mail in received {
            if mail.sender != self.from {
                return Err(format!("the sender is {}", mail.sender));
            }
            let text = std::str::from_utf8(&mail.content).map_err(|error| error.to_string())?;
            let (header, body) = text.split_once("\r\n\r\n").ok_or("there is no end of the header")?;
            if !header.contains(evidence) {
                return Err(format!("no {evidence:?} in {header}"));
            }
            let (sent, sent_body) = self.content.text.split_once("\r\n\r\n").unwrap_or_default();
            let subject = sent.lines().last().unwrap_or_default();
            if !header.contains(subject) {
                return Err(format!("no {subject:?} in {header}"));
            }
            let body = if self.ends_with_more { body.strip_suffix("\r\n").unwrap_or(body) } else { body };
            if body != sent_body {
                let at = body.bytes().zip(sent_body.bytes()).position(|(came, went)| came != went);
                return Err(format!(
                    "{} octets instead of {}, unlike from {at:?}",
                    body.len(),
                    sent_body.len()
                ));
            }
        }
        Ok(())
    }
}

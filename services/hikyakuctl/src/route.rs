//! `hikyakuctl route`: one line of the routes, in front of what would hide it.

use std::{
    io::Write,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use clap::Subcommand;
use hikyaku_proto::directory::v1::{CommitDocumentsRequest, Document};

use crate::{
    End,
    args::duration,
    directory::{Client, Report, Shown, client, get},
    output::{Output, rfc3339},
    server::{Server, refusal},
};

const ROUTES: &str = "routes";

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// Put a route in front of all others.
    #[command(after_help = "\
Example: pin a domain to one of its hosts while the better ones are down
  hikyakuctl route add abcdef.jp 192.0.2.30:25 --expires 4h")]
    Add {
        /// domain, *.domain or *.
        target: String,
        /// Host or address, with a port or without.
        next_hop: String,
        /// Only mail of this sender: user@domain or *@domain.
        #[arg(long)]
        sender: Option<String>,
        /// The route is none after this time: 30m, 4h or 7d.
        #[arg(long, value_name = "TIME", value_parser = duration)]
        expires: Option<Duration>,
        /// Why; kept with the version.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Take away all routes with exactly this target.
    Remove {
        /// domain, *.domain or *; with |sender as it stands in the document.
        target: String,
    },
}

pub(crate) async fn run(
    command: RouteCommand,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let mut client = client(server).await?;
    let there = get(&mut client).await?;
    let text = there.documents.into_iter().find(|document| document.name == ROUTES);
    let text = text.context("the service has no routes")?.text;
    let (text, comment) = match command {
        RouteCommand::Add { target, next_hop, sender, expires, comment } => {
            let line = line(&target, &next_hop, sender.as_deref(), expires);
            (format!("{line}\n{}", text.trim_start_matches('\u{feff}')), comment)
        }
        RouteCommand::Remove { target } => {
            let kept: String = text.split_inclusive('\n').filter(|line| !is_of(line, &target)).collect();
            anyhow::ensure!(kept != text, "no route has exactly the target {target:?}");
            (kept, format!("without the route of {target}"))
        }
    };
    commit(&mut client, there.version, text, comment, output).await
}

async fn commit(
    client: &mut Client,
    base_version: u64,
    text: String,
    comment: String,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let documents = vec![Document { name: ROUTES.to_owned(), text }];
    let request = CommitDocumentsRequest { base_version, documents, validate_only: false, comment };
    let response = client.commit_documents(request).await.map_err(refusal)?.into_inner();
    let problems = response.problems.into_iter().map(|problem| Shown::new(problem, "", "")).collect();
    Report { version: Some(response.version), accepted: response.accepted, problems }.print(false, output)
}

fn line(target: &str, next_hop: &str, sender: Option<&str>, expires: Option<Duration>) -> String {
    let (host, port) = match next_hop.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
        Some(_) | None => (next_hop, "25"),
    };
    let sender = sender.map(|sender| format!("|{sender}")).unwrap_or_default();
    let expires = expires.and_then(|time| SystemTime::now().checked_add(time)).map(Into::into);
    let expires = rfc3339(expires.as_ref()).map(|at| format!(",expires={at}")).unwrap_or_default();
    format!("{target}{sender},{host},{port}{expires}")
}

fn is_of(line: &str, target: &str) -> bool {
    line.split(',').next().is_some_and(|first| first.trim().eq_ignore_ascii_case(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(line("a.jp", "192.0.2.1", None, None), "a.jp,192.0.2.1,25");
        assert_eq!(line("*", "h.jp:587", Some("u@d.jp"), None), "*|u@d.jp,h.jp,587");
        assert_eq!(line("a.jp", "[2001:db8::1]:26", None, None), "a.jp,[2001:db8::1],26");
        assert_eq!(line("a.jp", "2001:db8::1", None, None), "a.jp,2001:db8::1,25");
        let expiring = line("a.jp", "h.jp", None, Some(Duration::from_secs(60)));
        assert!(expiring.starts_with("a.jp,h.jp,25,expires=2") && expiring.ends_with('Z'), "{expiring}");
        assert!(is_of("A.jp , h.jp,25", "a.jp") && !is_of("*.a.jp,h.jp", "a.jp"));
    }
}

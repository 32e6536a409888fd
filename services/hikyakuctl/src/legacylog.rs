//! `hikyakuctl legacylog`: the mail log in the shapes of the old products' logs (SEED-200), for programs that read those.
//! What stands in each line, and in which order, is theirs; what separates it is not known, so it is a comma and a blank.

use std::{
    io::{self, BufRead as _, BufReader, Write},
    path::PathBuf,
};

use clap::{Args as ClapArgs, ValueEnum};
use hikyaku_mail_log::{Entry, Event, TARGET};
use serde_json::Value;

use crate::{
    End,
    input::Unreadable,
    output::{Output, harmless},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// Connections, and how each transaction ended; needs mail_log.connections.
    Acceptlog,
    /// Accepted mail, a line for each recipient.
    Inlog,
    /// Mail that a next hop has taken, a line for each recipient.
    Outlog,
    /// Mail that was given up, a line for each recipient.
    Faillog,
    /// Each attempt and what came of it.
    Senderlog,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  hikyakuctl legacylog --as inlog /var/log/hikyaku/mail.log
  kubectl logs -l app.kubernetes.io/name=hikyaku --tail=-1 | hikyakuctl legacylog --as outlog -

A line that is no UTF-8 or no JSON, or an event of a later version, is named on the standard error, with its number, and
the others follow. Exit status 1: there was one.")]
pub(crate) struct LegacyLogArgs {
    /// The log whose lines are wanted.
    #[arg(long = "as", value_name = "LOG")]
    shape: Shape,
    /// A mail log, JSON lines; - reads the standard input. Other JSON lines are passed over.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// A line that cannot be read is named on `errors`, and the others follow.
pub(crate) fn run(
    args: &LegacyLogArgs,
    stdin: impl io::Read,
    output: &mut Output<impl Write>,
    errors: &mut impl Write,
) -> anyhow::Result<End> {
    let input: Box<dyn io::Read + '_> = if args.file.as_os_str() == "-" {
        Box::new(stdin)
    } else {
        Box::new(std::fs::File::open(&args.file).map_err(|source| Unreadable::new(&args.file, source))?)
    };
    let mut end = End::Done;
    for (line, number) in BufReader::new(input).split(b'\n').zip(1_u64..) {
        let line = line.map_err(|source| Unreadable::new(&args.file, source))?;
        match old_lines(args.shape, line.trim_ascii()) {
            Ok(lines) => {
                for old in lines {
                    output.print_line(&old, |writer| writeln!(writer, "{}", harmless(&old)))?;
                }
            }
            Err(wrong) => {
                // Nobody may be there to hear it; the status says it too.
                let _ = writeln!(
                    errors,
                    "hikyakuctl: {}: line {number}: {}",
                    args.file.display(),
                    harmless(&wrong)
                );
                end = End::Refused;
            }
        }
    }
    Ok(end)
}

/// Or what is wrong with the line.
fn old_lines(shape: Shape, line: &[u8]) -> Result<Vec<String>, String> {
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let line = str::from_utf8(line).map_err(|error| format!("no UTF-8: {error}"))?;
    let document = serde_json::from_str::<Value>(line).map_err(|error| format!("no JSON: {error}"))?;
    // Collectors put lines into documents of their own.
    let fields = document.get("fields").filter(|fields| fields.is_object()).unwrap_or(&document);
    match Entry::read(&fields.to_string()) {
        Ok(event) => Ok(in_shape(shape, &event, &document)),
        Err(error) if document.get("target").is_some_and(|target| target == TARGET) => Err(error.to_string()),
        // Of the rest of the process's log.
        Err(_) => Ok(Vec::new()),
    }
}

fn in_shape(shape: Shape, event: &Event, document: &Value) -> Vec<String> {
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or("-");
    let (time, server) = (text("timestamp"), text("node"));
    let id = |queue_id: &str| format!("{queue_id}@{server}");
    match (shape, event) {
        (Shape::Acceptlog, Event::Connected(it)) => {
            let port = it.port.map(|port| format!(":{port}")).unwrap_or_default();
            vec![format!("{time}, {server}, {}{port}, Client accept now.", it.client)]
        }
        (Shape::Acceptlog, Event::Accepted(it)) => {
            let client = it.client.as_deref().unwrap_or("-");
            vec![format!("{time}, {server}, {client}, {}, {}, ok", it.sender, id(&it.queue_id))]
        }
        (Shape::Acceptlog, Event::Refused(it)) => {
            let sender = it.sender.as_deref().unwrap_or("-");
            let enhanced = it.enhanced.as_deref().unwrap_or_default();
            let reason = format!("{} {enhanced} {}", it.code, it.decided_by);
            vec![format!("{time}, {server}, {}, {sender}, -, abort, {reason}", it.client)]
        }
        (Shape::Inlog, Event::Accepted(it)) => {
            let client = it.client.as_deref().unwrap_or("-");
            let of = |to: &String| {
                format!("{}, {time}, {client}, {}, {}, {to}", id(&it.queue_id), it.helo, it.sender)
            };
            it.recipients.iter().map(of).collect()
        }
        (Shape::Outlog, Event::Delivered(it)) => {
            vec![format!("{}, {time}, {}, {}, {}", id(&it.queue_id), it.sender, it.recipient, it.remote)]
        }
        (Shape::Faillog, Event::Bounced(it)) => {
            let (from, to) = (&it.sender, &it.recipient);
            vec![format!(
                "{}, send fail on {time}, {from}, {to}, [{} {}]",
                id(&it.queue_id),
                it.status,
                it.cause
            )]
        }
        (Shape::Senderlog, Event::Attempt(it)) => {
            vec![format!("{time}, {}, GetTryServer {} [{}]", id(&it.queue_id), it.host, it.address)]
        }
        (Shape::Senderlog, Event::Delivered(it)) => {
            vec![format!("{time}, {}, {}: {}", id(&it.queue_id), it.recipient, it.remote)]
        }
        (Shape::Senderlog, Event::Deferred(it) | Event::Bounced(it)) => {
            vec![format!("{time}, {}, {}: {}", id(&it.queue_id), it.recipient, it.cause)]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    const LOG: &str = concat!(
        r#"{"timestamp":"2026-11-22T08:00:00.000001Z","target":"mail","node":"gw-1","role":"ingress","event":"connected","session":"s","client":"192.0.2.1","port":4711,"listener":"relay"}"#,
        "\n",
        r#"{"timestamp":"2026-11-22T08:00:00.000002Z","target":"mail","node":"gw-1","role":"ingress","event":"accepted","queue_id":"Q","entry":"Q-0","session":"s","client":"192.0.2.1","helo":"c.example","admitted_by":"access:3","tls":"none","listener":"relay","sender":"a@x.example","recipients":["b@y.example","c@y.example"],"destination":"y.example","size":10,"lane":"fresh"}"#,
        "\n",
        r#"{"timestamp":"2026-11-22T08:00:00.000003Z","level":"INFO","target":"hikyaku","message":"a line of somebody else"}"#,
        "\n",
        r#"{"timestamp":"2026-11-22T08:00:01.000000Z","fields":{"event":"refused","client":"192.0.2.9","sender":"z@x.example","code":550,"enhanced":"5.7.1","decided_by":"access:7"},"node":"gw-1"}"#,
        "\n",
        r#"{"timestamp":"2026-11-22T08:00:02.000000Z","target":"mail","node":"gw-2","role":"delivery","event":"attempt","queue_id":"Q","entry":"Q-0","destination":"y.example","host":"mx.y.example","address":"198.51.100.1:25","attempt":1,"tls":"none","tls_verified":false}"#,
        "\n",
        r#"{"timestamp":"2026-11-22T08:00:03.000000Z","target":"mail","node":"gw-2","role":"delivery","event":"delivered","queue_id":"Q","entry":"Q-0","sender":"a@x.example","recipient":"b@y.example","destination":"y.example","attempt":1,"delay_seconds":3.0,"remote":"mx.y.example said 250 ok","tls":"none","tls_verified":false}"#,
        "\n",
        r#"{"timestamp":"2026-11-22T08:00:03.000000Z","target":"mail","node":"gw-2","role":"delivery","event":"bounced","queue_id":"Q","entry":"Q-0","sender":"a@x.example","recipient":"c@y.example","destination":"y.example","attempt":1,"class":"permanent","phase":"rcpt","status":"5.1.1","cause":"mx.y.example said 550 nobody","remote":"mx.y.example said 550 nobody","expired":false,"report":"R"}"#,
        "\n",
    );

    fn told(shape: Shape, log: &[u8]) -> (End, String, String) {
        let (mut written, mut errors) = (Vec::new(), Vec::new());
        let mut output = Output::new(Format::Human, &mut written);
        let end = run(&LegacyLogArgs { shape, file: "-".into() }, log, &mut output, &mut errors).unwrap();
        (end, String::from_utf8(written).unwrap(), String::from_utf8(errors).unwrap())
    }

    fn of(shape: Shape) -> String {
        let (end, written, errors) = told(shape, LOG.as_bytes());
        assert_eq!((end, errors.as_str()), (End::Done, ""));
        written
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_the_others_follow() {
        let whole = of(Shape::Outlog);
        let mut log =
            b"{\"target\":\"mail\",\"event\":\"of a later \\u001b[2Jversion\"}\n\n{\"cut\r\n\xff\xfe\n"
                .to_vec();
        log.extend(LOG.as_bytes());
        log.extend(b"{\"cut");
        let (end, written, errors) = told(Shape::Outlog, &log);
        assert_eq!((end, written), (End::Refused, whole));
        let errors: Vec<&str> = errors.lines().collect();
        let wrong = ["1: this is no line of a mail log: ", "3: no JSON: ", "4: no UTF-8: ", "12: no JSON: "];
        assert_eq!(errors.len(), wrong.len(), "{errors:?}");
        for (error, wrong) in errors.iter().zip(wrong) {
            assert!(error.starts_with(&format!("hikyakuctl: -: line {wrong}")), "{error}");
        }
        assert!(errors[0].contains("of a later ?[2Jversion"), "{errors:?}");
    }

    #[test]
    fn seed_200_the_lines_of_the_old_logs() {
        assert_eq!(
            of(Shape::Acceptlog),
            "2026-11-22T08:00:00.000001Z, gw-1, 192.0.2.1:4711, Client accept now.\n\
             2026-11-22T08:00:00.000002Z, gw-1, 192.0.2.1, a@x.example, Q@gw-1, ok\n\
             2026-11-22T08:00:01.000000Z, gw-1, 192.0.2.9, z@x.example, -, abort, 550 5.7.1 access:7\n"
        );
        assert_eq!(
            of(Shape::Inlog),
            "Q@gw-1, 2026-11-22T08:00:00.000002Z, 192.0.2.1, c.example, a@x.example, b@y.example\n\
             Q@gw-1, 2026-11-22T08:00:00.000002Z, 192.0.2.1, c.example, a@x.example, c@y.example\n"
        );
        assert_eq!(
            of(Shape::Outlog),
            "Q@gw-2, 2026-11-22T08:00:03.000000Z, a@x.example, b@y.example, mx.y.example said 250 ok\n"
        );
        assert_eq!(
            of(Shape::Faillog),
            "Q@gw-2, send fail on 2026-11-22T08:00:03.000000Z, a@x.example, c@y.example, \
             [5.1.1 mx.y.example said 550 nobody]\n"
        );
        assert_eq!(
            of(Shape::Senderlog),
            "2026-11-22T08:00:02.000000Z, Q@gw-2, GetTryServer mx.y.example [198.51.100.1:25]\n\
             2026-11-22T08:00:03.000000Z, Q@gw-2, b@y.example: mx.y.example said 250 ok\n\
             2026-11-22T08:00:03.000000Z, Q@gw-2, c@y.example: mx.y.example said 550 nobody\n"
        );
    }
}

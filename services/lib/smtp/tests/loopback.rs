//! Our client hands mail to our server, in memory: what one sends the other takes, however the octets are cut
//! on their way in both directions.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use hikyaku_smtp::{
    client::{
        self, ClientConfig, ClientSession, Delivery, DeliveryRecipient, RecipientResult, StartTls, Timeouts,
    },
    server::{self, AcceptedRecipient, Question, Session, SessionConfig, Stored, Transaction, Verdict},
};
use hikyaku_types::{
    envelope::{BodyKind, Transfer},
    ids::QueueId,
    reporting::Reporting,
};
use proptest::prelude::*;

/// Both sessions and what is on its way between them.
struct Pair {
    client: ClientSession,
    server: Session,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    stored: Vec<Transaction>,
    results: Vec<RecipientResult>,
    /// What neither should have wanted.
    surprises: Vec<String>,
    now: Instant,
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to start from")]
    fn new() -> Self {
        let now = Instant::now();
        let config = ClientConfig {
            helo_name: "client.example".to_owned(),
            is_secure: false,
            starttls: StartTls::Never,
            login: None,
            timeouts: Timeouts::default(),
        };
        let mut server = Session::new(Arc::new(SessionConfig::default()), false, || [1; 18], now);
        server.handle(server::Event::Connected(Verdict::Accept(())), now);
        let client = ClientSession::new(config, now);
        Self {
            client,
            server,
            to_server: Vec::new(),
            to_client: Vec::new(),
            stored: Vec::new(),
            results: Vec::new(),
            surprises: Vec::new(),
            now,
        }
    }

    /// Moves octets by these sizes until nothing is on its way.
    fn run(&mut self, sizes: &[usize]) {
        let mut sizes = sizes.iter().cycle();
        self.act();
        while !self.to_server.is_empty() || !self.to_client.is_empty() {
            let size = *sizes.next().unwrap();
            let piece: Vec<u8> = self.to_server.drain(..size.min(self.to_server.len())).collect();
            self.server.handle(server::Event::Input(&piece), self.now);
            let piece: Vec<u8> = self.to_client.drain(..size.min(self.to_client.len())).collect();
            self.client.handle(client::Event::Input(&piece), self.now);
            self.act();
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.server.next_action() {
            self.of_server(action);
        }
        while let Some(action) = self.client.next_action() {
            match action {
                client::Action::Write(octets, _) => {
                    self.to_server.extend_from_slice(&octets);
                    self.client.handle(client::Event::WriteDone, self.now);
                }
                client::Action::Done(result) => self.results.extend(result.recipients),
                client::Action::Ready | client::Action::Close => {}
                other @ (client::Action::StartTls | client::Action::Failed(_)) => {
                    self.surprises.push(format!("{other:?}"));
                }
            }
        }
    }

    fn of_server(&mut self, action: server::Action) {
        let answer = match action {
            server::Action::Write(octets) => return self.to_client.extend_from_slice(&octets),
            server::Action::Ask(Question::Recipient { forward_path, .. }) => {
                let (deliver_to, destination) =
                    ("to@own.example".parse().unwrap(), "own.example".parse().unwrap());
                let accepted = AcceptedRecipient { forward_path, deliver_to, destination };
                server::Event::RecipientAnswered(Verdict::Accept(accepted))
            }
            server::Action::Ask(_) => server::Event::SenderAnswered(Verdict::Accept(())),
            server::Action::Store(transaction) => {
                self.stored.push(*transaction);
                server::Event::Stored(Stored::Durable(QueueId::new(1, 1)))
            }
            server::Action::Ended(server::Outcome::Accepted) => return,
            other @ (server::Action::Pause
            | server::Action::StartTls
            | server::Action::Heard(_)
            | server::Action::Adopt(_)
            | server::Action::Refused { .. }
            | server::Action::Ended(_)
            | server::Action::AuthEnded { .. }
            | server::Action::Close) => return self.surprises.push(format!("{other:?}")),
        };
        self.server.handle(answer, self.now);
    }
}

fn delivery(recipients: usize, body: BodyKind, content: &[u8], cut: usize) -> Delivery {
    let to = |n| DeliveryRecipient {
        address: format!("u{n}@own.example").parse().unwrap(),
        reporting: Reporting::default(),
    };
    Delivery {
        reverse_path: "a@client.example".parse().unwrap(),
        recipients: (0..recipients).map(to).collect(),
        transfer: Transfer { body, ..Transfer::PLAIN },
        content: content.chunks(cut).map(Bytes::copy_from_slice).collect(),
        size: content.len() as u64,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_sent_is_what_is_taken(
        messages in prop::collection::vec(
            (1_usize..4, any::<bool>(), prop::collection::vec("[.a\u{fc}\0]{0,3}", 0..12)), 1..4,
        ),
        sizes in prop::collection::vec(1_usize..40, 1..8),
        cut in 1_usize..9,
    ) {
        let mut pair = Pair::new();
        let mut expected = Vec::new();
        for (recipients, is_binary, lines) in messages {
            // A dot that NULs hide is refused in text; bodies are the point of binary messages.
            let text: String = lines.iter().map(|line| format!("{}\r\n", line.trim_start_matches('\0'))).collect();
            let (body, content) = match is_binary {
                true => (BodyKind::BinaryMime, format!("A: b\r\n\r\n{}\n.\r", lines.join("\n"))),
                false => (BodyKind::EightBitMime, text),
            };
            pair.run(&sizes);
            pair.client.start(delivery(recipients, body, content.as_bytes(), cut), pair.now).unwrap();
            expected.push((recipients, body, content));
        }
        pair.run(&sizes);
        prop_assert_eq!(&pair.surprises, &Vec::<String>::new());
        prop_assert_eq!(pair.stored.len(), expected.len());
        let recipients: usize = expected.iter().map(|(recipients, ..)| recipients).sum();
        let is_accepted = |result: &&RecipientResult| matches!(result, RecipientResult::Accepted(_));
        prop_assert_eq!(pair.results.iter().filter(is_accepted).count(), recipients);
        for (stored, (recipients, body, content)) in pair.stored.iter().zip(&expected) {
            prop_assert_eq!((stored.recipients.len(), stored.transfer.body), (*recipients, *body));
            prop_assert_eq!(stored.content.as_slice(), content.as_bytes());
        }
    }
}

//! Octets of the client to signals: command lines, then the content behind `DATA`.

use std::mem;

use hikyaku_types::{
    address::{ForwardPath, ReversePath},
    envelope::Transfer,
    reply::Reply,
    reporting::Reporting,
};

use super::{Given, Session};
use crate::{
    server::{
        action::{Action, Refusal},
        auth,
        draft::{Client, Decoder, Draft},
        event::Protocol,
        replies,
        state::{Signal, State},
    },
    wire::{
        command::{Allowed, Command, CommandError},
        data::Progress,
        line::{LineError, MAX_COMMAND_LINE, Scan},
        sasl::MAX_RESPONSE_LINE,
        xclient::Named,
    },
};

impl Session {
    pub(super) fn input(&mut self, input: &[u8]) {
        if !self.held.is_empty() || !self.wants_input() {
            self.held.extend_from_slice(input);
            return;
        }
        let consumed = self.consume(input);
        self.held.extend_from_slice(&input[consumed..]);
    }

    /// Goes on with what was held back.
    pub(super) fn resume(&mut self) {
        if self.is_draining && self.wants_input() && !self.state.is_taking_content() {
            self.signal(Signal::Drain);
        }
        if self.held.is_empty() || !self.wants_input() {
            return;
        }
        let mut held = mem::take(&mut self.held);
        let consumed = self.consume(&held);
        held.drain(..consumed);
        self.held = held;
    }

    /// Consumes as much as can be acted upon; stops where the session has to wait.
    fn consume(&mut self, input: &[u8]) -> usize {
        let mut done = 0;
        while self.wants_input() && done < input.len() {
            if self.is_draining && !self.state.is_taking_content() {
                self.signal(Signal::Drain);
                break;
            }
            let rest = &input[done..];
            let consumed = if self.state == State::Content {
                self.content(rest)
            } else if self.chunk.is_some() {
                self.chunk(rest)
            } else {
                self.line(rest)
            };
            if consumed == 0 {
                break;
            }
            done += consumed;
        }
        done
    }

    fn line(&mut self, input: &[u8]) -> usize {
        let is_response = self.state.is_in_exchange();
        let limit = if is_response { MAX_RESPONSE_LINE } else { MAX_COMMAND_LINE };
        let (consumed, scan) = self.lines.next(input, limit);
        // Whatever becomes of it, what the client says next may be its response, or its message.
        self.may_not_be_shown |= match scan {
            Scan::Line(line) => ["AUTH", "DATA"].into_iter().any(|verb| begins_with(line, verb)),
            Scan::Bad(LineError::TooLong) => true,
            Scan::Bad(LineError::BareCr | LineError::BareLf) | Scan::NeedMore => false,
        };
        if self.tells_lines
            && let Scan::Line(line) = scan
        {
            let line = shown(line, is_response, self.may_not_be_shown);
            self.actions.push_back(Action::Heard(line));
        }
        match scan {
            Scan::NeedMore => {}
            Scan::Line(line) if is_response => self.response(line),
            Scan::Line(line) => self.command(line),
            Scan::Bad(LineError::BareCr | LineError::BareLf) => self.signal(Signal::BrokenLine),
            Scan::Bad(LineError::TooLong) if is_response => self.signal(Signal::AuthTooLong),
            Scan::Bad(LineError::TooLong) => self.bad_command(replies::long_line()),
        }
        consumed
    }

    pub(super) fn bad_command(&mut self, (reply, refusal): (Reply, Refusal)) {
        self.report(refusal);
        self.apply(Signal::BadCommand, reply.into());
        self.count_error();
    }

    pub(super) fn report(&mut self, refusal: Refusal) {
        let has_sender = self.state.is_in_transaction() || self.content.is_some();
        let reverse_path = has_sender.then(|| self.draft.reverse_path.clone());
        self.actions.push_back(Action::Refused { refusal, reverse_path });
    }

    pub(super) fn count_error(&mut self) {
        self.errors += 1;
        if self.errors >= self.config.max_errors {
            self.signal(Signal::TooManyErrors);
        }
    }

    fn command(&mut self, line: &[u8]) {
        let allowed = Allowed {
            smtputf8: self.draft.transfer.smtputf8,
            requiretls: self.config.requiretls && self.is_secure,
            xclient: self.may_name_client,
            auth: self.config.auth.offered,
        };
        let command = match Command::parse(line, allowed) {
            Ok(command) => command,
            Err(error @ CommandError::Chunk) => return self.hopeless_chunk(replies::bad_command(error)),
            Err(error) => return self.bad_command(replies::bad_command(error)),
        };
        self.is_behind_refused_chunk &= matches!(command, Command::Bdat { .. });
        let signal = match command {
            Command::Ehlo { name } => self.hello(name, Protocol::Esmtp),
            Command::Helo { name } => self.hello(name, Protocol::Smtp),
            Command::Mail { reverse_path, size, transfer } => self.mail(reverse_path, size, transfer),
            Command::Rcpt { forward_path, reporting } => self.rcpt(forward_path, reporting),
            Command::Data if self.is_binary() => Signal::DataOfBinary,
            Command::Data => Signal::Data,
            Command::Bdat { size, is_last } => return self.bdat(size, is_last),
            Command::Rset => Signal::Rset,
            Command::Noop => Signal::Noop,
            Command::Vrfy => Signal::Vrfy,
            Command::Expn => Signal::Expn,
            Command::Help => Signal::Help,
            Command::Auth { mechanism, initial_response } => {
                return self.auth(&mechanism, initial_response);
            }
            Command::StartTls => self.start_tls(),
            Command::Quit => Signal::Quit,
            Command::Xclient(named) => return self.xclient(named),
        };
        self.signal(signal);
    }

    /// What is known of the peer is not known of its client.
    fn xclient(&mut self, Named { address, login }: Named) {
        let default_domain = self.config.default_domain.as_ref();
        let identity = login.as_deref().map(|login| auth::complete(login, default_domain));
        if identity == Some(None) {
            return self.bad_command(replies::bad_command(CommandError::Arguments));
        }
        if matches!(self.state, State::Greeted | State::Ready) {
            self.client = None;
            self.identity = identity.flatten();
            // The TLS of the client ends at the peer.
            self.exporter = None;
        }
        self.apply(Signal::Xclient, Given { named: address, ..Given::default() });
    }

    fn start_tls(&self) -> Signal {
        match (self.is_secure, self.config.starttls) {
            (true, _) => Signal::StartTlsAgain,
            (false, true) => Signal::StartTls,
            (false, false) => Signal::StartTlsOff,
        }
    }

    fn hello(&mut self, name: String, protocol: Protocol) -> Signal {
        self.client = Some(Client { name, protocol });
        Signal::Hello
    }

    fn mail(&mut self, reverse_path: ReversePath, size: Option<u64>, transfer: Transfer) -> Signal {
        if self.lacks_identity() {
            return Signal::MailUnauthenticated;
        }
        // RFC 1870 6.1: refused by its declared size, before anything is sent.
        if size.is_some_and(|size| size > self.config.size_limit()) {
            return Signal::MailTooBig;
        }
        if self.state == State::Ready {
            self.draft = Draft { reverse_path, declared_size: size, transfer, ..Draft::EMPTY };
        }
        Signal::Mail
    }

    fn rcpt(&mut self, forward_path: ForwardPath, reporting: Reporting) -> Signal {
        if self.draft.recipients.len() >= self.config.max_recipients {
            return Signal::RcptTooMany;
        }
        self.draft.asked = Some((forward_path, reporting));
        Signal::Rcpt
    }

    fn content(&mut self, input: &[u8]) -> usize {
        let Some(incoming) = &mut self.content else { return 0 };
        let Decoder::Data(decoder) = &mut incoming.decoder else { return 0 };
        let progress = decoder.feed(input, incoming.content.buffer());
        let is_over = decoder.is_over_limit();
        if is_over || incoming.is_unkept {
            // It will be refused: nothing of it is kept.
            incoming.drop_content();
        }
        match progress {
            Ok(Progress::NeedMore) => input.len(),
            Ok(Progress::Done { consumed }) => {
                let signal = match (is_over, incoming.is_unkept) {
                    (true, _) => Signal::ContentTooBig,
                    (false, true) => Signal::ContentUnkept,
                    (false, false) => Signal::ContentEnded,
                };
                self.signal(signal);
                consumed
            }
            Err(_) => {
                self.signal(Signal::ContentBroken);
                input.len()
            }
        }
    }
}

/// Blanks in front make it no command, and its argument no less secret.
fn begins_with(line: &[u8], verb: &str) -> bool {
    line.trim_ascii_start().get(..verb.len()).is_some_and(|word| word.eq_ignore_ascii_case(verb.as_bytes()))
}

/// What is said in AUTH may be a password, and so may be what a client says that does not notice how AUTH ended;
/// what comes behind DATA may be content, also when that was refused.
fn shown(line: &[u8], is_response: bool, is_doubtful: bool) -> String {
    const HIDDEN: &str = "***";
    let text = String::from_utf8_lossy(line.trim_ascii_start());
    let verb: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
    if is_response {
        return HIDDEN.to_owned();
    }
    if verb.eq_ignore_ascii_case("AUTH") {
        let mechanism = text.split_ascii_whitespace().nth(1).unwrap_or_default();
        // Without one, a password would stand in its place.
        let is_keyword =
            mechanism.is_empty() || MECHANISMS.iter().any(|known| mechanism.eq_ignore_ascii_case(known));
        return format!("{verb} {} {HIDDEN}", if is_keyword { mechanism } else { HIDDEN });
    }
    let is_verb = VERBS.iter().any(|known| verb.eq_ignore_ascii_case(known));
    if is_doubtful && !is_verb { HIDDEN.to_owned() } else { text.into_owned() }
}

/// That clients are known to ask for, whether they are offered here or not.
const MECHANISMS: [&str; 14] = [
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "DIGEST-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "XOAUTH2",
    "OAUTHBEARER",
    "EXTERNAL",
    "GSSAPI",
    "NTLM",
    "ANONYMOUS",
];

const VERBS: [&str; 14] = [
    "EHLO", "HELO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "HELP",
    "STARTTLS", "XCLIENT",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (line, is_response, is_doubtful, expected) in [
            ("AUTH PLAIN AGEAYg==", false, false, "AUTH PLAIN ***"),
            ("auth\tplain\tAGEAYg==", false, false, "auth plain ***"),
            ("AUTH AGEAYg==", false, false, "AUTH *** ***"),
            (" \tAUTH PLAIN AGEAYg==", false, false, "AUTH PLAIN ***"),
            ("AUTH AGEAYgBj", false, false, "AUTH *** ***"),
            ("AUTH", false, false, "AUTH  ***"),
            ("AGEAYg==", true, true, "***"),
            ("MAIL FROM:<a@b>", true, true, "***"),
            ("cGFzc3dvcmQ=", false, true, "***"),
            ("NOPE", false, false, "NOPE"),
            ("MAIL FROM:<a@b>", false, true, "MAIL FROM:<a@b>"),
        ] {
            assert_eq!(shown(line.as_bytes(), is_response, is_doubtful), expected, "{line}");
        }
    }
}

//! One command line to one [`Command`] (RFC 5321 4.1.1), or to the reply that says what is wrong
//! with it. The order of commands is the session's business.

use hikyaku_types::{
    address::{AddressError, ForwardPath, ReversePath},
    envelope::Transfer,
    reply::EnhancedCode,
    reporting::Reporting,
};

use super::{
    parameters::{self, MailParameters},
    sasl::Encoded,
    xclient::{self, Named},
};

/// RFC 5321 4.5.3.1.2 limits a domain to 255 octets.
const MAX_NAME: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Ehlo {
        name: String,
    },
    Helo {
        name: String,
    },
    Mail {
        reverse_path: ReversePath,
        /// `SIZE=` (RFC 1870).
        size: Option<u64>,
        transfer: Transfer,
    },
    Rcpt {
        forward_path: ForwardPath,
        reporting: Reporting,
    },
    Data,
    /// RFC 3030.
    Bdat {
        /// Octets that follow the line.
        size: u64,
        is_last: bool,
    },
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    /// RFC 4954.
    Auth {
        /// In capitals.
        mechanism: String,
        initial_response: Option<Encoded>,
    },
    /// RFC 3207.
    StartTls,
    Quit,
    /// Who is behind the peer.
    Xclient(Named),
}

/// What decides which arguments a command may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The open transaction declared SMTPUTF8.
    pub smtputf8: bool,
    /// REQUIRETLS is offered.
    pub requiretls: bool,
    /// The peer may say who is behind it.
    pub xclient: bool,
    /// AUTH is offered, and with it a parameter of MAIL.
    pub auth: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("command not recognized")]
    Unknown,
    #[error("syntax error in arguments")]
    Arguments,
    /// How many octets follow is not known, so nothing behind the line can be trusted.
    #[error("size of the chunk cannot be read; closing connection")]
    Chunk,
    #[error("parameter not recognized")]
    Parameter,
    #[error("bad sender address: {0}")]
    Sender(AddressError),
    #[error("bad recipient address: {0}")]
    Recipient(AddressError),
    #[error("address is not ASCII and SMTPUTF8 was not declared")]
    NeedsSmtputf8,
}

impl CommandError {
    pub const fn code(self) -> (u16, EnhancedCode) {
        match self {
            Self::Unknown => (500, EnhancedCode(5, 5, 2)),
            Self::Arguments | Self::Chunk => (501, EnhancedCode(5, 5, 4)),
            // RFC 5321 4.1.1.11.
            Self::Parameter => (555, EnhancedCode(5, 5, 4)),
            Self::Sender(_) => (501, EnhancedCode(5, 1, 7)),
            Self::Recipient(_) => (501, EnhancedCode(5, 1, 3)),
            // RFC 6531 3.5.
            Self::NeedsSmtputf8 => (553, EnhancedCode(5, 6, 7)),
        }
    }
}

impl Command {
    pub fn parse(line: &[u8], allowed: Allowed) -> Result<Self, CommandError> {
        // RFC 5321 4.1.1: blanks at the end of a line are tolerated.
        let line = line.trim_ascii_end();
        let end = line.iter().position(|octet| *octet == b' ').unwrap_or(line.len());
        let (verb, argument) = (&line[..end], line[end..].trim_ascii_start());
        let is = |name: &str| verb.eq_ignore_ascii_case(name.as_bytes());
        if is("MAIL") {
            mail(argument, allowed)
        } else if is("RCPT") {
            rcpt(argument, allowed.smtputf8)
        } else if is("DATA") {
            alone(argument, Self::Data)
        } else if is("BDAT") {
            bdat(argument).ok_or(CommandError::Chunk)
        } else if is("EHLO") {
            Ok(Self::Ehlo { name: name(argument)? })
        } else if is("HELO") {
            Ok(Self::Helo { name: name(argument)? })
        } else if is("QUIT") {
            alone(argument, Self::Quit)
        } else if is("RSET") {
            alone(argument, Self::Rset)
        } else if is("NOOP") {
            Ok(Self::Noop)
        } else if is("VRFY") {
            if argument.is_empty() { Err(CommandError::Arguments) } else { Ok(Self::Vrfy) }
        } else if is("EXPN") {
            Ok(Self::Expn)
        } else if is("HELP") {
            Ok(Self::Help)
        } else if is("AUTH") {
            auth(argument)
        } else if is("STARTTLS") {
            // RFC 3207 4: no parameters.
            alone(argument, Self::StartTls)
        } else if is("XCLIENT") && allowed.xclient {
            xclient::parse(argument).map(Self::Xclient).ok_or(CommandError::Arguments)
        } else {
            Err(CommandError::Unknown)
        }
    }
}

fn alone(argument: &[u8], command: Command) -> Result<Command, CommandError> {
    if argument.is_empty() { Ok(command) } else { Err(CommandError::Arguments) }
}

/// `size [LAST]`.
fn bdat(argument: &[u8]) -> Option<Command> {
    let mut words = argument.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
    let size = parameters::number(words.next()?)?;
    let is_last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"LAST") => true,
        Some(_) => return None,
    };
    words.next().is_none().then_some(Command::Bdat { size, is_last })
}

/// `mechanism [initial-response]`.
fn auth(argument: &[u8]) -> Result<Command, CommandError> {
    let mut words = argument.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
    let (mechanism, initial, more) = (words.next(), words.next(), words.next());
    let mechanism = mechanism.filter(|name| name.iter().all(u8::is_ascii_graphic));
    let mechanism = mechanism.and_then(|name| str::from_utf8(name).ok()).map(str::to_ascii_uppercase);
    match (mechanism, more) {
        (Some(mechanism), None) => {
            Ok(Command::Auth { mechanism, initial_response: initial.map(Encoded::new) })
        }
        (None, _) | (_, Some(_)) => Err(CommandError::Arguments),
    }
}

/// The client's name is only ever quoted, never believed, so any visible ASCII text will do
/// (RFC 5321 4.1.4: a server MUST NOT refuse mail because the name cannot be verified).
fn name(argument: &[u8]) -> Result<String, CommandError> {
    let is_visible = argument.iter().all(|octet| matches!(octet, b' '..=b'~'));
    if argument.is_empty() || argument.len() > MAX_NAME || !is_visible {
        return Err(CommandError::Arguments);
    }
    String::from_utf8(argument.to_vec()).map_err(|_| CommandError::Arguments)
}

fn mail(argument: &[u8], allowed: Allowed) -> Result<Command, CommandError> {
    let (path, rest) = split_path(argument, b"FROM:")?;
    let text = str::from_utf8(path).map_err(|_| CommandError::Sender(AddressError::LocalPart))?;
    let reverse_path = without_route(text)
        .ok_or(AddressError::LocalPart)
        .and_then(str::parse::<ReversePath>)
        .map_err(CommandError::Sender)?;
    let MailParameters { size, transfer } = parameters::of_mail(rest, allowed)?;
    if !path.is_ascii() && !transfer.smtputf8 {
        return Err(CommandError::NeedsSmtputf8);
    }
    Ok(Command::Mail { reverse_path, size, transfer })
}

fn rcpt(argument: &[u8], smtputf8: bool) -> Result<Command, CommandError> {
    let (path, rest) = split_path(argument, b"TO:")?;
    let text = str::from_utf8(path).map_err(|_| CommandError::Recipient(AddressError::LocalPart))?;
    let forward_path = without_route(text)
        .ok_or(AddressError::LocalPart)
        .and_then(str::parse::<ForwardPath>)
        .map_err(CommandError::Recipient)?;
    let reporting = parameters::of_rcpt(rest, smtputf8)?;
    if !path.is_ascii() && !smtputf8 {
        return Err(CommandError::NeedsSmtputf8);
    }
    Ok(Command::Rcpt { forward_path, reporting })
}

/// `FROM:<path> rest` to path and rest. Brackets are required; blanks after the colon, which
/// many clients write, are accepted.
fn split_path<'a>(argument: &'a [u8], keyword: &[u8]) -> Result<(&'a [u8], &'a [u8]), CommandError> {
    let (front, rest) = argument.split_at_checked(keyword.len()).ok_or(CommandError::Arguments)?;
    if !front.eq_ignore_ascii_case(keyword) {
        return Err(CommandError::Arguments);
    }
    let path = rest.trim_ascii_start().strip_prefix(b"<").ok_or(CommandError::Arguments)?;
    let end = closing_bracket(path).ok_or(CommandError::Arguments)?;
    let rest = &path[end + 1..];
    if rest.first().is_some_and(|octet| *octet != b' ') {
        return Err(CommandError::Arguments);
    }
    Ok((&path[..end], rest))
}

/// A quoted local part may hold a bracket (RFC 5321 4.1.2).
fn closing_bracket(path: &[u8]) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    path.iter().position(|octet| {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'>' if !is_quoted => return true,
            _ => {}
        }
        false
    })
}

/// RFC 5321 4.1.1.3 and appendix C: a source route is accepted and ignored.
fn without_route(path: &str) -> Option<&str> {
    if !path.starts_with('@') {
        return Some(path);
    }
    let (route, mailbox) = path.split_once(':')?;
    let is_route = route.split(',').all(|hop| {
        hop.strip_prefix('@').is_some_and(|hop| hop.parse::<hikyaku_types::domain::Domain>().is_ok())
    });
    // A route to nowhere must not become the null reverse-path.
    if is_route && !mailbox.is_empty() { Some(mailbox) } else { None }
}

#[cfg(test)]
mod tests;

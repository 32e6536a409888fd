//! What the session says, word for word. Codes follow the reply catalogue; texts are free, name
//! no product version and repeat nothing that the client wrote.

use std::fmt::Write as _;

use hikyaku_types::{
    ids::QueueId,
    reply::{EnhancedCode, Reply},
};

use super::{action::Refusal, auth::Means, limits::SessionConfig, state::Say};
use crate::{
    server::auth,
    wire::{
        command::CommandError,
        ehlo::{self, Offer},
        line::MAX_COMMAND_LINE,
    },
};

/// A reply that needs nothing but its name.
struct Fixed {
    code: u16,
    enhanced: EnhancedCode,
    text: &'static str,
    /// Name of the check, for those that refuse.
    check: &'static str,
}

const fn fixed(code: u16, enhanced: EnhancedCode, text: &'static str, check: &'static str) -> Option<Fixed> {
    Some(Fixed { code, enhanced, text, check })
}

impl Say {
    /// `None` when the words depend on the session.
    const fn fixed(self) -> Option<Fixed> {
        match self {
            Self::Given
            | Self::Banner
            | Self::Hello
            | Self::Stored
            | Self::StartContent
            | Self::Challenge => None,
            Self::SenderOk => fixed(250, EnhancedCode(2, 1, 0), "sender ok", ""),
            Self::RecipientOk => fixed(250, EnhancedCode(2, 1, 5), "recipient ok", ""),
            Self::ResetOk | Self::NoopOk | Self::ChunkOk => fixed(250, EnhancedCode(2, 0, 0), "ok", ""),
            // RFC 5321 7.3: the same answer for every name.
            Self::VrfyUnsure => fixed(
                252,
                EnhancedCode(2, 0, 0),
                "cannot verify, but will take mail for valid recipients",
                "",
            ),
            Self::HelpText => fixed(
                214,
                EnhancedCode(2, 0, 0),
                "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT",
                "",
            ),
            Self::Bye => fixed(221, EnhancedCode(2, 0, 0), "bye", ""),
            Self::TalkedEarly => fixed(
                554,
                EnhancedCode(5, 5, 0),
                "you talked before you were greeted; closing connection",
                "smtp.early-talker",
            ),
            Self::ExpnOff => {
                fixed(502, EnhancedCode(5, 5, 1), "EXPN is not available", "smtp.not-implemented")
            }
            Self::StartTlsOk => fixed(220, EnhancedCode(2, 0, 0), "ready for TLS", ""),
            Self::StartTlsOff => {
                fixed(502, EnhancedCode(5, 5, 1), "TLS is not available", "smtp.not-implemented")
            }
            Self::Authenticated => fixed(235, EnhancedCode(2, 7, 0), "authentication succeeded", ""),
            Self::AuthUnknown => {
                fixed(504, EnhancedCode(5, 5, 4), "mechanism is not offered", "smtp.auth-mechanism")
            }
            Self::AuthUnsafe => {
                fixed(538, EnhancedCode(5, 7, 11), "encryption is required for this", "smtp.auth-plaintext")
            }
            Self::AuthMalformed => {
                fixed(501, EnhancedCode(5, 5, 2), "response cannot be decoded", "smtp.auth-syntax")
            }
            Self::AuthCancelled => {
                fixed(501, EnhancedCode(5, 7, 0), "authentication cancelled", "smtp.auth-cancelled")
            }
            Self::AuthTooLong => {
                fixed(500, EnhancedCode(5, 5, 6), "response is too long", "smtp.line-length")
            }
            Self::AuthRefused => {
                fixed(535, EnhancedCode(5, 7, 8), "authentication failed", "smtp.auth-login")
            }
            Self::AuthTooOften => fixed(
                421,
                EnhancedCode(4, 7, 0),
                "too many failed authentications; closing connection",
                "smtp.auth-failures",
            ),
            Self::AuthRequired => {
                fixed(530, EnhancedCode(5, 7, 0), "authentication required", "smtp.auth-required")
            }
            Self::AuthOff => fixed(503, EnhancedCode(5, 5, 1), "AUTH is not offered here", "smtp.sequence"),
            Self::BadSequence => {
                fixed(503, EnhancedCode(5, 5, 1), "bad sequence of commands", "smtp.sequence")
            }
            Self::NeedsBdat => {
                fixed(503, EnhancedCode(5, 5, 1), "BODY=BINARYMIME is sent by BDAT", "smtp.sequence")
            }
            Self::NoValidRecipients => {
                fixed(554, EnhancedCode(5, 5, 1), "no valid recipients", "smtp.sequence")
            }
            Self::TooBig => {
                fixed(552, EnhancedCode(5, 3, 4), "message is larger than this server allows", "smtp.size")
            }
            Self::NoRoom => {
                fixed(452, EnhancedCode(4, 3, 1), "no memory for this message now; try again", "smtp.memory")
            }
            Self::TooManyRecipients => {
                fixed(452, EnhancedCode(4, 5, 3), "too many recipients in one transaction", "smtp.recipients")
            }
            Self::BareNewlineInCommand => fixed(
                500,
                EnhancedCode(5, 5, 2),
                "a line ends with CR LF; closing connection",
                "smtp.bare-newline",
            ),
            Self::BareNewlineInContent => fixed(
                554,
                EnhancedCode(5, 6, 0),
                "content has a bare CR or LF, or a dot among NULs; closing connection",
                "smtp.bare-newline",
            ),
            Self::BareNewlineInChunk => fixed(
                554,
                EnhancedCode(5, 6, 0),
                "content has a bare CR or LF, or a dot among NULs",
                "smtp.bare-newline",
            ),
            Self::IdleTooLong => {
                fixed(421, EnhancedCode(4, 4, 2), "idle for too long; closing connection", "smtp.idle")
            }
            Self::TransactionTooLong => fixed(
                421,
                EnhancedCode(4, 4, 2),
                "transaction took too long; closing connection",
                "smtp.transaction-time",
            ),
            Self::TooManyErrors => {
                fixed(421, EnhancedCode(4, 7, 0), "too many errors; closing connection", "smtp.errors")
            }
            Self::Draining => {
                fixed(421, EnhancedCode(4, 3, 2), "service is shutting down; try again", "smtp.draining")
            }
            Self::Fault => {
                fixed(421, EnhancedCode(4, 3, 0), "internal error; closing connection", "smtp.fault")
            }
        }
    }

    /// Counts against [`SessionConfig::max_errors`]: the client does not speak SMTP well.
    pub(crate) const fn is_protocol_error(self) -> bool {
        match self {
            Self::AuthOff
            | Self::StartTlsOff
            | Self::AuthUnknown
            | Self::AuthUnsafe
            | Self::AuthMalformed
            | Self::AuthCancelled
            | Self::AuthTooLong
            | Self::AuthRequired
            | Self::BadSequence
            | Self::NeedsBdat
            | Self::ExpnOff => true,
            Self::Given
            | Self::Banner
            | Self::Hello
            | Self::SenderOk
            | Self::RecipientOk
            | Self::StartContent
            | Self::ChunkOk
            | Self::Stored
            | Self::ResetOk
            | Self::NoopOk
            | Self::VrfyUnsure
            | Self::HelpText
            | Self::StartTlsOk
            | Self::Challenge
            | Self::Authenticated
            | Self::AuthRefused
            | Self::AuthTooOften
            | Self::Bye
            | Self::TalkedEarly
            | Self::NoValidRecipients
            | Self::TooBig
            | Self::NoRoom
            | Self::TooManyRecipients
            | Self::BareNewlineInCommand
            | Self::BareNewlineInContent
            | Self::BareNewlineInChunk
            | Self::IdleTooLong
            | Self::TransactionTooLong
            | Self::TooManyErrors
            | Self::Draining
            | Self::Fault => false,
        }
    }

    pub(crate) fn refusal(self) -> Option<Refusal> {
        let Fixed { code, enhanced, check, .. } = self.fixed()?;
        (code >= 400).then_some(Refusal { code, enhanced, check })
    }
}

/// What a reply may need to know.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) config: &'a SessionConfig,
    pub(crate) has_extensions: bool,
    pub(crate) means: Means,
    pub(crate) may_name_client: bool,
    pub(crate) given: Option<&'a Reply>,
    pub(crate) queue_id: Option<QueueId>,
    pub(crate) challenge: &'a str,
}

/// Appends the octets of a reply. Writing to a `String` cannot fail.
pub(crate) fn render(say: Say, context: &Context<'_>, out: &mut String) {
    if let Some(Fixed { code, enhanced, text, .. }) = say.fixed() {
        let _ = write!(out, "{code} {enhanced} {text}\r\n");
        return;
    }
    let hostname = &context.config.hostname;
    match (say, context.queue_id, context.given) {
        // RFC 2034 4: no enhanced status in the banner, the reply to EHLO and 354.
        (Say::Banner, _, _) => _ = write!(out, "220 {}\r\n", context.config.banner),
        (Say::Hello, _, _) if context.has_extensions => {
            _ = write!(out, "{}", offer(context));
        }
        (Say::Hello, _, _) => _ = write!(out, "250 {hostname}\r\n"),
        (Say::Challenge, _, _) => _ = write!(out, "334 {}\r\n", context.challenge),
        (Say::StartContent, _, _) => out.push_str("354 end with <CRLF>.<CRLF>\r\n"),
        (Say::Stored, Some(queue_id), _) => _ = write!(out, "250 2.0.0 {queue_id}\r\n"),
        (_, _, Some(given)) => _ = write!(out, "{given}"),
        // Said by nobody: an event that has words always brings them along.
        (_, _, None) => out.push_str("451 4.3.0 internal error\r\n"),
    }
}

fn offer(context: &Context<'_>) -> Reply {
    let config = context.config;
    ehlo::offer(&Offer {
        hostname: &config.hostname,
        max_size: config.max_message_size,
        max_recipients: config.max_recipients,
        starttls: config.starttls && !context.means.is_secure,
        requiretls: config.requiretls && context.means.is_secure,
        auth: &auth::offered(&config.auth, context.means),
        xclient: context.may_name_client,
    })
}

/// The refusal of a line that is no command.
pub(crate) fn bad_command(error: CommandError) -> (Reply, Refusal) {
    let (code, enhanced) = error.code();
    // What the client wrote is not repeated, only what is wrong with it.
    let check = match error {
        CommandError::Unknown | CommandError::Arguments | CommandError::Parameter | CommandError::Chunk => {
            "smtp.syntax"
        }
        CommandError::Sender(_) | CommandError::Recipient(_) => "smtp.address",
        CommandError::NeedsSmtputf8 => "smtp.smtputf8",
    };
    (Reply::new(code, Some(enhanced), &error.to_string()), Refusal { code, enhanced, check })
}

pub(crate) fn long_line() -> (Reply, Refusal) {
    let (code, enhanced) = (500, EnhancedCode(5, 5, 2));
    let text = format!("command line is longer than {MAX_COMMAND_LINE} octets");
    (Reply::new(code, Some(enhanced), &text), Refusal { code, enhanced, check: "smtp.line-length" })
}

/// A chunk that would be read away for too long.
pub(crate) fn endless_chunk() -> (Reply, Refusal) {
    let (code, enhanced) = (552, EnhancedCode(5, 3, 4));
    let text = "chunk is far larger than this server allows; closing connection";
    (Reply::new(code, Some(enhanced), text), Refusal { code, enhanced, check: "smtp.size" })
}

/// We could not store a message: the client keeps it.
pub(crate) fn not_stored() -> Reply {
    Reply::new(451, Some(EnhancedCode(4, 3, 0)), "message was not stored; try again")
}

//! The parameters of `MAIL` and `RCPT` (RFC 5321 4.1.1.11).

use std::str::FromStr;

use hikyaku_types::{
    address::Mailbox,
    envelope::{BodyKind, Transfer},
    reporting::{OriginalRecipient, Reporting, from_xtext},
};

use super::command::{Allowed, CommandError};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParameters {
    pub size: Option<u64>,
    pub transfer: Transfer,
}

/// `rest` is what stands behind the path.
pub fn of_mail(rest: &[u8], allowed: Allowed) -> Result<MailParameters, CommandError> {
    let mut found = MailParameters::default();
    let (mut has_body, mut has_auth) = (false, false);
    for (keyword, value) in words(rest) {
        let is = |name: &str| keyword.eq_ignore_ascii_case(name.as_bytes());
        if is("SIZE") && found.size.is_none() {
            found.size = Some(size(value)?);
        } else if is("BODY") && !has_body {
            has_body = true;
            found.transfer.body = body(value)?;
        } else if is("SMTPUTF8") && value.is_none() && !found.transfer.smtputf8 {
            found.transfer.smtputf8 = true;
        } else if is("RET") && found.transfer.ret.is_none() {
            found.transfer.ret = Some(as_written(value)?);
        } else if is("ENVID") && found.transfer.envelope_id.is_none() {
            found.transfer.envelope_id = Some(as_written(value)?);
        } else if is("REQUIRETLS") && allowed.requiretls && value.is_none() && !found.transfer.require_tls {
            found.transfer.require_tls = true;
        } else if is("REQUIRETLS") && !allowed.requiretls {
            // RFC 8689 3: a parameter of sessions over TLS.
            return Err(CommandError::Parameter);
        } else if is("AUTH") && allowed.auth && !has_auth {
            // RFC 4954 5: whom another server says the message is from. It is trusted by nobody here.
            has_auth = true;
            is_submitter(value)?;
        } else if is("AUTH") && !allowed.auth {
            return Err(CommandError::Parameter);
        } else if ["AUTH", "SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "REQUIRETLS"].into_iter().any(is) {
            // Twice, or a value where none belongs.
            return Err(CommandError::Arguments);
        } else {
            return Err(unknown(keyword));
        }
    }
    Ok(found)
}

/// `smtputf8` says whether the transaction declared SMTPUTF8.
pub fn of_rcpt(rest: &[u8], smtputf8: bool) -> Result<Reporting, CommandError> {
    let mut found = Reporting::default();
    for (keyword, value) in words(rest) {
        let is = |name: &str| keyword.eq_ignore_ascii_case(name.as_bytes());
        if is("NOTIFY") && found.notify.is_none() {
            found.notify = Some(as_written(value)?);
        } else if is("ORCPT") && found.original_recipient.is_none() {
            // RFC 6533 3: beyond ASCII only where SMTPUTF8 was declared.
            let value = value.filter(|value| smtputf8 || value.is_ascii());
            let recipient = as_written(value).or_else(|error| {
                let text = value.filter(|_| smtputf8).and_then(|value| str::from_utf8(value).ok());
                text.and_then(OriginalRecipient::of_utf8_octets).ok_or(error)
            });
            found.original_recipient = Some(recipient?);
        } else if is("NOTIFY") || is("ORCPT") {
            return Err(CommandError::Arguments);
        } else {
            return Err(unknown(keyword));
        }
    }
    Ok(found)
}

fn as_written<T: FromStr>(value: Option<&[u8]>) -> Result<T, CommandError> {
    let text = value.and_then(|value| str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).ok_or(CommandError::Arguments)
}

fn words(rest: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    rest.split(|octet| *octet == b' ').filter(|word| !word.is_empty()).map(|word| {
        match word.iter().position(|octet| *octet == b'=') {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        }
    })
}

fn unknown(keyword: &[u8]) -> CommandError {
    let is_keyword = keyword.first().is_some_and(u8::is_ascii_alphanumeric)
        && keyword.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-');
    if is_keyword { CommandError::Parameter } else { CommandError::Arguments }
}

fn size(value: Option<&[u8]>) -> Result<u64, CommandError> {
    value.and_then(number).ok_or(CommandError::Arguments)
}

/// RFC 1870 5: one to twenty digits.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    let is_number = matches!(digits.len(), 1..=20) && digits.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(digits).ok().filter(|_| is_number)?;
    // Twenty digits may exceed 64 bits; that is above any limit all the same.
    Some(text.parse().unwrap_or(u64::MAX))
}

/// RFC 4954 5: `<>` or a mailbox, in xtext (RFC 3461 4).
fn is_submitter(value: Option<&[u8]>) -> Result<(), CommandError> {
    match value.and_then(|value| str::from_utf8(value).ok()).and_then(from_xtext) {
        Some(text) if text == "<>" || text.parse::<Mailbox>().is_ok() => Ok(()),
        Some(_) | None => Err(CommandError::Arguments),
    }
}

/// RFC 6152 and RFC 3030 3; other values belong to extensions that we do not offer.
fn body(value: Option<&[u8]>) -> Result<BodyKind, CommandError> {
    match value {
        Some(value) if value.eq_ignore_ascii_case(b"7BIT") => Ok(BodyKind::SevenBit),
        Some(value) if value.eq_ignore_ascii_case(b"8BITMIME") => Ok(BodyKind::EightBitMime),
        Some(value) if value.eq_ignore_ascii_case(b"BINARYMIME") => Ok(BodyKind::BinaryMime),
        Some(_) => Err(CommandError::Parameter),
        None => Err(CommandError::Arguments),
    }
}

#[cfg(test)]
mod tests;

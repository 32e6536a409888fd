//! The parameters of `MAIL` and `RCPT` (RFC 5321 4.1.1.11).

use hikyaku_types::envelope::Transfer;

use super::command::CommandError;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MailParameters {
    pub size: Option<u64>,
    pub transfer: Transfer,
}

/// `rest` is what stands behind the path.
pub fn of_mail(rest: &[u8]) -> Result<MailParameters, CommandError> {
    let mut found = MailParameters::default();
    let mut has_body = false;
    for (keyword, value) in words(rest) {
        let is = |name: &str| keyword.eq_ignore_ascii_case(name.as_bytes());
        if is("SIZE") && found.size.is_none() {
            found.size = Some(size(value)?);
        } else if is("BODY") && !has_body {
            has_body = true;
            found.transfer.eight_bit_mime = is_eight_bit(value)?;
        } else if is("SMTPUTF8") && value.is_none() && !found.transfer.smtputf8 {
            found.transfer.smtputf8 = true;
        } else if is("SIZE") || is("BODY") || is("SMTPUTF8") {
            // Twice, or SMTPUTF8 with a value.
            return Err(CommandError::Arguments);
        } else {
            return Err(unknown(keyword));
        }
    }
    Ok(found)
}

/// No extension that we offer has a parameter here.
pub fn of_rcpt(rest: &[u8]) -> Result<(), CommandError> {
    match words(rest).next() {
        None => Ok(()),
        Some((keyword, _)) => Err(unknown(keyword)),
    }
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

/// RFC 1870 5: one to twenty digits.
fn size(value: Option<&[u8]>) -> Result<u64, CommandError> {
    let digits = value.filter(|digits| matches!(digits.len(), 1..=20));
    let digits =
        digits.filter(|digits| digits.iter().all(u8::is_ascii_digit)).ok_or(CommandError::Arguments)?;
    let text = str::from_utf8(digits).map_err(|_| CommandError::Arguments)?;
    // Twenty digits may exceed 64 bits; that is above any limit all the same.
    Ok(text.parse().unwrap_or(u64::MAX))
}

/// RFC 6152; other values belong to extensions that we do not offer.
fn is_eight_bit(value: Option<&[u8]>) -> Result<bool, CommandError> {
    match value {
        Some(value) if value.eq_ignore_ascii_case(b"7BIT") => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"8BITMIME") => Ok(true),
        Some(_) => Err(CommandError::Parameter),
        None => Err(CommandError::Arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let with = |size, eight_bit_mime, smtputf8| {
            Ok(MailParameters { size, transfer: Transfer { eight_bit_mime, smtputf8 } })
        };
        for (rest, expected) in [
            ("", with(None, false, false)),
            ("  ", with(None, false, false)),
            (" SIZE=1000", with(Some(1000), false, false)),
            (" size=0  body=8bitmime smtputf8", with(Some(0), true, true)),
            (" BODY=7BIT", with(None, false, false)),
            (" SIZE=99999999999999999999", with(Some(u64::MAX), false, false)),
            (" SIZE", Err(CommandError::Arguments)),
            (" SIZE=", Err(CommandError::Arguments)),
            (" SIZE=-1", Err(CommandError::Arguments)),
            (" SIZE=+1", Err(CommandError::Arguments)),
            (" SIZE=1 SIZE=2", Err(CommandError::Arguments)),
            (" SIZE=111111111111111111111", Err(CommandError::Arguments)),
            (" BODY", Err(CommandError::Arguments)),
            (" BODY=7BIT BODY=7BIT", Err(CommandError::Arguments)),
            (" BODY=BINARYMIME", Err(CommandError::Parameter)),
            (" SMTPUTF8=1", Err(CommandError::Arguments)),
            (" RET=HDRS", Err(CommandError::Parameter)),
            (" AUTH=<>", Err(CommandError::Parameter)),
            (" =x", Err(CommandError::Arguments)),
            (" <b@c>", Err(CommandError::Arguments)),
        ] {
            assert_eq!(of_mail(rest.as_bytes()), expected, "{rest:?}");
        }
    }
}

//! The messages of SCRAM (RFC 5802 7), read strictly. Channel binding is not offered.

use std::borrow::Cow;

use crate::wire::sasl;

/// `client-first-message`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFirst {
    /// What came before the bare message; the client repeats it.
    gs2_header: String,
    pub(crate) authorization: Option<String>,
    pub(crate) user: String,
    bare: String,
    nonce: String,
}

/// Waiting for `client-final-message`.
#[derive(Debug)]
pub(crate) struct Challenged {
    gs2_header: String,
    nonce: String,
    /// `client-first-message-bare , server-first-message`.
    so_far: String,
}

/// What the client proves with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFinal {
    pub(crate) auth_message: String,
    pub(crate) proof: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The message cannot be read.
    Syntax,
    /// It can, and does not belong to this exchange.
    Mismatch,
}

impl ClientFirst {
    pub(crate) fn parse(message: &str) -> Option<Self> {
        let mut parts = message.splitn(3, ',');
        let (binding, authorization, bare) = (parts.next()?, parts.next()?, parts.next()?);
        // `p=...` asks for a binding that was not offered.
        if !matches!(binding, "n" | "y") {
            return None;
        }
        let authorization = match authorization {
            "" => None,
            given => Some(name(given.strip_prefix("a=")?)?),
        };
        let mut fields = bare.split(',');
        // `m=` comes first, and is an extension that nobody may ignore.
        let user = name(fields.next()?.strip_prefix("n=")?)?;
        let nonce = fields.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
        let gs2_header = message.get(..message.len() - bare.len())?.to_owned();
        Some(Self { gs2_header, authorization, user, bare: bare.to_owned(), nonce: nonce.to_owned() })
    }

    /// `server-first-message`, and what is to come.
    pub(crate) fn challenge(self, server_nonce: &str, salt: &[u8], iterations: u32) -> (String, Challenged) {
        let nonce = self.nonce + server_nonce;
        let server_first = format!("r={nonce},s={},i={iterations}", sasl::encode(salt));
        let so_far = format!("{},{server_first}", self.bare);
        (server_first, Challenged { gs2_header: self.gs2_header, nonce, so_far })
    }
}

impl Challenged {
    pub(crate) fn read(&self, message: &str) -> Result<ClientFinal, Wrong> {
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Wrong::Syntax)?;
        let proof = sasl::decode(proof.as_bytes()).map_err(|_| Wrong::Syntax)?;
        let mut fields = without_proof.split(',');
        let mut field = |key: &str| fields.next().and_then(|field| field.strip_prefix(key));
        let binding = field("c=").ok_or(Wrong::Syntax)?;
        let nonce = field("r=").ok_or(Wrong::Syntax)?;
        if binding != sasl::encode(&self.gs2_header) || nonce != self.nonce {
            return Err(Wrong::Mismatch);
        }
        let auth_message = format!("{},{without_proof}", self.so_far);
        Ok(ClientFinal { auth_message, proof: proof.to_vec() })
    }
}

/// `server-final-message`.
pub(crate) fn server_final(signature: &[u8]) -> String {
    format!("v={}", sasl::encode(signature))
}

/// `saslname`: `=2C` is a comma, `=3D` an equals sign.
fn name(text: &str) -> Option<String> {
    let is_escaped = |at: usize| matches!(text.get(at..at + 3), Some("=2C" | "=3D"));
    let all_escaped = text.match_indices('=').all(|(at, _)| is_escaped(at));
    let plain = if text.contains('=') {
        Cow::Owned(text.replace("=2C", ",").replace("=3D", "="))
    } else {
        Cow::Borrowed(text)
    };
    if all_escaped && !text.is_empty() { Some(plain.into_owned()) } else { None }
}

fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| matches!(octet, b'!'..=b'~') && octet != b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 3.
    #[test]
    fn the_example_of_rfc_7677() {
        let first = ClientFirst::parse("n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        assert_eq!((first.user.as_str(), &first.authorization), ("user", &None));
        let salt = sasl::decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let (server_first, challenged) = first.challenge("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", &salt, 4096);
        assert_eq!(
            server_first,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let without_proof = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let found = challenged.read(&format!("{without_proof},p={proof}")).unwrap();
        assert_eq!(found.proof, sasl::decode(proof.as_bytes()).unwrap().to_vec());
        assert_eq!(
            found.auth_message,
            format!("n=user,r=rOprNGfwEbeRWgbNEkqO,{server_first},{without_proof}")
        );
        let signature = sasl::decode(b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
        assert_eq!(server_final(&signature), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn first_messages() {
        let parsed = ClientFirst::parse("y,a=x=3Dy,n=a=2Cb,r=n,ext=1").unwrap();
        assert_eq!((parsed.authorization.as_deref(), parsed.user.as_str()), (Some("x=y"), "a,b"));
        assert_eq!((parsed.gs2_header.as_str(), parsed.bare.as_str()), ("y,a=x=3Dy,", "n=a=2Cb,r=n,ext=1"));
        for message in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=,r=n",
            "n,,n=a",
            "n,,n=a,r=",
            "n,,n=a,r=\u{e9}",
            "n,,n=a=,r=n",
            "n,,n=a=2c,r=n",
            "n,,r=n,n=a",
            "n,,m=x,n=a,r=n",
            "n,x,n=a,r=n",
            "x,,n=a,r=n",
            "p=tls-exporter,,n=a,r=n",
        ] {
            assert_eq!(ClientFirst::parse(message), None, "{message:?}");
        }
    }

    #[test]
    fn final_messages() {
        let (_, challenged) = ClientFirst::parse("n,,n=a,r=n").unwrap().challenge("s", b"salt", 1);
        for (message, expected) in [
            ("c=biws,r=ns,p=AA==", Ok("n=a,r=n,r=ns,s=c2FsdA==,i=1,c=biws,r=ns")),
            ("c=biws,r=ns,x=1,p=AA==", Ok("n=a,r=n,r=ns,s=c2FsdA==,i=1,c=biws,r=ns,x=1")),
            // A nonce of another exchange; another header than at first (RFC 5802 6).
            ("c=biws,r=n,p=AA==", Err(Wrong::Mismatch)),
            ("c=eSws,r=ns,p=AA==", Err(Wrong::Mismatch)),
            ("c=biws,r=ns", Err(Wrong::Syntax)),
            ("c=biws,r=ns,p=A", Err(Wrong::Syntax)),
            ("r=ns,c=biws,p=AA==", Err(Wrong::Syntax)),
            ("", Err(Wrong::Syntax)),
        ] {
            let found = challenged.read(message).map(|found| found.auth_message);
            assert_eq!(found, expected.map(str::to_owned), "{message:?}");
        }
    }
}

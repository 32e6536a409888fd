//! The messages of SCRAM (RFC 5802 7), read strictly.

use std::borrow::Cow;

use crate::wire::sasl;

/// RFC 9266: what both ends of a connection of TLS 1.3 know, and nobody between them.
pub(crate) type Exporter = [u8; 32];

/// Whether the exchange belongs to its connection (RFC 5802 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    /// The client chose the mechanism that ends in -PLUS.
    Bound(Exporter),
    /// It could have, and did not.
    Unused,
    NotOffered,
}

/// `client-first-message`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFirst {
    /// What came before the bare message; the client repeats it.
    gs2_header: String,
    pub(crate) authorization: Option<String>,
    pub(crate) user: String,
    bare: String,
    nonce: String,
    exporter: Option<Exporter>,
}

/// Waiting for `client-final-message`.
#[derive(Debug)]
pub(crate) struct Challenged {
    gs2_header: String,
    exporter: Option<Exporter>,
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
    pub(crate) fn parse(message: &str, binding: Binding) -> Result<Self, Wrong> {
        let mut parts = message.splitn(3, ',');
        let flag = parts.next().unwrap_or_default();
        let exporter = match (flag, binding) {
            ("p=tls-exporter", Binding::Bound(exporter)) => Some(exporter),
            ("n", Binding::Unused | Binding::NotOffered) | ("y", Binding::NotOffered) => None,
            // The client did not see that there is a binding: somebody has cut the offer.
            ("y", Binding::Unused) => return Err(Wrong::Mismatch),
            (_, Binding::Bound(_) | Binding::Unused | Binding::NotOffered) => return Err(Wrong::Syntax),
        };
        Self::of(message, parts, exporter).ok_or(Wrong::Syntax)
    }

    fn of<'a>(
        message: &str,
        mut parts: impl Iterator<Item = &'a str>,
        exporter: Option<Exporter>,
    ) -> Option<Self> {
        let (authorization, bare) = (parts.next()?, parts.next()?);
        let authorization = match authorization {
            "" => None,
            given => Some(name(given.strip_prefix("a=")?)?),
        };
        let mut fields = bare.split(',');
        // `m=` comes first, and is an extension that nobody may ignore.
        let user = name(fields.next()?.strip_prefix("n=")?)?;
        let nonce = fields.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
        let gs2_header = message.get(..message.len() - bare.len())?.to_owned();
        Some(Self {
            gs2_header,
            authorization,
            user,
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
            exporter,
        })
    }

    /// `server-first-message`, and what is to come.
    pub(crate) fn challenge(self, server_nonce: &str, salt: &[u8], iterations: u32) -> (String, Challenged) {
        let nonce = self.nonce + server_nonce;
        let server_first = format!("r={nonce},s={},i={iterations}", sasl::encode(salt));
        let so_far = format!("{},{server_first}", self.bare);
        (server_first, Challenged { gs2_header: self.gs2_header, exporter: self.exporter, nonce, so_far })
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
        let mut expected = self.gs2_header.clone().into_bytes();
        expected.extend(self.exporter.iter().flatten());
        if binding != sasl::encode(expected) || nonce != self.nonce {
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

    fn parse(message: &str) -> Result<ClientFirst, Wrong> {
        ClientFirst::parse(message, Binding::NotOffered)
    }

    /// RFC 5802 6, RFC 9266: only the connection on which both began; who could bind and was not shown how is
    /// being deceived.
    #[test]
    fn an_exchange_is_bound_to_its_connection() {
        let bound = Binding::Bound([7; 32]);
        let parse = |flag: &str, binding| ClientFirst::parse(&format!("{flag},,n=a,r=n"), binding);
        for (flag, binding, expected) in [
            ("y", Binding::Unused, Wrong::Mismatch),
            ("p=tls-exporter", Binding::Unused, Wrong::Syntax),
            ("p=tls-exporter", Binding::NotOffered, Wrong::Syntax),
            ("p=tls-unique", bound, Wrong::Syntax),
            ("n", bound, Wrong::Syntax),
            ("y", bound, Wrong::Syntax),
        ] {
            assert_eq!(parse(flag, binding), Err(expected), "{flag} {binding:?}");
        }
        assert!(parse("n", Binding::Unused).is_ok());
        let final_of = |exporter: [u8; 32]| {
            let (_, challenged) = parse("p=tls-exporter", bound).unwrap().challenge("s", b"salt", 1);
            let mut header = b"p=tls-exporter,,".to_vec();
            header.extend(exporter);
            challenged.read(&format!("c={},r=ns,p=AA==", sasl::encode(header)))
        };
        assert!(final_of([7; 32]).is_ok());
        assert_eq!(final_of([8; 32]), Err(Wrong::Mismatch), "another connection");
        let (_, challenged) = parse("p=tls-exporter", bound).unwrap().challenge("s", b"salt", 1);
        let header = sasl::encode("p=tls-exporter,,");
        assert_eq!(challenged.read(&format!("c={header},r=ns,p=AA==")), Err(Wrong::Mismatch));
    }

    /// RFC 7677 3.
    #[test]
    fn the_example_of_rfc_7677() {
        let first = parse("n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
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
        let parsed = parse("y,a=x=3Dy,n=a=2Cb,r=n,ext=1").unwrap();
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
            assert_eq!(parse(message), Err(Wrong::Syntax), "{message:?}");
        }
    }

    #[test]
    fn final_messages() {
        let (_, challenged) = parse("n,,n=a,r=n").unwrap().challenge("s", b"salt", 1);
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

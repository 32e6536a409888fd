//! The secret of a login, read with each session: a new one counts for the next session (SEED-026).

use std::time::SystemTime;

use hikyaku_smtp::client::Login;
use hikyaku_types::{destination::Destination, outcome::Failure, traffic::LoginName};
use secrecy::{SecretString, zeroize::Zeroizing};

use crate::{config::LoginConfig, context::Context, outcome::classify};

/// What is wrong with a login is for the log; the sender hears only that the relay cannot use it.
pub(crate) async fn read(
    context: &Context,
    destination: &Destination,
    name: &LoginName,
) -> Result<Login, Failure> {
    let Some(config) = context.config.logins.get(name) else {
        tracing::warn!(login = %name, %destination,
            "the traffic rules name a login that this worker does not have; its mail waits");
        let what = format!("the relay has no login {name}");
        return Err(classify::misconfigured(what, SystemTime::now()));
    };
    match secret(config).await {
        Ok(secret) => Ok(Login { user: config.user.clone(), secret, mechanism: config.mechanism }),
        Err(error) => {
            tracing::warn!(login = %name, %destination, file = %config.password_file.display(), error,
                "the secret of a login cannot be used; its mail waits");
            let what = format!("the relay has no secret for login {name}");
            Err(classify::misconfigured(what, SystemTime::now()))
        }
    }
}

/// The first line of the file.
async fn secret(config: &LoginConfig) -> Result<SecretString, String> {
    let octets = tokio::fs::read(&config.password_file).await.map_err(|error| error.to_string())?;
    let octets = Zeroizing::new(octets);
    let text = str::from_utf8(&octets).map_err(|_| "it is not UTF-8".to_owned())?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() || line.contains('\0') {
        return Err("its first line is no secret".to_owned());
    }
    Ok(SecretString::from(line))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[tokio::test]
    async fn seed_026_the_first_line_is_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let password_file = folder.path().join("secret");
        let config = LoginConfig { user: "u".to_owned(), password_file, mechanism: None };
        assert!(secret(&config).await.is_err(), "there is no file");
        for (content, read) in [
            ("s3cret\n", Some("s3cret")),
            ("a b\r\nc\n", Some("a b")),
            ("\nx", None),
            ("", None),
            ("a\0b", None),
        ] {
            std::fs::write(&config.password_file, content).unwrap();
            let found = secret(&config).await.ok();
            assert_eq!(found.as_ref().map(|secret| secret.expose_secret()), read, "{content:?}");
        }
    }
}

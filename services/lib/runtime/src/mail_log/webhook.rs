//! Lines to a web server: one POST for each batch, as JSON lines.

use std::{fmt, path::PathBuf, time::Duration};

use bytes::Bytes;
use reqwest::{
    Client, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
    redirect::Policy,
};
use rustls::ClientConfig;

use crate::{error_chain::chain, tls::trust};

const TIMEOUT: Duration = Duration::from_secs(20);
/// The same for a batch that is sent again: a receiver that keeps it takes none twice.
const ID: &str = "idempotency-key";

#[derive(Clone)]
pub struct WebhookConfig {
    /// https, or http to this machine. Receivers have secrets in it, so it is never shown whole.
    pub url: String,
    /// Its first line is shown as a bearer token; read for each batch.
    pub token_file: Option<PathBuf>,
    /// Authorities of the server's certificate; absent: those of the system.
    pub ca: Option<PathBuf>,
}

impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig").field("host", &host(&self.url)).finish_non_exhaustive()
    }
}

/// As much of it as anybody may see.
fn host(url: &str) -> String {
    let url = url.parse::<Url>().ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("it is no URL")]
    Url,
    #[error("a URL with a user and a password: use webhook_token_file")]
    Login,
    #[error("lines of the mail log hold addresses: the way to {0:?} must be https, or lead to this machine")]
    InTheClear(String),
    #[error(transparent)]
    Authorities(#[from] crate::tls::CertificateError),
    #[error("failed to set up HTTP")]
    Http(#[source] reqwest::Error),
}

/// Why, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// The same may be taken another time.
    Later(String),
    /// These lines are never taken.
    Refused(String),
    /// These lines are not wanted, or we are not.
    Unclear(String),
}

pub struct Webhook {
    client: Client,
    url: Url,
    token_file: Option<PathBuf>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
}

impl Webhook {
    pub fn new(config: WebhookConfig) -> Result<Self, WebhookError> {
        let url: Url = config.url.parse().map_err(|_| WebhookError::Url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookError::Login);
        }
        let is_here = match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        match url.scheme() {
            "https" => {}
            "http" if is_here => {}
            _ => return Err(WebhookError::InTheClear(host(&config.url))),
        }
        let roots = match &config.ca {
            Some(file) => trust::authorities(file)?,
            None => trust::of_system(),
        };
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .user_agent("hikyaku")
            .build()
            .map_err(WebhookError::Http)?;
        Ok(Self { client, url, token_file: config.token_file })
    }

    /// Every answer 2yz means taken. The reason of anything else names no secret.
    pub async fn post(&self, id: &str, lines: Bytes) -> Result<(), NotTaken> {
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(ID, id)
            .body(lines);
        if let Some(file) = &self.token_file {
            let shown = file.display();
            let text = tokio::fs::read_to_string(file)
                .await
                .map_err(|error| NotTaken::Later(format!("{shown}: {error}")))?;
            let token = text.lines().next().unwrap_or_default().trim();
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| NotTaken::Later(format!("{shown}: not a token")))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let failed = |error: reqwest::Error| NotTaken::Later(chain(&error.without_url()).to_string());
        judge(request.send().await.map_err(failed)?.status())
    }
}

/// What is wrong with our login, with the way there or with the server is wrong with all lines, so they wait until
/// that is mended.
fn judge(status: StatusCode) -> Result<(), NotTaken> {
    let reason = format!("the server answered {status}");
    match status.as_u16() {
        200..=299 => Ok(()),
        // Too large.
        413 => Err(NotTaken::Refused(reason)),
        401 | 402 | 404 | 405 | 407..=410 | 421 | 423..=425 | 429 => Err(NotTaken::Later(reason)),
        // 400, 403 and 422 among them: a guard or a reader that does not like a line, or a token that is not known any
        // more, a mistyped index, a proxy that answers so to everything.
        400..=499 => Err(NotTaken::Unclear(reason)),
        _ => Err(NotTaken::Later(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_do_not_travel_in_the_clear() {
        crate::crypto::install();
        let open =
            |url: &str| Webhook::new(WebhookConfig { url: url.to_owned(), token_file: None, ca: None });
        for url in [
            "http://198.51.100.1/",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
            "ftp://localhost/",
        ] {
            assert!(matches!(open(url), Err(WebhookError::InTheClear(_))), "{url}");
        }
        for url in ["https://siem.example/", "http://127.0.0.1:8080/", "http://[::1]/", "http://localhost/"] {
            assert!(open(url).is_ok(), "{url}");
        }
        assert!(matches!(open("nowhere"), Err(WebhookError::Url)));
        assert!(matches!(open("https://ann:secret@siem.example/"), Err(WebhookError::Login)));
        let url = "https://siem.example/in?key=secret".to_owned();
        let shown = format!("{:?}", WebhookConfig { url, token_file: None, ca: None });
        assert!(shown.contains("siem.example") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn only_what_is_about_lines_is_for_ever() {
        let judged = |status: u16| judge(StatusCode::from_u16(status).unwrap());
        let reason = |status: &str| format!("the server answered {status}");
        assert_eq!(judged(204), Ok(()));
        assert_eq!(judged(413), Err(NotTaken::Refused(reason("413 Payload Too Large"))));
        assert_eq!(judged(403), Err(NotTaken::Unclear(reason("403 Forbidden"))));
        assert_eq!(judged(301), Err(NotTaken::Later(reason("301 Moved Permanently"))));
        for status in [401, 404, 408, 409, 410, 425, 429, 500, 503] {
            assert!(matches!(judged(status), Err(NotTaken::Later(_))), "{status}");
        }
        for status in [400, 406, 415, 418, 422, 451] {
            assert!(matches!(judged(status), Err(NotTaken::Unclear(_))), "{status}");
        }
    }
}

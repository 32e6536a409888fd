//! Servers of a company's directory, asked by LDAP (RFC 4511): does a recipient exist, is a password right
//! (SEED-236). The only module that knows the protocol.

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc, time::Duration};

use hikyaku_queue::recipients::Existence;
use hikyaku_runtime::{
    error_chain::chain,
    tls::{CertificateError, trusting},
};
use hikyaku_types::address::Mailbox;
use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchOptions, ldap_escape,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    sync::{Mutex, Semaphore},
    time::Instant,
};

/// RFC 4511 appendix A.
const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const NO_SUCH_OBJECT: u32 = 32;
/// What a server says of a password that is wrong, or right and not good for anything:
/// constraintViolation, noSuchObject, inappropriateAuthentication, invalidCredentials,
/// insufficientAccessRights, unwillingToPerform.
const REFUSALS: [u32; 6] = [19, NO_SUCH_OBJECT, 48, 49, 50, 53];
/// Of one server; a login takes two connections.
const LOGINS_AT_ONCE: usize = 8;
/// No attributes (RFC 4511 4.5.1.8).
const NOTHING: [&str; 1] = ["1.1"];

#[derive(Debug, Clone)]
pub struct LdapConfig {
    /// By which the document `sources` names it.
    pub name: String,
    /// `ldaps://host`, or `ldap://host`.
    pub url: String,
    /// TLS within the connection of `ldap://`.
    pub starttls: bool,
    /// Authorities that may have issued the server's certificate; absent: those of the system.
    pub ca: Option<PathBuf>,
    /// Who searches; absent: anonymous.
    pub bind: Option<LdapBind>,
    /// Below which entry is searched.
    pub base: String,
    /// Filters (RFC 4515) in which `{address}`, `{local}` and `{domain}` are replaced.
    pub recipient_filter: String,
    pub login_filter: String,
    /// Of connecting, and of each question.
    pub timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct LdapBind {
    pub dn: String,
    /// Read with each connection.
    pub password_file: PathBuf,
}

/// It says nothing of who was asked about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LdapUnavailable {
    #[error("there is no LDAP server {0:?}")]
    NotConfigured(String),
    #[error("failed to read {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("LDAP server {name}")]
    Authority {
        name: String,
        #[source]
        source: Box<CertificateError>,
    },
    #[error("LDAP server {name}: no answer within {limit:?}")]
    Late { name: String, limit: Duration },
    #[error("LDAP server {name}")]
    Failed {
        name: String,
        #[source]
        source: Box<LdapError>,
    },
    #[error("LDAP server {name}: {why}, a moment ago")]
    Down { name: String, why: String },
    #[error("LDAP server {name} answers {code}: {text}")]
    Refused { name: String, code: u32, text: String },
    #[error("LDAP server {name} has several entries for one login; login_filter must find one")]
    Ambiguous { name: String },
}

/// A handle; clones share the connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct LdapServers(Arc<HashMap<String, LdapServer>>);

impl LdapServers {
    pub(crate) fn new(configs: Vec<LdapConfig>) -> Self {
        let server = |config: LdapConfig| (config.name.clone(), LdapServer::new(config));
        Self(Arc::new(configs.into_iter().map(server).collect()))
    }

    /// Whether an entry has this address.
    pub(crate) async fn knows(&self, server: &str, address: &Mailbox) -> Result<Existence, LdapUnavailable> {
        let server = self.server(server)?;
        let found = server.find(&server.config.recipient_filter, address).await?;
        Ok(if found.is_empty() { Existence::Unknown } else { Existence::Exists })
    }

    /// Whether the entry that is found for this address takes this password. One that does not exist
    /// costs as much.
    pub(crate) async fn is_password(
        &self,
        server: &str,
        address: &Mailbox,
        password: &SecretString,
    ) -> Result<bool, LdapUnavailable> {
        let server = self.server(server)?;
        let found = server.find(&server.config.login_filter, address).await?;
        let name = format!("cn=nobody-{}", rand::random::<u64>());
        let base = &server.config.base;
        let nobody = if base.is_empty() { name } else { format!("{name},{base}") };
        let (dn, exists) = match &found[..] {
            [] => (&nobody, false),
            [dn] => (dn, true),
            [_, _, ..] => return Err(LdapUnavailable::Ambiguous { name: server.config.name.clone() }),
        };
        // RFC 4513 5.1.2: a name without a password is a bind that proves nothing, and succeeds.
        if password.expose_secret().is_empty() {
            return Ok(false);
        }
        match server.takes(dn, password).await {
            // Whatever a server says of a name that nobody has, it is no fault that a name which somebody has
            // would not have had.
            Err(LdapUnavailable::Refused { .. }) if !exists => Ok(false),
            taken => Ok(taken? && exists),
        }
    }

    /// The turns of logins at this server.
    pub(crate) fn logins(&self, server: &str) -> Option<Arc<Semaphore>> {
        self.0.get(server).map(|server| Arc::clone(&server.logins))
    }

    fn server(&self, name: &str) -> Result<&LdapServer, LdapUnavailable> {
        self.0.get(name).ok_or_else(|| LdapUnavailable::NotConfigured(name.to_owned()))
    }
}

#[derive(Debug)]
struct LdapServer {
    config: LdapConfig,
    searching: Mutex<Searching>,
    /// Each login waits for its server; others need not wait for it.
    logins: Arc<Semaphore>,
}

/// The connection for searches.
#[derive(Debug, Default)]
struct Searching {
    connection: Option<Ldap>,
    /// When and why there was none.
    failed: Option<(Instant, String)>,
}

impl LdapServer {
    fn new(config: LdapConfig) -> Self {
        Self { config, searching: Mutex::default(), logins: Arc::new(Semaphore::new(LOGINS_AT_ONCE)) }
    }

    /// The names of at most two entries, within the time of one question.
    async fn find(&self, filter: &str, address: &Mailbox) -> Result<Vec<String>, LdapUnavailable> {
        let (name, limit) = (&self.config.name, self.config.timeout);
        let late = |_| LdapUnavailable::Late { name: name.clone(), limit };
        tokio::time::timeout(limit, self.find_out(filter, address)).await.map_err(late)?
    }

    /// A connection that was idle may have ended: then once more.
    async fn find_out(&self, filter: &str, address: &Mailbox) -> Result<Vec<String>, LdapUnavailable> {
        let filter = filled(filter, address);
        let (connection, was_kept) = self.connection().await?;
        match self.search(connection, &filter).await {
            Err(LdapUnavailable::Failed { .. }) if was_kept => {
                self.searching.lock().await.connection = None;
                let (connection, _) = self.connection().await?;
                self.search(connection, &filter).await
            }
            found => {
                if found.is_err() {
                    self.searching.lock().await.connection = None;
                }
                found
            }
        }
    }

    async fn connection(&self) -> Result<(Ldap, bool), LdapUnavailable> {
        let asked = Instant::now();
        let mut searching = self.searching.lock().await;
        if let Some(connection) = &mut searching.connection
            && !connection.is_closed()
        {
            return Ok((connection.clone(), true));
        }
        // Who waited for an attempt that failed has its answer.
        if let Some((at, why)) = &searching.failed
            && *at >= asked
        {
            return Err(LdapUnavailable::Down { name: self.config.name.clone(), why: why.clone() });
        }
        match self.connect_as_searcher().await {
            Ok(connection) => {
                *searching = Searching { connection: Some(connection.clone()), failed: None };
                Ok((connection, false))
            }
            Err(error) => {
                searching.failed = Some((Instant::now(), chain(&error).to_string()));
                Err(error)
            }
        }
    }

    async fn connect_as_searcher(&self) -> Result<Ldap, LdapUnavailable> {
        let mut connection = self.connect().await?;
        let Some(LdapBind { dn, password_file }) = &self.config.bind else { return Ok(connection) };
        let text = fs::read_to_string(password_file)
            .map_err(|source| LdapUnavailable::File { path: password_file.clone(), source })?;
        let password = SecretString::from(text.lines().next().unwrap_or_default());
        let bind = connection.with_timeout(self.config.timeout);
        let bound = self.answered(bind.simple_bind(dn, password.expose_secret()).await)?;
        if bound.rc == SUCCESS { Ok(connection) } else { Err(self.refused(&bound)) }
    }

    async fn search(&self, mut connection: Ldap, filter: &str) -> Result<Vec<String>, LdapUnavailable> {
        let search = connection
            .with_timeout(self.config.timeout)
            .with_search_options(SearchOptions::new().sizelimit(2));
        let answer = search.search(&self.config.base, Scope::Subtree, filter, NOTHING).await;
        let ldap3::SearchResult(entries, result) = self.answered(answer)?;
        if !matches!(result.rc, SUCCESS | SIZE_LIMIT_EXCEEDED) {
            return Err(self.refused(&result));
        }
        let entries = entries.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
        Ok(entries.map(|entry| ldap3::SearchEntry::construct(entry).dn).collect())
    }

    /// On a connection of its own, because a bind changes who the connection is.
    async fn takes(&self, dn: &str, password: &SecretString) -> Result<bool, LdapUnavailable> {
        let mut connection = self.connect().await?;
        let bind = connection.with_timeout(self.config.timeout);
        let bound = self.answered(bind.simple_bind(dn, password.expose_secret()).await)?;
        let _ = connection.unbind().await; // it said what it had to say
        match bound.rc {
            SUCCESS => Ok(true),
            code if REFUSALS.contains(&code) => Ok(false),
            _ => Err(self.refused(&bound)),
        }
    }

    async fn connect(&self) -> Result<Ldap, LdapUnavailable> {
        let LdapConfig { url, starttls, ca, timeout, .. } = &self.config;
        let mut settings = LdapConnSettings::new().set_conn_timeout(*timeout).set_starttls(*starttls);
        if let Some(ca) = ca {
            let trust = trusting(ca).map_err(|source| {
                let (name, source) = (self.config.name.clone(), Box::new(source));
                LdapUnavailable::Authority { name, source }
            })?;
            settings = settings.set_config(trust);
        }
        let (connection, ldap) = self.answered(LdapConnAsync::with_settings(settings, url).await)?;
        let name = self.config.name.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, server = name, "connection of LDAP ended");
            }
        });
        Ok(ldap)
    }

    fn answered<T>(&self, answer: Result<T, LdapError>) -> Result<T, LdapUnavailable> {
        let name = self.config.name.clone();
        answer.map_err(|source| {
            if matches!(source, LdapError::Timeout { .. }) {
                LdapUnavailable::Late { name, limit: self.config.timeout }
            } else {
                LdapUnavailable::Failed { name, source: Box::new(source) }
            }
        })
    }

    fn refused(&self, result: &LdapResult) -> LdapUnavailable {
        LdapUnavailable::Refused {
            name: self.config.name.clone(),
            code: result.rc,
            text: result.text.clone(),
        }
    }
}

/// What a client sent stays a value, whatever is in it (RFC 4515 3).
fn filled(filter: &str, address: &Mailbox) -> String {
    let (text, host) = (address.to_string(), address.host().to_string());
    let values = [("{address}", text.as_str()), ("{local}", address.local_part()), ("{domain}", &host)];
    let mut filled = String::new();
    let mut rest = filter;
    // In one pass, so that nothing is replaced within a value.
    while let Some(place) = rest.find('{') {
        filled += &rest[..place];
        rest = &rest[place..];
        match values.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => {
                filled += &ldap_escape(*value);
                rest = &rest[name.len()..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_is_a_value_in_the_filter() {
        let filter = "(&(mail={address})(uid={local})(o={domain}))";
        assert_eq!(filled(filter, &"ann@d.jp".parse().unwrap()), "(&(mail=ann@d.jp)(uid=ann)(o=d.jp))");
        let hostile: Mailbox = "\"*)(uid=*\"@d.jp".parse().unwrap();
        assert_eq!(filled("(mail={address})", &hostile), "(mail=\"\\2a\\29\\28uid=\\2a\"@d.jp)");
        let nested: Mailbox = "\"{domain}\"@d.jp".parse().unwrap();
        assert_eq!(filled("(mail={address})", &nested), "(mail=\"{domain}\"@d.jp)");
    }
}

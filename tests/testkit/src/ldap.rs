//! A company's directory: OpenLDAP's slapd with entries of a test.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::{certificates::PairFiles, eventually::eventually, peers::Skipped, port};

pub const BASE: &str = "dc=example,dc=org";
/// Who may search, with [`PASSWORD`].
pub const SEARCHER: &str = "cn=relay,dc=example,dc=org";
pub const PASSWORD: &str = "searching-1";
const LISTENS: Duration = Duration::from_secs(10);

/// A person; without a password nobody can log in as them.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    pub name: &'a str,
    pub mail: &'a [&'a str],
    pub password: Option<&'a str>,
}

pub struct LdapServer {
    folder: TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

impl LdapServer {
    /// With STARTTLS when there is a certificate. Nobody finds anything without a bind.
    pub async fn start(
        people: &[Person<'_>],
        certificate: Option<&PairFiles>,
    ) -> anyhow::Result<Result<Self, Skipped>> {
        let program = Path::new("/usr/sbin/slapd");
        if !program.exists() {
            return Ok(Err(format!("no {}; tests/get-peers installs it", program.display())));
        }
        let folder = tempfile::tempdir()?;
        let path = folder.path().display();
        fs::create_dir(folder.path().join("data"))?;
        let tls = certificate.map_or_else(String::new, |pair| {
            let PairFiles { certificate, key } = pair;
            format!("TLSCertificateFile {}\nTLSCertificateKeyFile {}\n", certificate.display(), key.display())
        });
        let config = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             pidfile {path}/pid\n{tls}database mdb\nmaxsize 10485760\nsuffix {BASE:?}\n\
             directory {path}/data\nindex mail eq\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by dn.exact={SEARCHER:?} read by * none\n"
        );
        fs::write(folder.path().join("slapd.conf"), config)?;
        fs::write(folder.path().join("entries"), entries(people))?;
        let filled = Command::new("/usr/sbin/slapadd")
            .arg("-f")
            .arg(folder.path().join("slapd.conf"))
            .arg("-l")
            .arg(folder.path().join("entries"))
            .output()?;
        anyhow::ensure!(filled.status.success(), "slapadd: {}", String::from_utf8_lossy(&filled.stderr));
        let address = port::unused()?;
        let mut server = Self { folder, address, child: None };
        server.resume().await?;
        Ok(Ok(server))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A file with the searcher's password.
    pub fn password_file(&self) -> anyhow::Result<std::path::PathBuf> {
        let path = self.folder.path().join("password");
        fs::write(&path, PASSWORD)?;
        Ok(path)
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill(); // it may have ended
            let _ = child.wait();
        }
    }

    /// At the same address as before.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        let child = Command::new("/usr/sbin/slapd")
            .arg("-f")
            .arg(self.folder.path().join("slapd.conf"))
            .args(["-h", &format!("ldap://{}", self.address), "-d", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("slapd")?;
        self.child = Some(child);
        let address = self.address;
        eventually(LISTENS, async || {
            tokio::net::TcpStream::connect(address).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Ok(())
    }
}

impl Drop for LdapServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn entries(people: &[Person<'_>]) -> String {
    let mut text = format!(
        "dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n\n\
         dn: {SEARCHER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: relay\n\
         userPassword: {PASSWORD}\n\n"
    );
    for Person { name, mail, password } in people {
        text += &format!("dn: cn={name},{BASE}\nobjectClass: inetOrgPerson\ncn: {name}\nsn: {name}\n");
        for address in *mail {
            text += &format!("mail: {address}\n");
        }
        if let Some(password) = password {
            text += &format!("userPassword: {password}\n");
        }
        text.push('\n');
    }
    text
}

//! Real mail servers as next hops: Postfix and Exim, each with a folder and a configuration
//! of its own. They drop their rights to users of theirs, so they need root.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::{certificates::PairFiles, eventually::eventually, port};

const LISTENS: Duration = Duration::from_secs(10);

/// A server that accepts mail for everybody and writes it into one file.
pub struct Peer {
    folder: TempDir,
    address: SocketAddr,
    process: Process,
    /// A program that the server asks.
    asks: Option<Child>,
}

enum Process {
    Child(Child),
    Postfix,
}

/// A SOCKS5 proxy (microsocks) that connects from an address of its own.
pub struct Socks {
    child: Child,
    address: SocketAddr,
}

impl Socks {
    pub async fn from(own: IpAddr) -> anyhow::Result<Result<Self, Skipped>> {
        let program = Path::new("/usr/bin/microsocks");
        if !program.exists() {
            return Ok(Err(format!("no {}; tests/get-peers installs it", program.display())));
        }
        let address = port::unused()?;
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let mut command = Command::new(program);
        command.args(["-i", &ip, "-p", &port, "-b", &own.to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let proxy = Self { child, address };
        eventually(LISTENS, async || {
            tokio::net::TcpStream::connect(address).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Ok(Ok(proxy))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Socks {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

/// Why a peer cannot be had here; the test says it and passes.
pub type Skipped = String;

impl Peer {
    pub fn exim() -> anyhow::Result<Result<Self, Skipped>> {
        Self::exim_with(|_| Ok(String::new()), "accept")
    }

    /// A smart host: who has shown this login may send, and AUTH is offered over TLS only.
    pub fn exim_for(user: &str, secret: &str, pair: &PairFiles) -> anyhow::Result<Result<Self, Skipped>> {
        let settings = |data: &Path| {
            fs::copy(&pair.certificate, data.join("crt"))?;
            fs::copy(&pair.key, data.join("key"))?;
            let path = data.display();
            Ok(format!(
                "tls_advertise_hosts = *\ntls_certificate = {path}/crt\ntls_privatekey = {path}/key\n\
                 auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}\n\
                 begin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n\
                 \x20 server_prompts = :\n  server_set_id = $auth2\n\
                 \x20 server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{secret}}}}}}}}}\n\
                 login:\n  driver = plaintext\n  public_name = LOGIN\n\
                 \x20 server_prompts = Username:: : Password::\n  server_set_id = $auth1\n\
                 \x20 server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{secret}}}}}}}}}\n\
                 cram:\n  driver = cram_md5\n  public_name = CRAM-MD5\n  server_set_id = $auth1\n\
                 \x20 server_secret = ${{if eq{{$auth1}}{{{user}}}{{{secret}}}fail}}\n"
            ))
        };
        Self::exim_with(settings, "require authenticated = *\n  accept")
    }

    /// `settings` gets the folder of the server's user and says more of the configuration; `rcpt` is the
    /// answer to RCPT.
    fn exim_with(
        settings: impl FnOnce(&Path) -> anyhow::Result<String>,
        rcpt: &str,
    ) -> anyhow::Result<Result<Self, Skipped>> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local/exim/usr/sbin/exim4");
        if let Some(reason) = missing(&program)? {
            return Ok(Err(reason));
        }
        let (folder, address) = (folder()?, port::unused()?);
        // Exim starts itself again as its own user, who may not see the folder of a checkout.
        let own_program = folder.path().join("exim4");
        fs::copy(program, &own_program)?;
        let program = own_program;
        // Exim refuses a configuration that it could change itself.
        let data = folder.path().join("mail");
        fs::create_dir(&data)?;
        let settings = settings(&data)?;
        own(&data, "Debian-exim")?;
        let path = data.display();
        let config = format!(
            "exim_path = {}\nprimary_hostname = inner.test\nspool_directory = {path}/spool\n\
             log_file_path = {path}/%slog\npid_file_path = {path}/pid\n\
             daemon_smtp_ports = {}\nlocal_interfaces = 127.0.0.1\nacl_smtp_rcpt = everybody\n\
             {settings}begin acl\neverybody:\n  {rcpt}\n\
             begin routers\nall:\n  driver = accept\n  transport = file\n\
             begin transports\nfile:\n  driver = appendfile\n  file = {path}/box\n  user = Debian-exim\n",
            program.display(),
            address.port()
        );
        let file = folder.path().join("exim.conf");
        fs::write(&file, config)?;
        let child = Command::new(program)
            .arg("-C")
            .arg(file)
            .arg("-bdf")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Ok(Self { folder, address, process: Process::Child(child), asks: None }))
    }

    pub fn postfix() -> anyhow::Result<Result<Self, Skipped>> {
        Self::postfix_knowing("static:mail/box")
    }

    /// For own.test and off.test. `level` is that of smtpd_tls_security_level: `may` or `encrypt`.
    pub fn postfix_over_tls(pair: &PairFiles, level: &str) -> anyhow::Result<Result<Self, Skipped>> {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        let settings = format!(
            "smtpd_tls_security_level = {level}\nsmtpd_tls_cert_file = {certificate}\n\
             smtpd_tls_key_file = {key}\nsmtpd_tls_received_header = yes\nsmtpd_client_connection_count_limit = 0\n\
             virtual_mailbox_domains = own.test, off.test\n"
        );
        Self::postfix_with("static:mail/box", &settings, port::unused()?, "")
    }

    /// Without a word in the clear (RFC 8314 3.3).
    pub fn postfix_at_once_over_tls(
        address: SocketAddr,
        pair: &PairFiles,
    ) -> anyhow::Result<Result<Self, Skipped>> {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        let settings = format!(
            "smtpd_tls_cert_file = {certificate}\nsmtpd_tls_key_file = {key}\nsmtpd_tls_received_header = yes\n"
        );
        Self::postfix_with("static:mail/box", &settings, address, " -o smtpd_tls_wrappermode=yes")
    }

    /// Who it does not know has to come again after so many seconds (postgrey); `known` gets mail at once.
    pub async fn greylisting_postfix(seconds: u32, known: &str) -> anyhow::Result<Result<Self, Skipped>> {
        let program = Path::new("/usr/sbin/postgrey");
        if let Some(reason) = missing(program)? {
            return Ok(Err(reason));
        }
        let greylist = port::unused()?;
        let settings = format!("smtpd_recipient_restrictions = check_policy_service inet:{greylist}\n");
        let mut peer = match Self::postfix_with("static:mail/box", &settings, port::unused()?, "")? {
            Ok(peer) => peer,
            Err(reason) => return Ok(Err(reason)),
        };
        let data = peer.folder.path().join("postgrey");
        fs::create_dir(&data)?;
        fs::write(data.join("known"), format!("{known}\n"))?;
        fs::write(data.join("nobody"), "")?;
        own(&data, "postgrey")?;
        let option = |name: &str, file: &str| format!("--{name}={}", data.join(file).display());
        let mut command = Command::new(program);
        command.args([format!("--inet={greylist}"), format!("--delay={seconds}"), option("dbdir", "")]);
        command.args([option("whitelist-recipients", "known"), option("whitelist-clients", "nobody")]);
        command.args([option("pidfile", "pid"), "--auto-whitelist-clients=0".to_owned()]);
        peer.asks = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        eventually(LISTENS, async || {
            tokio::net::TcpStream::connect(greylist).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Ok(Ok(peer))
    }

    /// With this map as the list of the recipients in own.test.
    pub fn postfix_knowing(recipients: &str) -> anyhow::Result<Result<Self, Skipped>> {
        Self::postfix_with(recipients, "", port::unused()?, "")
    }

    /// As Postfix was before it minded how a line ends (CVE-2023-51764): a bare LF will do, also around the
    /// final dot.
    pub fn careless_postfix() -> anyhow::Result<Result<Self, Skipped>> {
        let settings = "smtpd_forbid_bare_newline = no\nsmtpd_forbid_unauth_pipelining = no\n\
                        virtual_mailbox_domains = own.test, off.test\n";
        Self::postfix_with("static:mail/box", settings, port::unused()?, "")
    }

    /// `settings` are lines of main.cf, `options` those of the listener.
    fn postfix_with(
        recipients: &str,
        settings: &str,
        address: SocketAddr,
        options: &str,
    ) -> anyhow::Result<Result<Self, Skipped>> {
        let program = Path::new("/usr/sbin/postfix");
        if let Some(reason) = missing(program)? {
            return Ok(Err(reason));
        }
        let folder = folder()?;
        let path = folder.path().display();
        for name in ["config", "queue", "data", "mail"] {
            fs::create_dir(folder.path().join(name))?;
        }
        own(&folder.path().join("data"), "postfix")?;
        own(&folder.path().join("mail"), "nobody")?;
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {path}/queue\ndata_directory = {path}/data\n\
             myhostname = inner.test\nmydestination =\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
             virtual_mailbox_domains = own.test\nvirtual_mailbox_base = {path}\n\
             virtual_mailbox_maps = {recipients}\nvirtual_uid_maps = static:65534\n\
             virtual_gid_maps = static:65534\nmaillog_file = /var/log/hikyaku-test-postfix.log\n{settings}"
        );
        let master = format!(
            "{address} inet n - n - - smtpd{options}\ncleanup unix n - n - 0 cleanup\n\
             qmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - trivial-rewrite\n\
             bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\nanvil unix - - n - 1 anvil\n\
             virtual unix - n n - - virtual\nerror unix - - n - - error\nproxymap unix - - n - - proxymap\n\
             tlsmgr unix - - n 1000? 1 tlsmgr\npostlog unix-dgram n - n - 1 postlogd\n"
        );
        fs::write(folder.path().join("config/main.cf"), main)?;
        fs::write(folder.path().join("config/master.cf"), master)?;
        postfix(folder.path(), "start")?;
        Ok(Ok(Self { folder, address, process: Process::Postfix, asks: None }))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What Exim wrote of its sessions.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("mail/mainlog")).unwrap_or_default()
    }

    /// All that was delivered.
    pub fn mail(&self) -> String {
        fs::read_to_string(self.folder.path().join("mail/box")).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.asks {
            let _ = child.kill(); // it may have ended
            let _ = child.wait();
        }
        match &mut self.process {
            Process::Child(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Process::Postfix => {
                let _ = postfix(self.folder.path(), "stop");
            }
        }
    }
}

pub(crate) fn missing(program: &Path) -> anyhow::Result<Option<Skipped>> {
    if !program.exists() {
        return Ok(Some(format!("{} is not there; tests/get-peers gets it", program.display())));
    }
    let user = Command::new("id").arg("-u").output()?;
    Ok((user.stdout != b"0\n").then(|| "a mail server needs root to change to its own user".to_owned()))
}

/// Every user may pass through it.
pub(crate) fn folder() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir_in("/var/tmp")?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

pub(crate) fn own(path: &Path, user: &str) -> anyhow::Result<()> {
    let status = Command::new("chown").arg("-R").arg(user).arg(path).status()?;
    anyhow::ensure!(status.success(), "chown {user} {}", path.display());
    Ok(())
}

pub(crate) fn postfix(folder: &Path, verb: &str) -> anyhow::Result<()> {
    let config: PathBuf = folder.join("config");
    let output =
        Command::new("/usr/sbin/postfix").arg("-c").arg(config).arg(verb).output().context("postfix")?;
    anyhow::ensure!(output.status.success(), "postfix {verb}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

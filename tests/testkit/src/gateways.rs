//! Real mail servers between two of ours: what comes in by any of four ways goes out by any of four.
//! Mail for `plain.test`, `starttls.test`, `auth.test` and `implicit.test` goes to the relay by that
//! way; everything else goes to the sink.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::{
    certificates::PairFiles,
    peers::{Skipped, folder, missing, own, postfix},
    port,
};

mod passwords; // for a Postfix that asks

/// Where a server listens, by the way in.
#[derive(Debug, Clone, Copy)]
pub struct Doors {
    /// Nothing is offered that hides.
    pub plain: SocketAddr,
    /// STARTTLS must be used.
    pub starttls: SocketAddr,
    /// STARTTLS and AUTH must be used.
    pub auth: SocketAddr,
    /// TLS from the first octet.
    pub implicit: SocketAddr,
}

impl Doors {
    /// Free ports of this address, and its port 465.
    pub fn at(address: IpAddr) -> anyhow::Result<Self> {
        let free = || port::unused_at(address);
        Ok(Self { plain: free()?, starttls: free()?, auth: free()?, implicit: (address, 465).into() })
    }

    pub fn by_name(&self) -> [(&'static str, SocketAddr); 4] {
        [("plain", self.plain), ("starttls", self.starttls), ("auth", self.auth), ("implicit", self.implicit)]
    }
}

/// What the gateways have in common.
pub struct Surroundings {
    pub relay: Doors,
    /// The name in the relay's certificate.
    pub relay_name: &'static str,
    pub sink: SocketAddr,
    /// PEM of the authority.
    pub trusted: PathBuf,
    /// Of both sides. The user is an address.
    pub user: &'static str,
    pub secret: &'static str,
}

pub struct Gateway {
    doors: Doors,
    folder: TempDir,
    process: Process,
}

enum Process {
    Child(Child),
    Postfix,
}

impl Gateway {
    pub fn doors(&self) -> Doors {
        self.doors
    }

    /// What Postfix and Exim wrote of the deliveries, for who looks for a reason.
    pub fn log(&self) -> String {
        let path = match self.process {
            Process::Child(_) => self.folder.path().join("mail/mainlog"),
            Process::Postfix => self.folder.path().join("log"),
        };
        fs::read_to_string(path).unwrap_or_default()
    }

    pub fn postfix(
        doors: Doors,
        pair: &PairFiles,
        around: &Surroundings,
    ) -> anyhow::Result<Result<Self, Skipped>> {
        if let Some(reason) = missing(Path::new("/usr/sbin/postfix"))? {
            return Ok(Err(reason));
        }
        let folder = folder()?;
        for name in ["config", "queue", "data"] {
            fs::create_dir(folder.path().join(name))?;
        }
        own(&folder.path().join("data"), "postfix")?;
        let config = folder.path().join("config");
        let asked = passwords::known(around.user, around.secret)?;
        fs::write(config.join("transport"), routes(around))?;
        let logins = [around.relay.auth, around.relay.implicit];
        let logins = logins.map(|address| {
            format!("[{}]:{} {}:{}\n", address.ip(), address.port(), around.user, around.secret)
        });
        fs::write(config.join("logins"), logins.concat())?;
        fs::write(config.join("main.cf"), postfix_main(folder.path(), pair, asked, around))?;
        fs::write(config.join("master.cf"), postfix_master(doors, around.relay_name))?;
        postfix(folder.path(), "start")
            .with_context(|| fs::read_to_string(folder.path().join("log")).unwrap_or_default())?;
        Ok(Ok(Self { doors, folder, process: Process::Postfix }))
    }

    pub fn exim(
        doors: Doors,
        pair: &PairFiles,
        around: &Surroundings,
    ) -> anyhow::Result<Result<Self, Skipped>> {
        let program = unpacked("exim/usr/sbin/exim4");
        if let Some(reason) = missing(&program)? {
            return Ok(Err(reason));
        }
        let folder = folder()?;
        // Exim starts itself again as its own user, who may not see the folder of a checkout.
        let own_program = folder.path().join("exim4");
        fs::copy(program, &own_program)?;
        let data = folder.path().join("mail");
        fs::create_dir(&data)?;
        for (from, to) in [(&pair.certificate, "crt"), (&pair.key, "key"), (&around.trusted, "ca")] {
            fs::copy(from, data.join(to))?;
        }
        own(&data, "Debian-exim")?;
        let config = folder.path().join("exim.conf");
        fs::write(&config, exim_conf(&own_program, &data, doors, around))?;
        let mut command = Command::new(own_program);
        command.arg("-C").arg(config).args(["-bdf", "-q2s"]);
        Self::child(command, doors, folder)
    }

    /// In a namespace of its own, because its folders are fixed.
    pub fn opensmtpd(
        doors: Doors,
        pair: &PairFiles,
        around: &Surroundings,
    ) -> anyhow::Result<Result<Self, Skipped>> {
        let program = unpacked("opensmtpd/usr/sbin/smtpd");
        if let Some(reason) = missing(&program)? {
            return Ok(Err(reason));
        }
        if Command::new(&program).arg("-h").stderr(Stdio::null()).status()?.code() == Some(127) {
            return Ok(Err("libraries of OpenSMTPD are missing; tests/get-peers installs them".to_owned()));
        }
        let folder = folder()?;
        let path = folder.path();
        let hash = Command::new(unpacked("opensmtpd/usr/libexec/opensmtpd/encrypt"))
            .arg(around.secret)
            .output()?
            .stdout;
        let hash = String::from_utf8(hash)?.trim().to_owned();
        fs::write(path.join("logins"), format!("relay {}:{}\n", around.user, around.secret))?;
        fs::copy(&pair.key, path.join("key"))?;
        fs::write(path.join("smtpd.conf"), opensmtpd_conf(path, &hash, doors, pair, around))?;
        for file in ["logins", "key", "smtpd.conf"] {
            fs::set_permissions(path.join(file), fs::Permissions::from_mode(0o600))?;
        }
        let script = "mount -t tmpfs none /var/spool && mkdir -m 711 /var/spool/smtpd && \
             mount -t tmpfs none /var/lib && mkdir -p /var/lib/opensmtpd/empty && \
             mount -t tmpfs none /run && exec \"$0\" -d -f \"$1\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(&program).arg(path.join("smtpd.conf"));
        Self::child(command, doors, folder)
    }

    /// From PyPI. Python forwards what it has taken and says in a field how it came.
    pub fn aiosmtpd(
        doors: Doors,
        pair: &PairFiles,
        around: &Surroundings,
    ) -> anyhow::Result<Result<Self, Skipped>> {
        let packages = python_packages();
        if !packages.join("aiosmtpd").exists() {
            return Ok(Err("aiosmtpd is not there; tests/get-peers gets it".to_owned()));
        }
        let folder = folder()?;
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", packages).arg("-c").arg(include_str!("gateways/aiosmtpd.py"));
        command.args([&pair.certificate, &pair.key]).args([around.user, around.secret]);
        command.arg(around.sink.to_string());
        command.args(doors.by_name().map(|(_, address)| address.to_string()));
        Self::child(command, doors, folder)
    }

    fn child(mut command: Command, doors: Doors, folder: TempDir) -> anyhow::Result<Result<Self, Skipped>> {
        let said = fs::File::create(folder.path().join("said"))?;
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        Ok(Ok(Self { doors, folder, process: Process::Child(command.spawn()?) }))
    }

    /// What a server said that runs in the foreground.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        match &mut self.process {
            Process::Child(child) => {
                let _ = child.kill(); // it may have ended
                let _ = child.wait();
            }
            Process::Postfix => {
                let _ = postfix(self.folder.path(), "stop");
            }
        }
    }
}

/// Where tests/get-peers puts what is not installed.
fn unpacked(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local").join(path)
}

/// Of PyPI.
pub fn python_packages() -> PathBuf {
    unpacked("python")
}

fn routes(around: &Surroundings) -> String {
    let line = |(name, address): (&str, SocketAddr)| {
        format!("{name}.test {name}:[{}]:{}\n", address.ip(), address.port())
    };
    around.relay.by_name().map(line).concat()
}

fn postfix_main(folder: &Path, pair: &PairFiles, asked: SocketAddr, around: &Surroundings) -> String {
    let path = folder.display();
    let (certificate, key) = (pair.certificate.display(), pair.key.display());
    let (sink, trusted) = (around.sink, around.trusted.display());
    format!(
        "compatibility_level = 3.6\nqueue_directory = {path}/queue\ndata_directory = {path}/data\n\
         myhostname = postfix.test\nmydestination =\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
         mynetworks = 127.0.0.0/8\nmessage_size_limit = 60000000\nsmtpd_client_connection_count_limit = 0\n\
         maillog_file = {path}/log\n\
         queue_run_delay = 2s\nminimal_backoff_time = 2s\nmaximal_backoff_time = 4s\n\
         relayhost = [{sink_ip}]:{sink_port}\ntransport_maps = texthash:{path}/config/transport\n\
         smtpd_tls_cert_file = {certificate}\nsmtpd_tls_key_file = {key}\nsmtpd_tls_received_header = yes\n\
         smtpd_sasl_type = dovecot\nsmtpd_sasl_path = inet:{asked}\nsmtpd_sasl_authenticated_header = yes\n\
         smtpd_sasl_local_domain =\nsmtpd_sasl_security_options = noanonymous\n\
         smtp_tls_CAfile = {trusted}\nsmtp_sasl_password_maps = texthash:{path}/config/logins\n\
         smtp_sasl_security_options = noanonymous\nsmtp_sasl_mechanism_filter = plain\n",
        sink_ip = sink.ip(),
        sink_port = sink.port()
    )
}

fn postfix_master(doors: Doors, relay_name: &str) -> String {
    let verified = format!("-o smtp_tls_security_level=verify -o smtp_tls_verify_cert_match={relay_name}");
    let login = "-o smtp_sasl_auth_enable=yes";
    let encrypt = "-o smtpd_tls_security_level=encrypt";
    format!(
        "{} inet n - n - - smtpd\n{} inet n - n - - smtpd {encrypt}\n\
         {} inet n - n - - smtpd {encrypt} -o smtpd_sasl_auth_enable=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n\
         {} inet n - n - - smtpd {encrypt} -o smtpd_tls_wrappermode=yes\n\
         smtp unix - - n - - smtp\nplain unix - - n - - smtp\nstarttls unix - - n - - smtp {verified}\n\
         auth unix - - n - - smtp {verified} {login}\n\
         implicit unix - - n - - smtp {verified} {login} -o smtp_tls_wrappermode=yes\n\
         cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
         anvil unix - - n - 1 anvil\nerror unix - - n - - error\nretry unix - - n - - error\n\
         proxymap unix - - n - - proxymap\nscache unix - - n - 1 scache\n\
         tlsmgr unix - - n 1000? 1 tlsmgr\npostlog unix-dgram n - n - 1 postlogd\n",
        doors.plain, doors.starttls, doors.auth, doors.implicit
    )
}

fn exim_conf(program: &Path, data: &Path, doors: Doors, around: &Surroundings) -> String {
    let path = data.display();
    let (user, secret, sink) = (around.user, around.secret, around.sink);
    let port = |address: SocketAddr| address.port();
    let (plain, starttls, auth) = (port(doors.plain), port(doors.starttls), port(doors.auth));
    let router = |(name, address): (&str, SocketAddr)| {
        format!(
            "{name}:\n  driver = manualroute\n  domains = {name}.test\n  route_list = * {}\n  self = send\n\
             \x20 transport = {name}\n",
            address.ip()
        )
    };
    // The relay is known by its address here, which the certificate is not for.
    let tls = "  hosts_require_tls = *\n  tls_verify_hosts = *\n  tls_verify_cert_hostnames = :\n";
    let transport = |(name, address): (&str, SocketAddr)| {
        let more = match name {
            "starttls" => tls.to_owned(),
            "auth" => format!("{tls}  hosts_require_auth = *\n"),
            "implicit" => format!("{tls}  hosts_require_auth = *\n  protocol = smtps\n"),
            _ => "  hosts_avoid_tls = *\n".to_owned(),
        };
        format!(
            "{name}:\n  driver = smtp\n  allow_localhost\n  port = {}\n  tls_verify_certificates = {path}/ca\n{more}",
            address.port()
        )
    };
    format!(
        "exim_path = {program}\nprimary_hostname = exim.test\nspool_directory = {path}/spool\n\
         log_file_path = {path}/%slog\npid_file_path = {path}/pid\n\
         daemon_smtp_ports = {plain} : {starttls} : {auth} : 465\ntls_on_connect_ports = 465\n\
         local_interfaces = {own}\nacl_smtp_rcpt = everybody\nmessage_size_limit = 60M\n\
         smtputf8_advertise_hosts = *\ntls_certificate = {path}/crt\ntls_privatekey = {path}/key\n\
         tls_advertise_hosts = ${{if eq{{$received_port}}{{{plain}}}{{}}{{*}}}}\n\
         auth_advertise_hosts = ${{if and{{{{eq{{$received_port}}{{{auth}}}}}{{def:tls_in_cipher}}}}{{*}}{{}}}}\n\
         begin acl\neverybody:\n\
         \x20 deny condition = ${{if eq{{$received_port}}{{{starttls}}}}}\n    !encrypted = *\n\
         \x20 deny condition = ${{if eq{{$received_port}}{{{auth}}}}}\n    !authenticated = *\n  accept\n\
         begin routers\n{routers}sink:\n  driver = manualroute\n  route_list = * {sink_ip}\n  self = send\n\
         \x20 transport = sink\n\
         begin transports\n{transports}sink:\n  driver = smtp\n  allow_localhost\n  port = {sink_port}\n\
         begin retry\n* * F,1h,2s\n\
         begin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n\
         \x20 server_prompts = :\n  server_set_id = $auth2\n\
         \x20 server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{secret}}}}}}}}}\n\
         \x20 client_send = ^{user}^{secret}\n",
        program = program.display(),
        own = doors.plain.ip(),
        routers = around.relay.by_name().map(router).concat(),
        transports = around.relay.by_name().map(transport).concat(),
        sink_ip = sink.ip(),
        sink_port = sink.port(),
    )
}

fn opensmtpd_conf(
    folder: &Path,
    hash: &str,
    doors: Doors,
    pair: &PairFiles,
    around: &Surroundings,
) -> String {
    let path = folder.display();
    let (relay, sink) = (around.relay, around.sink);
    let listen = |address: SocketAddr, more: &str| {
        format!("listen on {} port {} hostname opensmtpd.test {more}\n", address.ip(), address.port())
    };
    let to = |name: &str, url: String, more: &str| {
        format!(
            "action \"to_{name}\" relay host \"{url}\" {more}\n\
             match from any for domain \"{name}.test\" action \"to_{name}\"\n"
        )
    };
    [
        format!("pki own cert \"{}\"\npki own key \"{path}/key\"\n", pair.certificate.display()),
        format!("table known {{ \"{}\" = \"{hash}\" }}\n", around.user),
        format!("table logins file:{path}/logins\nsmtp max-message-size 60M\n"),
        listen(doors.plain, ""),
        listen(doors.starttls, "tls-require pki own"),
        listen(doors.auth, "tls-require pki own auth <known>"),
        listen(doors.implicit, "smtps pki own"),
        to("plain", format!("smtp+notls://{}", relay.plain), ""),
        to("starttls", format!("smtp+tls://{}", relay.starttls), "tls no-verify"),
        to("auth", format!("smtp+tls://relay@{}", relay.auth), "auth <logins> tls no-verify"),
        to("implicit", format!("smtps://relay@{}", relay.implicit), "auth <logins> tls no-verify"),
        format!("action sink relay host \"smtp+notls://{sink}\"\nmatch from any for any action sink\n"),
    ]
    .concat()
}

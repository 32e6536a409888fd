//! The broker of `hikyaku up`: a real nats-server as a child of this process, with its own
//! folder, that syncs each write. It is started again when it ends, and a predecessor that
//! outlived its parent is stopped first.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use hikyaku_queue::{NatsConfig, connect::Login};
use rand::distr::{Alphanumeric, SampleString as _};
use secrecy::SecretString;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

const PROGRAM: &str = "nats-server";
const RESTART_PAUSE: Duration = Duration::from_millis(200);
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// The kernel gives none of these to a connection by itself (`net.ipv4.ip_local_port_range`). Otherwise one could get
/// the broker's while that is away, even one to the broker, which then would talk to itself.
const PORTS: Range<u16> = 20_000..32_768;
const POLL: Duration = Duration::from_millis(50);
const USER: &str = "hikyaku";
const SYSTEM_USER: &str = "system";

#[derive(Debug, thiserror::Error)]
pub(crate) enum NatsChildError {
    #[error(
        "no nats-server program was found; install it or name it with --nats-server PATH (looked in: {0})"
    )]
    NotFound(String),
    #[error("failed to prepare {path}")]
    Prepare {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to start {program}")]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("another hikyaku uses {0}; name another folder with --data-dir")]
    InUse(PathBuf),
    #[error("nats-server of an earlier run (process {0}) does not end")]
    Predecessor(u32),
}

#[derive(Debug)]
pub(crate) struct NatsChild {
    program: PathBuf,
    config_file: PathBuf,
    pid_file: PathBuf,
    port: u16,
    password: String,
    system_password: String,
    /// Held as long as this lives: the folder has one owner.
    _lock: fs::File,
}

impl NatsChild {
    /// Writes the broker's configuration and stops a predecessor; starts nothing yet.
    pub(crate) async fn prepare(named: Option<&Path>, data_dir: &Path) -> Result<Self, NatsChildError> {
        let folder = data_dir.join("nats");
        let prepared = |path: &Path, result: io::Result<()>| {
            result.map_err(|source| NatsChildError::Prepare { path: path.to_owned(), source })
        };
        prepared(&folder, fs::create_dir_all(&folder))?;
        let lock = lock(&folder)?;
        let folder = fs::canonicalize(&folder)
            .map_err(|source| NatsChildError::Prepare { path: folder.clone(), source })?;
        // The folder holds all mail that waits.
        prepared(&folder, fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)))?;
        let child = Self {
            program: find_program(named, data_dir)?,
            config_file: folder.join("nats-server.conf"),
            pid_file: folder.join("nats-server.pid"),
            port: free_port().map_err(|source| NatsChildError::Prepare { path: folder.clone(), source })?,
            // New ones at each start: nobody else needs them.
            password: Alphanumeric.sample_string(&mut rand::rng(), 32),
            system_password: Alphanumeric.sample_string(&mut rand::rng(), 32),
            _lock: lock,
        };
        child.stop_predecessor().await?;
        prepared(&child.config_file, write_private(&child.config_file, &child.config(&folder)))?;
        Ok(child)
    }

    pub(crate) fn connection(&self) -> NatsConfig {
        let login = |user: &str, password: &str| Login {
            user: user.to_owned(),
            password: SecretString::from(password.to_owned()),
        };
        NatsConfig {
            url: format!("nats://127.0.0.1:{}", self.port),
            login: Some(login(USER, &self.password)),
            system_login: Some(login(SYSTEM_USER, &self.system_password)),
            tls: None,
            client_name: "hikyaku".to_owned(),
        }
    }

    fn config(&self, folder: &Path) -> String {
        let Self { port, pid_file, password, system_password, .. } = self;
        format!(
            "# Written by hikyaku at each start.\n\
             server_name: hikyaku\n\
             listen: \"127.0.0.1:{port}\"\n\
             pid_file: {pid_file:?}\n\
             log_file: {log:?}\n\
             logfile_size_limit: 10MB\n\
             max_payload: 1MB\n\
             jetstream {{ store_dir: {store:?}, sync_interval: always }}\n\
             accounts {{\n  \
               SYSTEM {{ users: [ {{ user: {SYSTEM_USER}, password: {system_password:?} }} ] }}\n  \
               HIKYAKU {{ jetstream: enabled, users: [ {{ user: {USER}, password: {password:?} }} ] }}\n\
             }}\n\
             system_account: SYSTEM\n",
            log = folder.join("nats-server.log"),
            store = folder.join("store"),
        )
    }

    /// Starts the broker and returns once it can be connected to.
    pub(crate) async fn start(&self) -> Result<Child, NatsChildError> {
        let child = Command::new(&self.program)
            .arg("--config")
            .arg(&self.config_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal is for the relay, which needs its broker to drain.
            .process_group(0)
            .kill_on_drop(false)
            .spawn()
            .map_err(|source| NatsChildError::Start { program: self.program.clone(), source })?;
        tracing::info!(program = %self.program.display(), port = self.port, "nats-server started");
        Ok(child)
    }

    /// Keeps the broker running until `stop`, then ends it in order.
    pub(crate) async fn supervise(self, mut child: Child, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                status = child.wait() => tracing::error!(?status, "nats-server ended; starting it again"),
            }
            tokio::time::sleep(RESTART_PAUSE).await;
            match self.start().await {
                Ok(started) => child = started,
                Err(error) => tracing::error!(%error, "nats-server was not started again"),
            }
        }
        if let Some(pid) = child.id() {
            self.signal("quit", pid).await;
        }
        if tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
            tracing::warn!("nats-server did not end in time; killing it");
            if let Err(error) = child.kill().await {
                tracing::error!(%error, "nats-server was not killed");
            }
        }
    }

    /// After kill -9 of the relay its broker goes on; two must not share a folder.
    async fn stop_predecessor(&self) -> Result<(), NatsChildError> {
        let Some(pid) = self.predecessor() else { return Ok(()) };
        tracing::warn!(pid, "stopping nats-server of an earlier run");
        self.signal("quit", pid).await;
        let polls = STOP_TIMEOUT.as_millis() / POLL.as_millis();
        for _ in 0..polls {
            if self.predecessor().is_none() {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Err(NatsChildError::Predecessor(pid))
    }

    /// The process in the pid file, if it still runs with our configuration.
    fn predecessor(&self) -> Option<u32> {
        let pid: u32 = fs::read_to_string(&self.pid_file).ok()?.trim().parse().ok()?;
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let ours = self.config_file.to_str()?;
        command.split('\0').any(|argument| argument == ours).then_some(pid)
    }

    /// The program sends signals itself, so we need no unsafe call for that.
    async fn signal(&self, signal: &str, pid: u32) {
        let sent = Command::new(&self.program)
            .arg("--signal")
            .arg(format!("{signal}={pid}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if let Err(error) = sent {
            tracing::error!(%error, pid, "nats-server was not signalled");
        }
    }
}

/// Two relays on one folder would stop each other's broker, or run two on one store.
fn lock(folder: &Path) -> Result<fs::File, NatsChildError> {
    let path = folder.join("lock");
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| NatsChildError::Prepare { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(NatsChildError::InUse(folder.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(NatsChildError::Prepare { path, source }),
    }
}

fn find_program(named: Option<&Path>, data_dir: &Path) -> Result<PathBuf, NatsChildError> {
    let mut places: Vec<PathBuf> = Vec::new();
    match named {
        Some(program) => places.push(program.to_owned()),
        None => {
            places.extend(std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(PROGRAM))));
            places.push(data_dir.join("bin").join(PROGRAM));
            let path = std::env::var_os("PATH").unwrap_or_default();
            places.extend(std::env::split_paths(&path).map(|folder| folder.join(PROGRAM)));
        }
    }
    let is_program = |place: &&PathBuf| {
        fs::metadata(place).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    match places.iter().find(is_program) {
        Some(program) => Ok(program.clone()),
        None => {
            let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
            Err(NatsChildError::NotFound(looked.join(", ")))
        }
    }
}

fn free_port() -> io::Result<u16> {
    let mut drawn = std::iter::repeat_with(|| rand::random_range(PORTS)).take(PORTS.len());
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    drawn.find(is_free).ok_or_else(|| io::ErrorKind::AddrInUse.into())
}

/// The file holds passwords.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use io::Write as _;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

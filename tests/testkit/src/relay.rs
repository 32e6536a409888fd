//! A role of the relay, or `hikyaku up`, as a process, with its log in memory.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    sync::watch,
};

use crate::eventually::eventually;

/// The process gathers its lines before it writes them.
const LINES_TAKE: Duration = Duration::from_millis(50);
const START_LIMIT: Duration = Duration::from_secs(180);
/// In the folder of a relay: `up` makes it, others are given it.
const OPERATOR_TOKEN: &str = "operator-token";

pub struct Relay {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    is_read: watch::Sender<bool>,
    data_dir: PathBuf,
    arguments: Vec<String>,
}

#[expect(clippy::disallowed_methods, reason = "of a test, and short")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn is_event(line: &Value, event: &str, queue_id: Option<&str>) -> bool {
    line["target"] == "mail" && line["event"] == event && queue_id.is_none_or(|id| line["queue_id"] == id)
}

/// The folder in which cargo put this test and the programs.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    // target/<profile>/deps/<test>
    let folder = test.ancestors().nth(2).map(Path::to_owned).unwrap_or_default();
    folder.join(name)
}

/// `hikyakuctl` with nothing in its environment that says who asks.
pub fn ctl() -> Command {
    let mut command = Command::new(program("hikyakuctl"));
    for variable in ["TOKEN_FILE", "CA", "CERTIFICATE", "KEY", "SERVER_NAME"] {
        command.env_remove(format!("HIKYAKU_{variable}"));
    }
    command
}

/// Makes a token in a file of this folder; the line for the file of callers.
pub async fn token(folder: &Path, name: &str, role: &str) -> anyhow::Result<(PathBuf, String)> {
    let file = folder.join(format!("{name}-token"));
    let output = ctl().args(["token", "new", name, "--role", role, "--out"]).arg(&file).output().await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "hikyakuctl token new {name}: {errors}");
    Ok((file, String::from_utf8(output.stdout)?))
}

impl Relay {
    /// `hikyaku up` on ports of its own, ready to take mail.
    pub async fn up(data_dir: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let nats = crate::nats::program();
        let nats = nats.to_str().context("path of nats-server")?;
        let data = data_dir.to_str().context("path of the data folder")?;
        let mut all = vec!["up", "--data-dir", data, "--smtp", "127.0.0.1:0"];
        if nats != "nats-server" {
            all.extend(["--nats-server", nats]);
        }
        all.extend(arguments);
        let relay = Self::start(data_dir, &all).await?;
        relay.wait_for_message("ready").await;
        Ok(relay)
    }

    /// Any role, with every flag given.
    pub async fn start(data_dir: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_in(data_dir, arguments, &[])
    }

    /// The same with more in its environment.
    pub fn start_in(
        data_dir: &Path,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(program("hikyaku"))
            .args(arguments)
            .env("HIKYAKU__LOG", "json")
            .env("HIKYAKU__POLICY_LISTEN", "127.0.0.1:0")
            .env("HIKYAKU__ADMIN_LISTEN", "127.0.0.1:0")
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("hikyaku is not built: cargo build --workspace")?;
        let stdout = child.stdout.take().context("standard output")?;
        let log: Arc<Mutex<Vec<Value>>> = Arc::default();
        let sink = Arc::clone(&log);
        let (is_read, may_read) = watch::channel(true);
        // Whatever else the test's thread does.
        let stdout = BufReader::new(File::from(stdout.into_owned_fd()?));
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The other end of the pipe stays open, whoever reads or not.
                while !*may_read.borrow() {
                    if may_read.has_changed().is_err() {
                        return;
                    }
                    pause(LINES_TAKE);
                }
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                sink.lock().unwrap().push(event);
            }
        });
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Ok(Self { child, log, is_read, data_dir: data_dir.to_owned(), arguments })
    }

    /// What the process has said up to now.
    pub fn log(&self) -> Vec<Value> {
        pause(LINES_TAKE);
        self.arrived()
    }

    /// As much of it as is here.
    fn arrived(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// Whether its standard output is read; nothing of it comes into [`Self::log`] meanwhile.
    pub fn read_log(&self, is_read: bool) {
        self.is_read.send_replace(is_read);
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Lines of the mail log with this event, optionally about one queue id.
    pub fn mail_log(&self, event: &str, queue_id: Option<&str>) -> Vec<Value> {
        self.log().into_iter().filter(|line| is_event(line, event, queue_id)).collect()
    }

    pub async fn wait_for_message(&self, message: &str) {
        eventually(START_LIMIT, async || {
            let log = self.arrived();
            if log.iter().any(|line| line["message"] == message) {
                return Ok(());
            }
            let tail: Vec<String> = log.iter().rev().take(5).map(ToString::to_string).collect();
            Err(format!("no {message:?} in the log; last lines: {tail:#?}"))
        })
        .await;
    }

    pub async fn wait_for_service(&self, service: &str) {
        eventually(START_LIMIT, async || self.address(service).map(drop).map_err(|error| error.to_string()))
            .await;
    }

    pub async fn wait_for_mail_log(&self, event: &str, queue_id: &str, limit: Duration) -> Value {
        eventually(limit, async || {
            let log = self.arrived();
            log.iter().find(|line| is_event(line, event, Some(queue_id))).cloned().ok_or_else(|| {
                let about: Vec<&Value> = log.iter().filter(|line| line["queue_id"] == queue_id).collect();
                format!("no {event:?} of {queue_id}; its log: {about:#?}")
            })
        })
        .await
    }

    /// Where a service listens: smtp, policy or admin.
    pub fn address(&self, service: &str) -> anyhow::Result<SocketAddr> {
        let log = self.arrived();
        let line = log.iter().find(|line| line["message"] == "listening" && line["service"] == service);
        let address = line
            .and_then(|line| line["address"].as_str())
            .with_context(|| format!("{service} does not listen"))?;
        Ok(address.parse()?)
    }

    pub fn smtp(&self) -> SocketAddr {
        self.address("smtp").expect("the relay listens before it is ready")
    }

    /// `hikyakuctl` against this relay, as the operator whose token is in its folder; what it prints.
    pub async fn ctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let token = self.data_dir.join(OPERATOR_TOKEN);
        let token = token.to_str().context("path of the token")?;
        self.ctl_as("http", &["--token-file", token], arguments).await
    }

    /// `hikyakuctl` with nothing in its environment that says who asks.
    pub async fn ctl_as(&self, scheme: &str, who: &[&str], arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.output_of(scheme, who, arguments).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "hikyakuctl {arguments:?}: {text}{errors}");
        Ok(text)
    }

    /// `hikyakuctl` as the operator, for a command that may end with another status: that, and all it prints.
    pub async fn ctl_status(&self, arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
        let token = self.data_dir.join(OPERATOR_TOKEN);
        let token = token.to_str().context("path of the token")?;
        let output = self.output_of("http", &["--token-file", token], arguments).await?;
        let (text, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Ok((output.status.code(), format!("{text}{errors}")))
    }

    /// `hikyakuctl` as the operator, with a command that goes on: it is not started yet.
    pub fn ctl_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("http");
        command.arg("--token-file").arg(self.data_dir.join(OPERATOR_TOKEN)).args(arguments);
        command
    }

    async fn output_of(&self, scheme: &str, who: &[&str], arguments: &[&str]) -> anyhow::Result<Output> {
        Ok(self.command(scheme).args(who).args(arguments).output().await?)
    }

    fn command(&self, scheme: &str) -> Command {
        let mut command = ctl();
        for (option, service) in [("--server", "admin"), ("--directory-server", "policy")] {
            // A single role serves one of them.
            if let Ok(address) = self.address(service) {
                command.arg(option).arg(format!("{scheme}://{address}"));
            }
        }
        command
    }

    /// What is in the queue, at most 100,000 entries.
    pub async fn queue(&self) -> anyhow::Result<Vec<Value>> {
        let text = self.ctl(&["--json", "queue", "list", "--limit", "100000"]).await?;
        let list: Value = serde_json::from_str(&text)?;
        list["entries"].as_array().cloned().with_context(|| format!("no entries in {text}"))
    }

    /// SIGTERM, and the end of the process. Returns its exit code.
    pub async fn terminate(mut self) -> anyhow::Result<Option<i32>> {
        self.stop().await
    }

    /// The same; what it said stays.
    pub async fn stop(&mut self) -> anyhow::Result<Option<i32>> {
        let pid = self.pid().context("process has ended")?;
        signal("TERM", pid).await?;
        let code = self.child.wait().await?.code();
        self.data_dir = PathBuf::new(); // its broker has ended with it
        Ok(code)
    }

    /// kill -9 of the process and of its broker.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.start_kill()?;
        self.kill_broker();
        self.child.wait().await?;
        Ok(())
    }

    /// kill -9 of a single role; what it said stays.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        self.child.start_kill()?;
        self.child.wait().await?;
        Ok(())
    }

    /// A single role that has ended, with more in its environment. Its log begins anew.
    pub fn again(&mut self, environment: &[(&str, String)]) -> anyhow::Result<()> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        *self = Self::start_in(&self.data_dir, &arguments, environment)?;
        Ok(())
    }

    fn kill_broker(&self) {
        let pid_file = self.data_dir.join("nats/nats-server.pid");
        if let Ok(pid) = fs::read_to_string(pid_file) {
            let _ = std::process::Command::new("kill").args(["-KILL", pid.trim()]).output();
        }
    }
}

/// A test that fails must not leave a broker behind.
impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        self.kill_broker();
    }
}

pub async fn signal(name: &str, pid: u32) -> anyhow::Result<()> {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().await?;
    anyhow::ensure!(status.success(), "kill -{name} {pid}: {status}");
    Ok(())
}

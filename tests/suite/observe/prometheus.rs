//! A Prometheus of one's own.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use hikyaku_testkit::{eventually::eventually, port};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::lab::SOON;

pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    pub async fn start(target: SocketAddr, rules: &[PathBuf]) -> anyhow::Result<Option<Self>> {
        Self::of(&[("relay", target)], rules).await
    }

    /// Looks each second at each job, and keeps exemplars. `None`, and it is said, where there is no such program.
    pub async fn of(jobs: &[(&str, SocketAddr)], rules: &[PathBuf]) -> anyhow::Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let rules = rules.iter().map(fs::canonicalize).collect::<Result<Vec<_>, _>>()?;
        let scraped: Vec<String> = jobs
            .iter()
            .map(|(job, at)| format!("{{ job_name: {job}, static_configs: [{{ targets: [\"{at}\"] }}] }}"))
            .collect();
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: {rules:?}\n\
             scrape_configs: [{}]\n",
            scraped.join(", ")
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config)?;
        let address = port::unused()?;
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                println!("skipped: prometheus: {error}; tests/get-peers installs it");
                return Ok(None);
            }
        };
        let prometheus = Self { child, address, _folder: folder };
        eventually(SOON, async || match prometheus.query("up == 1").await {
            Ok(found) if found.len() == jobs.len() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        Ok(Some(prometheus))
    }

    /// The values now; an error, when the query cannot be understood.
    pub async fn query(&self, query: &str) -> anyhow::Result<Vec<Value>> {
        let data = self.get(&format!("/api/v1/query?query={}", encoded(query))).await?;
        Ok(data["result"].as_array().context("no result")?.clone())
    }

    /// Of the series that a query is made of: each with its own.
    pub async fn exemplars(&self, query: &str) -> anyhow::Result<Vec<Value>> {
        let data = self.get(&format!("/api/v1/query_exemplars?query={}", encoded(query))).await?;
        Ok(data.as_array().cloned().unwrap_or_default())
    }

    /// Labels of all that were ever seen.
    pub async fn series(&self, selector: &str) -> anyhow::Result<Vec<Value>> {
        let data = self.get(&format!("/api/v1/series?match%5B%5D={}", encoded(selector))).await?;
        Ok(data.as_array().context("no series")?.clone())
    }

    /// All rules, as they stand.
    pub async fn rules(&self) -> anyhow::Result<Vec<Value>> {
        let data = self.get("/api/v1/rules").await?;
        let groups = data["groups"].as_array().context("no groups")?;
        Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let mut stream = TcpStream::connect(self.address).await?;
        // 1.0: the answer is one piece and ends with the connection.
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let body = answer.split_once("\r\n\r\n").context("no body")?.1;
        let mut answer: Value = serde_json::from_str(body).with_context(|| body.to_owned())?;
        anyhow::ensure!(answer["status"] == "success", "{path}: {answer}");
        Ok(answer["data"].take())
    }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        let _ = write!(encoded, "%{byte:02X}"); // into a String
        encoded
    })
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

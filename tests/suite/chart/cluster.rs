//! The cluster as it is rendered, without Kubernetes: three real brokers and the roles with the chart's
//! configuration, certificates, passwords and callers. Addresses and folders are other ones, nothing else.

use std::{
    fs,
    io::{BufRead as _, Read as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats, port,
    relay::{Relay, ctl},
};
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    chart,
    helm::{NAMESPACE, helm},
    objects::{Objects, list, map, text},
    program::{broker_environment, mesh},
};
use crate::lab::{CONTENT, SOON};

struct Brokers(Vec<(Child, PathBuf)>);

impl Drop for Brokers {
    fn drop(&mut self) {
        for (child, log) in &mut self.0 {
            nats::tell_of(child, log);
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

struct Ports {
    clients: Vec<u16>,
    routes: Vec<u16>,
    monitors: Vec<u16>,
}

fn start_brokers(objects: &Objects, folder: &Path, ports: &Ports) -> Brokers {
    let conf = objects.text("ConfigMap", "rel-nats", "nats.conf");
    let mut brokers = Vec::new();
    for node in 0..3 {
        let home = folder.join(format!("rel-nats-{node}"));
        fs::create_dir_all(&home).unwrap();
        mesh(objects, "nats", &home);
        let mut conf = conf
            .replace("port: 4222", &format!("port: {}", ports.clients[node]))
            .replace("port: 6222", &format!("port: {}", ports.routes[node]))
            .replace("http: 8222", &format!("http: {}", ports.monitors[node]));
        let home_name = home.to_string_lossy();
        for path in ["/run/secrets/hikyaku-mesh", "/var/run/nats"] {
            conf = conf.replace(path, &home_name);
        }
        conf = conf.replace("store_dir: \"/data\"", &format!("store_dir: \"{home_name}\""));
        fs::write(home.join("nats.conf"), conf).unwrap();
        let mut command = Command::new(nats::program());
        command.arg("-c").arg(home.join("nats.conf"));
        for (variable, mut value) in broker_environment(objects) {
            for (other, route) in ports.routes.iter().enumerate() {
                let name = format!("rel-nats-{other}.rel-nats-headless.{NAMESPACE}.svc:6222");
                // The certificate has this name too.
                value = value.replace(&name, &format!("localhost:{route}"));
            }
            command.env(variable, value);
        }
        command.env("POD_NAME", format!("rel-nats-{node}"));
        let log = home.join("log");
        let child = command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        brokers.push((child, log));
    }
    Brokers(brokers)
}

/// Of a service mesh.
fn token(objects: &Objects, who: &str, home: &Path) {
    if objects.find("Secret", "rel-tokens").is_some() {
        fs::write(home.join("token"), objects.text("Secret", "rel-tokens", who)).unwrap();
    }
}

/// A role with the configuration of its ConfigMap.
fn role(
    objects: &Objects,
    name: &str,
    folder: &Path,
    ports: &Ports,
    policy: Option<SocketAddr>,
) -> anyhow::Result<Relay> {
    let home = folder.join(name);
    fs::create_dir_all(&home)?;
    mesh(objects, name, &home);
    for key in ["password", "system-password"] {
        fs::write(home.join(key), objects.text("Secret", "rel-nats-auth", key))?;
    }
    token(objects, "relay", &home);
    fs::write(home.join("callers"), objects.text("ConfigMap", "rel-callers", "callers"))?;
    let mut config = objects.text("ConfigMap", &format!("rel-{name}"), "hikyaku.toml").to_owned();
    for path in [
        "/run/secrets/hikyaku-nats",
        "/run/secrets/hikyaku-mesh",
        "/run/secrets/hikyaku-token",
        "/etc/hikyaku-callers",
    ] {
        config = config.replace(path, &home.to_string_lossy());
    }
    for (node, port) in ports.clients.iter().enumerate() {
        let name = format!("rel-nats-{node}.rel-nats-headless.{NAMESPACE}.svc:4222");
        config = config.replace(&name, &format!("localhost:{port}"));
    }
    config = config.replace("[::]:2525", "127.0.0.1:0").replace("[::]:9090", "127.0.0.1:0");
    if let Some(address) = policy {
        config = config.replace("//rel-policy:7002", &format!("//{address}"));
    }
    let file = home.join("hikyaku.toml");
    fs::write(&file, config)?;
    let mut environment = vec![("HIKYAKU__NODE", format!("rel-{name}-0"))];
    if policy.is_some() {
        environment.push(("HIKYAKU__GRPC__SERVER_NAME", "rel-policy".to_owned()));
    }
    let file = file.to_string_lossy().into_owned();
    Relay::start_in(&home, &[name, "--config", &file], &environment)
}

#[tokio::test]
async fn mail_goes_through_the_cluster_as_rendered() -> anyhow::Result<()> {
    through("generated").await
}

/// Without TLS of ours: the roles show tokens.
#[tokio::test]
async fn mail_goes_through_a_service_mesh() -> anyhow::Result<()> {
    through("plaintext").await
}

/// One at a time: three brokers that sync each write are enough for a disk.
static TURN: Mutex<()> = Mutex::const_new(());

async fn through(mode: &str) -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let Some(helm) = helm() else { return Ok(()) };
    let inner = ScriptedMx::start(Script::Accept).await?;
    let address = inner.address();
    let routes = format!(
        "directory.documents={{\"own-domains\":\"own.test\\n\",\"aliases\":\"*@own.test\\t*@own.test\\n\",\
         \"routes\":\"own.test, {}, {}\\n\"}}",
        address.ip(),
        address.port()
    );
    // Made for this test alone: the documents name a port.
    let mode_value = format!("mesh.mode={mode:?}");
    let objects = helm
        .render(
            &chart(),
            "documents",
            &[
                &routes,
                "directory.credentialsSecret=\"\"",
                "test.recipient=\"postmaster@own.test\"",
                "nats.shards=4",
                &mode_value,
            ],
        )
        .map_err(anyhow::Error::msg)?;
    let folder = tempfile::tempdir()?;
    let free3 = || (0..3).map(|_| port::unused().unwrap().port()).collect();
    let ports = Ports { clients: free3(), routes: free3(), monitors: free3() };
    let _brokers = start_brokers(&objects, folder.path(), &ports);

    let policy = role(&objects, "policy", folder.path(), &ports, None)?;
    policy.wait_for_message("listening").await;
    let policy_address = policy.address("policy")?;
    apply_documents(&objects, folder.path(), policy_address).await?;

    let ingress = role(&objects, "ingress", folder.path(), &ports, Some(policy_address))?;
    let delivery = role(&objects, "delivery", folder.path(), &ports, Some(policy_address))?;
    ingress.wait_for_message("listening").await;
    delivery.wait_for_message("worker begins").await;
    handed_in(&ingress, &delivery).await;

    // helm test, step by step.
    let test = objects.pod("Pod rel-test");
    let places = [
        ("//rel-policy:7002".to_owned(), format!("//{policy_address}")),
        ("//rel-delivery:7003".to_owned(), format!("//{}", delivery.address("admin")?)),
        ("rel-ingress:25".to_owned(), ingress.smtp().to_string()),
    ];
    let mut steps = Vec::new();
    for container in test.containers() {
        let step = text(container, "/name");
        let asks_workers = container["args"][0].as_str().is_some_and(|first| first.starts_with("--server="));
        let server_name = if asks_workers { "rel-delivery" } else { "rel-policy" };
        eventually(SOON, async || run(container, folder.path(), &places, server_name).await.map(|_| ()))
            .await;
        steps.push(step);
    }
    assert_eq!(steps, ["policy-answers", "workers-own-shards", "strangers-are-refused", "message-arrives"]);
    assert!(inner.received_count() >= 2);
    inner.set(Script::RefuseRcpt("550 5.1.1 nobody"));
    let last = test.containers()[3];
    eventually(SOON, async || {
        let before = inner.received_count();
        match run(last, folder.path(), &places, "rel-delivery").await {
            // A session from before is still open, in which it is taken. That is no guess.
            Ok(said) if inner.received_count() > before => Err(said),
            Ok(said) => panic!("{said}, and the next hop has nothing"),
            Err(said) if said.contains("failed") && said.contains("550 5.1.1 nobody") => Ok(()),
            Err(said) => Err(said),
        }
    })
    .await;

    // All brokers are ready by the probes of their pods.
    let broker = objects.pod("StatefulSet rel-nats");
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let path = text(broker.containers()[0], &format!("/{probe}/httpGet/path"));
        for port in &ports.monitors {
            eventually(SOON, async || answers(*port, path)).await;
        }
    }

    // One goes as its pod would, and mail goes on.
    inner.set(Script::Accept);
    let hook = &broker.containers()[0]["lifecycle"]["preStop"]["exec"]["command"];
    let home = folder.path().join("rel-nats-0");
    let signal = text(hook, "/1").replace("/var/run/nats", &home.to_string_lossy());
    let status = Command::new(hikyaku_testkit::nats::program()).arg(signal).status()?;
    assert!(status.success());
    handed_in(&ingress, &delivery).await;

    // Who shows no certificate of the authority has no connection with a broker.
    let mut hello = String::new();
    let stream = std::net::TcpStream::connect(("127.0.0.1", ports.clients[1]))?;
    std::io::BufReader::new(stream).read_line(&mut hello)?;
    let is_mutual = hello.contains("\"tls_required\":true") && hello.contains("\"tls_verify\":true");
    assert_eq!(is_mutual, mode == "generated", "{hello}");
    Ok(())
}

/// One message from end to end. A client that hears 451, while leaders change hands, comes again.
async fn handed_in(ingress: &Relay, delivery: &Relay) {
    let id = eventually(SOON, async || {
        let sent = send_one(ingress.smtp(), "a@client.test", &["b@own.test"], CONTENT).await;
        sent.map_err(|error| error.to_string())
    })
    .await;
    delivery.wait_for_mail_log("delivered", &id, SOON).await;
}

/// Whether a monitoring port says that all is well.
fn answers(port: u16, path: &str) -> Result<(), String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    if answer.lines().next().is_some_and(|line| line.contains(" 200 ")) { Ok(()) } else { Err(answer) }
}

/// The hook's own words.
async fn apply_documents(objects: &Objects, folder: &Path, policy: SocketAddr) -> anyhow::Result<()> {
    let documents = folder.join("operator/documents");
    fs::create_dir_all(&documents)?;
    mesh(objects, "operator", &folder.join("operator"));
    token(objects, "operator", &folder.join("operator"));
    for (name, text) in map(&objects.get("ConfigMap", "rel-directory")["data"]) {
        fs::write(documents.join(name), text.as_str().unwrap_or_default())?;
    }
    let documents = documents.to_string_lossy();
    let places = [
        ("//rel-policy:7002".to_owned(), format!("//{policy}")),
        ("/documents".to_owned(), documents.into()),
    ];
    let job = objects.pod("Job rel-directory");
    eventually(SOON, async || run(job.containers()[0], folder, &places, "rel-policy").await.map(|_| ()))
        .await;
    Ok(())
}

/// What a container says to hikyakuctl, with its environment; other places, nothing else.
async fn run(
    container: &Value,
    folder: &Path,
    places: &[(String, String)],
    server_name: &str,
) -> Result<String, String> {
    let moved =
        |text: &str| places.iter().fold(text.to_owned(), |text, (place, other)| text.replace(place, other));
    let mut command = ctl();
    command.args(list(&container["args"]).filter_map(Value::as_str).map(moved));
    // Pods are known by the name of their service, which is no name here.
    command.env("HIKYAKU_SERVER_NAME", server_name);
    for variable in list(&container["env"]) {
        let home = folder.join("operator");
        let value = ["/run/secrets/hikyaku-mesh", "/run/secrets/hikyaku-token"]
            .iter()
            .fold(text(variable, "/value").to_owned(), |value, path| {
                value.replace(path, &home.to_string_lossy())
            });
        command.env(text(variable, "/name"), value);
    }
    let output = command.output().await.map_err(|error| error.to_string())?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(said) } else { Err(said) }
}

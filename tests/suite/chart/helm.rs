//! Helm as a program, and Python for its YAML: Rust has no parser of YAML that is well kept, and the schemas of
//! Kubernetes come as a Python package anyway.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use hikyaku_testkit::gateways::python_packages;

use super::{chart, objects::Objects};

const RELEASE: &str = "rel";
pub const NAMESPACE: &str = "mail";

/// Rendering makes keys, which takes a second: once for each shape.
static RENDERED: Mutex<BTreeMap<String, Arc<Objects>>> = Mutex::new(BTreeMap::new());

pub struct Helm(PathBuf);

/// Absent where a part is missing, which is said.
pub fn helm() -> Option<Helm> {
    let program = program()?;
    if !python_packages().join("kubernetes_validate").exists() {
        println!("skipped: kubernetes-validate is not there; tests/get-peers gets it");
        return None;
    }
    Some(Helm(program))
}

/// Helm alone.
pub fn program() -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local/bin/helm");
    let program = if unpacked.exists() { unpacked } else { PathBuf::from("helm") };
    let version = Command::new(&program).arg("version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        println!("skipped: helm is not there; tests/get-peers gets it");
        return None;
    }
    Some(program)
}

/// The names of ci/*.yaml.
pub fn shapes() -> Vec<String> {
    let files = fs::read_dir(chart().join("ci")).unwrap();
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.unwrap().file_name().to_str()?.strip_suffix(".yaml")?.to_owned()))
        .collect();
    names.sort();
    assert!(names.len() > 10, "{names:?}");
    names
}

/// What is rendered with a file of ci.
pub fn values_of(shape: &str) -> Vec<PathBuf> {
    let above = (shape == "ha").then(|| chart().join("values-ha.yaml"));
    above.into_iter().chain([chart().join(format!("ci/{shape}.yaml"))]).collect()
}

impl Helm {
    pub fn shape(&self, name: &str) -> Arc<Objects> {
        let mut rendered = RENDERED.lock().unwrap();
        let objects = rendered.entry(name.to_owned()).or_insert_with(|| {
            let objects = self.render(&chart(), name, &[]);
            Arc::new(objects.unwrap_or_else(|error| panic!("{name}: {error}")))
        });
        Arc::clone(objects)
    }

    /// A shape with values beside it, `key=value` as after --set; or what helm says against them.
    pub fn render(&self, chart: &Path, shape: &str, values: &[&str]) -> Result<Objects, String> {
        let mut command = self.command(shape, values);
        let output = command.arg(RELEASE).arg(chart).args(["--namespace", NAMESPACE]).output().unwrap();
        let objects = python(include_str!("objects.py"), &[], &stdout(output)?);
        Ok(Objects(serde_json::from_str(&objects).unwrap()))
    }

    /// A shape again, over what `lookup` finds at the server of a kubeconfig.
    pub fn upgrade(&self, shape: &str, kubeconfig: &Path) -> Objects {
        let mut command = self.command(shape, &[]);
        command.arg(RELEASE).arg(chart()).args(["--namespace", NAMESPACE]);
        command.args(["--dry-run=server", "--disable-openapi-validation"]).env("KUBECONFIG", kubeconfig);
        let rendered = stdout(command.output().unwrap()).unwrap_or_else(|error| panic!("{shape}: {error}"));
        Objects(serde_json::from_str(&python(include_str!("objects.py"), &[], &rendered)).unwrap())
    }

    pub fn lint(&self, shape: &str) -> Result<String, String> {
        let mut command = Command::new(&self.0);
        command.args(["lint", "--strict"]).arg(chart());
        for file in values_of(shape) {
            command.arg("--values").arg(file);
        }
        stdout(command.output().unwrap())
    }

    fn command(&self, shape: &str, values: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.arg("template");
        for file in values_of(shape) {
            command.arg("--values").arg(file);
        }
        for value in values {
            command.args(["--set-json", value]);
        }
        command
    }
}

fn stdout(output: Output) -> Result<String, String> {
    let text = String::from_utf8(output.stdout).unwrap();
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// A list of problems, empty when all is well.
pub fn validate(objects: &Objects, versions: &[&str]) -> String {
    let text = serde_json::to_string(&objects.0).unwrap();
    python(include_str!("validate.py"), versions, &text)
}

pub fn python(script: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("python3")
        .env("PYTHONPATH", python_packages())
        .args(["-c", script])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // Beside reading, because pipes are short.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    stdout(output).unwrap_or_else(|error| panic!("python3: {error}"))
}

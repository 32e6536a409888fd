//! Flags and help texts. Each flag is also a key of the configuration file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

/// An SMTP relay that lets no destination hold another.
///
/// Every flag is also a key of the TOML file given by --config, with "_" for "-", and may be set
/// as HIKYAKU__KEY in the environment. Flags win over the environment, and that over the file.
#[derive(Debug, Parser)]
#[command(name = "hikyaku", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on one machine: all roles and a NATS server of its own.
    Up(Flags),
    /// Run the SMTP server role against a given NATS and policy service.
    Ingress(Flags),
    /// Run the delivery role against a given NATS and policy service.
    Delivery(Flags),
    /// Run the policy and directory role against a given NATS.
    Policy(Flags),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Up,
    Ingress,
    Delivery,
    Policy,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Ingress => "ingress",
            Self::Delivery => "delivery",
            Self::Policy => "policy",
        }
    }
}

impl Command {
    pub(crate) fn split(self) -> (Role, Flags) {
        match self {
            Self::Up(flags) => (Role::Up, flags),
            Self::Ingress(flags) => (Role::Ingress, flags),
            Self::Delivery(flags) => (Role::Delivery, flags),
            Self::Policy(flags) => (Role::Policy, flags),
        }
    }
}

#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct Flags {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Folder for the queue of `up` and for the files that it makes [default: ./hikyaku-data].
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<String>,
    /// Address to receive mail on; may be given several times [default: 127.0.0.1:2525].
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smtp: Vec<String>,
    /// Address to take mail from people and programs with an account on, with STARTTLS; may be given
    /// several times. =DOMAIN completes logins without a domain. Needs --tls-certificate.
    #[arg(long, value_name = "ADDR[=DOMAIN]")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    submission: Vec<String>,
    /// The same with TLS from the first octet.
    #[arg(long, value_name = "ADDR[=DOMAIN]")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    submissions: Vec<String>,
    #[command(flatten)]
    tls: TlsFlags,
    /// DNS resolver, with or without port; may be given several times [default: the system's].
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dns: Vec<String>,
    /// Network whose clients may send anywhere, for example 192.168.0.0/24; may be given several
    /// times. `up` writes it into the directory. Default: nobody.
    #[arg(long, value_name = "CIDR")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    relay_from: Vec<String>,
    /// Accept mail for every address of DOMAIN and send it to HOST:PORT; may be given several
    /// times. `up` writes it into the directory.
    #[arg(long, value_name = "DOMAIN=HOST:PORT")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    own_domain: Vec<String>,
    /// Our name in greetings, trace fields and reports [default: the machine's name].
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    /// NATS server, or "embedded" for one of our own (only `up`) [default: embedded].
    #[arg(long, value_name = "URL|embedded")]
    #[serde(skip_serializing_if = "Option::is_none")]
    nats: Option<String>,
    /// Program of the embedded NATS server [default: nats-server beside this program, in the data
    /// folder, or on the PATH].
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    nats_server: Option<String>,
    /// Address for Prometheus to read metrics from [default: none].
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<String>,
}

/// The section "tls" of the file.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct TlsFlags {
    /// Certificate for clients, PEM, with those that lead to its root; read again when it changes.
    #[arg(long = "tls-certificate", value_name = "FILE", requires = "key")]
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    /// Its private key, PEM.
    #[arg(long = "tls-key", value_name = "FILE", requires = "certificate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

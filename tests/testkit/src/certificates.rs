//! An authority of one's own, and certificates of it, as files in PEM.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use sha2::{Digest as _, Sha256};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What stands in a certificate.
#[derive(Default)]
pub struct Names<'a> {
    pub common: &'a str,
    /// Names of hosts, and addresses.
    pub dns: &'a [&'a str],
    pub uris: &'a [&'a str],
}

pub struct Pair {
    pub der: Vec<u8>,
    pub certificate: String,
    pub key: String,
}

/// Where a pair was written to.
#[derive(Clone)]
pub struct PairFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    pub fn issue(&self, names: &Names<'_>) -> anyhow::Result<Pair> {
        let hosts: Vec<String> = names.dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, names.common);
        for uri in names.uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into()?));
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Pair { der: certificate.der().to_vec(), certificate: certificate.pem(), key: key.serialize_pem() })
    }

    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(fs::write(path, &self.pem)?)
    }
}

impl Pair {
    /// The data of a TLSA record: DANE-EE, whole certificate, SHA-256.
    pub fn tlsa(&self) -> String {
        let digest = Sha256::digest(&self.der);
        let digest: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        format!("3 0 1 {digest}")
    }

    /// As `name.crt` and `name.key`.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<PairFiles> {
        let file = |extension: &str| folder.join(format!("{name}.{extension}"));
        let files = PairFiles { certificate: file("crt"), key: file("key") };
        fs::write(&files.certificate, &self.certificate)?;
        fs::write(&files.key, &self.key)?;
        Ok(files)
    }
}

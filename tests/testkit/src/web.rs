//! A web server with a certificate, that answers each host as it is told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::certificates::{Authority, Names};

#[derive(Debug, Clone)]
pub struct WebServer {
    pub port: u16,
    /// By host.
    answers: Arc<Mutex<HashMap<String, String>>>,
}

impl WebServer {
    /// With a certificate of this authority for these hosts.
    pub async fn start(authority: &Authority, hosts: &[&str]) -> anyhow::Result<Self> {
        let common = hosts.first().copied().unwrap_or("nobody.test");
        let pair = authority.issue(&Names { common, dns: hosts, uris: &[] })?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(pair.der)], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = Self { port: listener.local_addr()?.port(), answers: Arc::default() };
        let answers = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answers.clone().answer(acceptor.clone(), stream));
            }
        });
        Ok(server)
    }

    /// `head` is the status and the fields.
    pub fn says(&self, host: &str, head: &str, body: &str) {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), answer);
    }

    async fn answer(self, acceptor: TlsAcceptor, stream: TcpStream) -> anyhow::Result<()> {
        // A client that does not like the certificate leaves.
        let mut stream = acceptor.accept(stream).await?;
        let mut request = [0; 4_096];
        let length = stream.read(&mut request).await?;
        let asked = String::from_utf8_lossy(&request[..length]).to_lowercase();
        let host = asked.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default().trim().to_owned();
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned();
        let answer =
            answer.unwrap_or_else(|| "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned());
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        Ok(())
    }
}

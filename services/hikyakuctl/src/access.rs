//! Who asks: what is shown to a service, and whom we trust.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use hikyaku_grpc::{ClientConfig, ClientTls, tls::Identity};

/// Who asks. Each may stand in the environment too.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Who asks")]
pub(crate) struct Access {
    /// A file with a token. `hikyaku up` keeps one in its data folder: operator-token.
    #[arg(long, global = true, value_name = "FILE", env = "HIKYAKU_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Authorities that may have issued the server's certificate, in PEM; for https.
    #[arg(long, global = true, value_name = "FILE", env = "HIKYAKU_CA")]
    ca: Option<PathBuf>,
    /// Our certificate, in PEM.
    #[arg(long, global = true, value_name = "FILE", env = "HIKYAKU_CERTIFICATE")]
    certificate: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, global = true, value_name = "FILE", env = "HIKYAKU_KEY")]
    key: Option<PathBuf>,
    /// The name in the server's certificate [default: the host of the URL].
    #[arg(long, global = true, value_name = "NAME", env = "HIKYAKU_SERVER_NAME")]
    server_name: Option<String>,
    /// Send the token without TLS to other machines too: the network hides it (a service mesh).
    #[arg(long, global = true)]
    plaintext: bool,
}

impl Access {
    pub(crate) fn config(&self) -> Result<ClientConfig, String> {
        let Self { token_file, ca, certificate, key, server_name, plaintext } = self.clone();
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err("--certificate and --key belong together".to_owned());
            }
        };
        let tls = match (ca, &identity) {
            (Some(ca), _) => Some(ClientTls { ca, identity, server_name }),
            (None, Some(_)) => return Err("--certificate needs --ca".to_owned()),
            (None, None) => None,
        };
        Ok(ClientConfig { tls, token_file, plaintext })
    }
}

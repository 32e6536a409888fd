//! A command and its reply, one after the other.

use std::time::Duration;

use hikyaku_doctor::diagnose::view::Said;
use hikyaku_runtime::{
    error_chain::chain,
    tls::{ClientStream, Secured, TlsConnector, Trust},
};
use hikyaku_smtp::wire::reply::ReplyReader;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Limits;
use crate::connection::local_error::describe;

const READ_BUFFER: usize = 4 * 1024;
/// Nobody is waited for with the last word.
const FAREWELL: Duration = Duration::from_millis(500);

pub(super) struct Dialog {
    stream: ClientStream,
    replies: ReplyReader,
    limits: Limits,
}

impl Dialog {
    pub(super) fn new(stream: ClientStream, limits: Limits) -> Self {
        Self { stream, replies: ReplyReader::default(), limits }
    }

    pub(super) async fn greeting(&mut self) -> Said {
        self.within(self.limits.greeting, None).await
    }

    pub(super) async fn say(&mut self, command: &str) -> Said {
        self.within(self.limits.reply, Some(command)).await
    }

    async fn within(&mut self, limit: Duration, command: Option<&str>) -> Said {
        let limit = self.limits.left(limit);
        match tokio::time::timeout(limit, self.exchange(command)).await {
            Ok(Ok(said)) => said,
            Ok(Err(why)) => Said::Nothing(why),
            Err(_) => Said::Nothing(format!("silence for {} s", limit.as_secs())),
        }
    }

    async fn exchange(&mut self, command: Option<&str>) -> Result<Said, String> {
        if let Some(command) = command {
            let line = format!("{command}\r\n");
            self.stream.write_all(line.as_bytes()).await.map_err(|error| describe(&error))?;
            self.stream.flush().await.map_err(|error| describe(&error))?;
        }
        let mut buffer = [0; READ_BUFFER];
        loop {
            match self.replies.next_reply() {
                Ok(Some(reply)) => {
                    let enhanced = reply.enhanced.map(|status| format!("{status} ")).unwrap_or_default();
                    return Ok(Said::Reply { code: reply.code, text: enhanced + &reply.text });
                }
                Ok(None) => {}
                Err(error) => return Err(error.to_string()),
            }
            let count = self.stream.read(&mut buffer).await.map_err(|error| describe(&error))?;
            if count == 0 {
                return Err("connection closed by peer".to_owned());
            }
            self.replies.push(buffer.get(..count).unwrap_or_default());
        }
    }

    /// The handshake, with the reason when it fails.
    pub(super) async fn secure(
        self,
        connector: &TlsConnector,
        host: &str,
        trust: &Trust,
    ) -> Result<(Self, Secured), String> {
        // RFC 3207 4.2: what was said in the clear behind the reply is not to be believed.
        if !self.replies.is_empty() {
            return Err("octets in the clear behind the reply to STARTTLS".to_owned());
        }
        let limit = self.limits.left(self.limits.reply);
        let handshake = connector.secure(self.stream, host, trust);
        match tokio::time::timeout(limit, handshake).await {
            Ok(Ok((stream, secured))) => Ok((Self::new(stream, self.limits), secured)),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err(format!("the handshake takes longer than {} s", limit.as_secs())),
        }
    }

    pub(super) async fn quit(mut self) {
        // The peer may be gone.
        let _ = tokio::time::timeout(FAREWELL, self.exchange(Some("QUIT"))).await;
        let _ = tokio::time::timeout(FAREWELL, self.stream.shutdown()).await;
    }
}

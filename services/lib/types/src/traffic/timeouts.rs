//! How long the hosts of a destination may take (SEED-154).

use std::time::Duration;

use super::{
    settings::{Settings, key},
    value::write_time,
};

/// What a rule says; what it leaves out is as RFC 5321 4.5.3.2 has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeoutOverrides {
    /// Until the connection is there.
    pub connect: Option<Duration>,
    pub greeting: Option<Duration>,
    /// The reply to each command but DATA and QUIT.
    pub command: Option<Duration>,
    /// The reply to DATA.
    pub data: Option<Duration>,
    /// Each piece of content that is sent.
    pub block: Option<Duration>,
    /// The reply to the final dot.
    pub final_dot: Option<Duration>,
    /// One message, from MAIL to its last reply.
    pub message: Option<Duration>,
}

impl Settings for TimeoutOverrides {
    fn or(self, other: &Self) -> Self {
        Self {
            connect: self.connect.or(other.connect),
            greeting: self.greeting.or(other.greeting),
            command: self.command.or(other.command),
            data: self.data.or(other.data),
            block: self.block.or(other.block),
            final_dot: self.final_dot.or(other.final_dot),
            message: self.message.or(other.message),
        }
    }

    fn written(&self) -> Vec<(&'static str, String)> {
        let times = [
            (key::TIMEOUT_CONNECT, self.connect),
            (key::TIMEOUT_GREETING, self.greeting),
            (key::TIMEOUT_COMMAND, self.command),
            (key::TIMEOUT_DATA, self.data),
            (key::TIMEOUT_BLOCK, self.block),
            (key::TIMEOUT_FINAL_DOT, self.final_dot),
            (key::TIMEOUT_MESSAGE, self.message),
        ];
        times.into_iter().filter_map(|(key, time)| Some((key, write_time(time?)))).collect()
    }
}

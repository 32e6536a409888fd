//! What becomes of the mail log.

use std::{path::PathBuf, time::Duration};

use hikyaku_mail_log::sink::FileConfig;
use hikyaku_queue::topology::MailLogLimits;
use hikyaku_runtime::mail_log::WebhookConfig;
use serde::Deserialize;

use super::Problems;

const GIB: u64 = 1 << 30;
const DAY: Duration = Duration::from_secs(24 * 3_600);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMailLog {
    stdout: Option<bool>,
    connections: bool,
    file: Option<PathBuf>,
    file_max_bytes: Option<u64>,
    file_keep: Option<u32>,
    stream: Option<bool>,
    keep_days: Option<u64>,
    max_bytes: Option<u64>,
    otlp: bool,
    webhook: Option<String>,
    webhook_token_file: Option<PathBuf>,
    webhook_ca: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub(crate) struct MailLogConfig {
    pub(crate) stdout: bool,
    /// Connections are events.
    pub(crate) connections: bool,
    pub(crate) file: Option<FileConfig>,
    /// How much the cluster keeps; absent: nothing.
    pub(crate) kept: Option<MailLogLimits>,
    pub(crate) otlp: bool,
    pub(crate) webhook: Option<WebhookConfig>,
}

pub(super) fn check(raw: RawMailLog, has_collector: bool, problems: &mut Problems) -> MailLogConfig {
    let max_bytes = problems.within(
        "mail_log.file_max_bytes",
        raw.file_max_bytes,
        100 * 1024 * 1024,
        64 * 1024..=1 << 40,
    );
    let keep = problems.within("mail_log.file_keep", raw.file_keep, 10, 0..=1_000);
    let days = problems.within("mail_log.keep_days", raw.keep_days, 7, 1..=400);
    let bytes = problems.within("mail_log.max_bytes", raw.max_bytes, 2 * GIB, GIB / 16..=1024 * GIB);
    let age = DAY * u32::try_from(days).unwrap_or(u32::MAX);
    let kept = raw.stream.unwrap_or(true).then_some(MailLogLimits { age, bytes });
    if raw.otlp && !has_collector {
        problems.note("mail_log.otlp", true, "otlp_endpoint is missing");
    }
    if raw.webhook.is_some() && kept.is_none() {
        problems.note("mail_log.webhook", "...", "lines wait for it in the stream: mail_log.stream is off");
    }
    for (key, file) in [("webhook_token_file", &raw.webhook_token_file), ("webhook_ca", &raw.webhook_ca)] {
        if file.is_some() && raw.webhook.is_none() {
            problems.note(&format!("mail_log.{key}"), file, "mail_log.webhook is missing");
        }
    }
    let webhook =
        raw.webhook.map(|url| WebhookConfig { url, token_file: raw.webhook_token_file, ca: raw.webhook_ca });
    MailLogConfig {
        stdout: raw.stdout.unwrap_or(true),
        connections: raw.connections,
        file: raw.file.map(|path| FileConfig { path, max_bytes, keep }),
        kept,
        otlp: raw.otlp,
        webhook,
    }
}

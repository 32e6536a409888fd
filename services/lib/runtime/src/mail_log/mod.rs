//! Where else lines of the mail log go.

mod otlp; // to a collector
mod webhook; // to a web server

pub use otlp::{Otlp, OtlpError};
pub use webhook::{NotTaken, Webhook, WebhookConfig, WebhookError};

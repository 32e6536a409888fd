//! Process shell: TLS, telemetry, metrics endpoint, where the mail log goes, shutdown.

pub mod crypto; // the one TLS provider
pub mod tls; // certificates of files, streams in the clear and over TLS
pub mod telemetry; // logs
pub mod traces; // spans -> a collector
pub mod mail_log; // where else its lines go
pub mod metrics; // of the process itself
pub mod observe; // metrics, and whether the process lives and is ready
pub mod shutdown; // signals -> drain -> end
pub mod error_chain; // an error with all its sources, in one line

//! Process shell: telemetry, metrics endpoint, shutdown; knows nothing of mail.

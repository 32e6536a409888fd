//! The queue on NATS JetStream; the only crate that knows NATS.

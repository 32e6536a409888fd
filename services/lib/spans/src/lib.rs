//! Spans of a message's way. What there is to see is declared in [`declared`]; a [`Span`] is one that runs; a
//! [`Origin`] is what of it travels in headers.
//!
//! Nothing is made until a process that exports has called [`enable`]: then every function here costs one load.
//! A trace that is not sampled has one identity, which travels, and no other spans.

pub mod declared; // each by name
mod span; // one that runs
mod origin; // in headers of NATS and gRPC

pub use crate::{
    origin::{Origin, TRACEPARENT},
    span::{Span, enable, is_enabled, sampled},
};
pub use opentelemetry::Value;

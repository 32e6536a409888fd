//! Shard to remote MX to outcome.

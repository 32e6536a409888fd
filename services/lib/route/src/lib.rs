//! Destination to hosts and addresses; the only crate that knows DNS.

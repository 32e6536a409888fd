//! Real parts for tests: nats-server, DNS, scripted MX, relay processes.

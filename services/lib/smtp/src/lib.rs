//! The SMTP protocol as pure state machines: no socket, no clock.

//! SMTP bytes to a durable envelope.

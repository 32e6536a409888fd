//! Every span that there is. services/TRACES.md is made of this, and what arrives at a collector is compared
//! with it.

pub use opentelemetry::trace::SpanKind;

/// A span, as the documentation shows it.
#[derive(Debug)]
pub struct Declared {
    /// Of few values: never an address, a domain or an id.
    pub name: &'static str,
    pub kind: SpanKind,
    pub roles: &'static str,
    /// Below what it stands, or to what it is linked.
    pub place: &'static str,
    /// No other ones are ever set.
    pub attributes: &'static [&'static str],
    pub about: &'static str,
}

/// In the name of a span: the call's own.
pub const OF_CALL: &str = "{rpc.service}/{rpc.method}";

pub const CONNECTION: Declared = Declared {
    name: "smtp.server.connection",
    kind: SpanKind::Server,
    roles: "ingress",
    place: "a trace of its own",
    attributes: &[
        "client.address",
        "smtp.listener",
        "tls.protocol.version",
        "smtp.transactions",
        "error.type",
    ],
    about: "A client's connection, from its acceptance to its end. `error.type`: the handshake failed.",
};

pub const TRANSACTION: Declared = Declared {
    name: "smtp.server.transaction",
    kind: SpanKind::Server,
    roles: "ingress",
    place: "a trace of its own, with a link to the connection if that is sampled",
    attributes: &[
        "client.address",
        "smtp.listener",
        "smtp.transaction.outcome",
        "smtp.recipients",
        "smtp.message.size",
        "mail.queue_id",
        "error.type",
    ],
    about: "From MAIL to the answer to the content. `error.type`: the policy or the queue gave no answer.",
};

pub const RPC_CLIENT: Declared = Declared {
    name: OF_CALL,
    kind: SpanKind::Client,
    roles: "ingress, delivery",
    place: "in the span that asks",
    attributes: &[
        "rpc.system",
        "rpc.service",
        "rpc.method",
        "rpc.grpc.status_code",
        "server.address",
        "server.port",
        "error.type",
    ],
    about: "A question to one pod of the policy service. One that is answered from memory has no span.",
};

pub const RPC_SERVER: Declared = Declared {
    name: OF_CALL,
    kind: SpanKind::Server,
    roles: "policy, delivery",
    place: "in the client's span; a call without one, or with one that is not sampled, has none",
    attributes: &[
        "rpc.system",
        "rpc.service",
        "rpc.method",
        "rpc.grpc.status_code",
        "client.address",
        "error.type",
    ],
    about: "A call, from its admission to its answer.",
};

pub const PUBLISH: Declared = Declared {
    name: "{messaging.operation.name} {messaging.destination.template}",
    kind: SpanKind::Producer,
    roles: "ingress, delivery",
    place: "in the transaction, the attempt or the report",
    attributes: &[
        "messaging.system",
        "messaging.operation.name",
        "messaging.operation.type",
        "messaging.destination.name",
        "messaging.destination.template",
        "messaging.message.id",
        "error.type",
    ],
    about: "A write to a stream, until the stream has it on disk: an entry (`accept queue`, what later attempts are \
            linked to), its retry (`schedule queue`), a dead letter (`accept dead`), content (`store body`).",
};

pub const ATTEMPT: Declared = Declared {
    name: "process queue",
    kind: SpanKind::Consumer,
    roles: "delivery",
    place: "a trace of its own, with links to the span that wrote the entry and to the session if that is sampled",
    attributes: &[
        "messaging.system",
        "messaging.operation.name",
        "messaging.operation.type",
        "messaging.destination.name",
        "messaging.destination.template",
        "messaging.message.id",
        "mail.queue_id",
        "mail.attempt",
        "mail.lane",
        "mail.destination",
        "mail.recipients.delivered",
        "mail.recipients.deferred",
        "mail.recipients.bounced",
        "mail.failure.phase",
        "error.type",
    ],
    about: "An attempt, until its end is written. `error.type`: of the first failure that is no answer of the remote \
            host, as in `mail.delivery.attempts`; what a host says is no error.",
};

pub const SESSION: Declared = Declared {
    name: "smtp.client.session",
    kind: SpanKind::Client,
    roles: "delivery",
    place: "a trace of its own, because it serves many messages",
    attributes: &[
        "mail.destination",
        "server.address",
        "server.port",
        "network.peer.address",
        "tls.protocol.version",
        "smtp.transactions",
        "mail.failure.phase",
        "error.type",
    ],
    about: "A connection to a remote host: names, connecting, TLS, greeting, until its end.",
};

pub const TRANSFER: Declared = Declared {
    name: "smtp.client.transaction",
    kind: SpanKind::Client,
    roles: "delivery",
    place: "in the attempt",
    attributes: &["server.address", "server.port", "network.peer.address", "smtp.recipients", "error.type"],
    about: "One message in the session of a remote host, from MAIL to its last answer.",
};

pub const REPORT: Declared = Declared {
    name: "mail.report",
    kind: SpanKind::Internal,
    roles: "delivery",
    place: "in the attempt; the report's own attempts are linked to the `accept queue` in it",
    attributes: &["mail.report.kind", "mail.queue_id", "error.type"],
    about: "A report to the sender is composed and written. `mail.queue_id` is the report's.",
};

pub const ALL: [&Declared; 9] =
    [&CONNECTION, &TRANSACTION, &RPC_CLIENT, &RPC_SERVER, &PUBLISH, &ATTEMPT, &SESSION, &TRANSFER, &REPORT];

use crate::observe::panel::{
    Board,
    Unit::{Bytes, Count, PerSecond, Seconds, Share},
    durations, extreme, level, lines, quantile, query, rate, row, share,
};

pub fn board() -> Board {
    Board {
        name: "ingress",
        title: "Hikyaku: ingress",
        text: "Sessions of clients, from the connection to the 250.",
        rows: vec![
            row(
                "Sessions",
                vec![
                    lines(
                        "Connections by process",
                        Count,
                        "At its limit (ingress.max_connections) a process answers 421 4.3.2.",
                        vec![query(level("smtp_server_connections", "instance"), "{{instance}}")],
                    ),
                    lines(
                        "Handshakes",
                        PerSecond,
                        "By outcome and version of TLS.",
                        vec![query(
                            rate("smtp_server_tls_handshakes_total", "outcome, version"),
                            "{{outcome}} {{version}}",
                        )],
                    ),
                    lines(
                        "Until a certificate ends",
                        Seconds,
                        "The first of those that clients are shown.",
                        vec![query(
                            format!(
                                "{} - time()",
                                extreme("min", "smtp_server_tls_certificate_expiry_seconds", "instance")
                            ),
                            "{{instance}}",
                        )],
                    ),
                    lines(
                        "Until a certificate for brokers or roles ends",
                        Seconds,
                        "What this process shows to brokers and to other roles.",
                        vec![query(
                            format!(
                                "{} - time()",
                                extreme("min", "tls_certificate_expiry_seconds", "channel, instance")
                            ),
                            "{{channel}} {{instance}}",
                        )],
                    ),
                    lines(
                        "Unreadable PROXY headers",
                        PerSecond,
                        "Connections of load balancers that were ended: ingress.proxy_from names one that sends none.",
                        vec![query(rate("smtp_server_proxy_errors_total", ""), "ended")],
                    ),
                    lines(
                        "Logins",
                        PerSecond,
                        "Deferred: nobody could say (454).",
                        vec![query(
                            rate("smtp_server_authentications_total", "mechanism, outcome"),
                            "{{mechanism}} {{outcome}}",
                        )],
                    ),
                ],
            ),
            row(
                "Transactions",
                vec![
                    lines(
                        "By outcome",
                        PerSecond,
                        "Aborted: the client went away or gave up.",
                        vec![query(rate("smtp_server_transactions_total", "outcome"), "{{outcome}}")],
                    ),
                    lines(
                        "Deferred",
                        Share,
                        "Of all: 4yz for want of policy, broker or memory, or by a limit.",
                        vec![query(
                            share("smtp_server_transactions_total", "outcome=\"deferred\""),
                            "deferred",
                        )],
                    ),
                    lines(
                        "Refused and put off",
                        PerSecond,
                        "Connections, commands and messages, by the check that did it; limits are among them.",
                        vec![query(rate("smtp_server_refusals_total", "check") + " > 0", "{{check}}")],
                    ),
                    lines(
                        "Memory for content",
                        Bytes,
                        "At three quarters of the limit new messages are put off.",
                        vec![query(
                            level("smtp_server_content_memory_bytes", "state, instance"),
                            "{{state}} {{instance}}",
                        )],
                    ),
                    lines(
                        "Size",
                        Bytes,
                        "Content of accepted messages.",
                        vec![
                            query(quantile(0.5, "smtp_server_message_size_bytes", ""), "half"),
                            query(quantile(0.99, "smtp_server_message_size_bytes", ""), "99 %"),
                        ],
                    ),
                    lines(
                        "Bytes accepted",
                        Bytes,
                        "In a second.",
                        vec![query(rate("smtp_server_message_size_bytes_sum", ""), "bytes")],
                    ),
                ],
            ),
            row(
                "What a 250 waits for",
                vec![
                    lines(
                        "Policy",
                        Seconds,
                        "Until a question was answered, waiting and travelling included.",
                        durations("mail_policy_decision_duration_seconds", "source=\"remote\""),
                    ),
                    lines(
                        "Acknowledgement of the broker",
                        Seconds,
                        "Each one follows a write to disk on most brokers.",
                        durations(
                            "messaging_client_operation_duration_seconds",
                            "messaging_operation_name=\"accept\"",
                        ),
                    ),
                ],
            ),
        ],
    }
}

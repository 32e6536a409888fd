use crate::observe::panel::{
    Board,
    Unit::{PerSecond, Seconds, Share},
    durations, lines, query, rate, rate_of, row, share,
};

pub fn board() -> Board {
    Board {
        name: "destination",
        title: "Hikyaku: delivery by phase and error",
        text: "No metric names a destination, because there may be millions. What fails, and where in a session, is here; \
               whose it is, is told by: hikyakuctl destination list, destination show D, trace --destination D, \
               diagnose D, and the mail log.",
        rows: vec![
            row(
                "Outcome",
                vec![
                    lines(
                        "Recipients by the end of their attempt",
                        PerSecond,
                        "All destinations.",
                        vec![query(rate("mail_delivery_attempts_total", "outcome"), "{{outcome}}")],
                    ),
                    lines(
                        "Deferred and bounced",
                        Share,
                        "Of all recipients that were tried.",
                        vec![
                            query(share("mail_delivery_attempts_total", "outcome=\"deferred\""), "deferred"),
                            query(share("mail_delivery_attempts_total", "outcome=\"bounced\""), "bounced"),
                        ],
                    ),
                    lines(
                        "From 250 to delivered",
                        Seconds,
                        "Waits included.",
                        durations("mail_delivery_latency_seconds", "outcome=\"delivered\""),
                    ),
                    lines(
                        "From 250 to bounced",
                        Seconds,
                        "Short: refused at once. Long: given up.",
                        durations("mail_delivery_latency_seconds", "outcome=\"bounced\""),
                    ),
                ],
            ),
            row(
                "Where sessions fail",
                vec![
                    lines(
                        "Deferred, by phase",
                        PerSecond,
                        "At rcpt: greylisting and full mailboxes. At connect and greeting: dead hosts.",
                        vec![query(
                            rate_of("mail_delivery_attempts_total", "outcome=\"deferred\"", "phase"),
                            "{{phase}}",
                        )],
                    ),
                    lines(
                        "Deferred, by error",
                        PerSecond,
                        "REPLY: what a host said. All else happened on our side of the connection.",
                        vec![query(
                            rate_of("mail_delivery_attempts_total", "outcome=\"deferred\"", "error_type"),
                            "{{error_type}}",
                        )],
                    ),
                    lines(
                        "Bounced, by phase and error",
                        PerSecond,
                        "At rcpt: unknown users. At content: filters.",
                        vec![query(
                            rate_of(
                                "mail_delivery_attempts_total",
                                "outcome=\"bounced\"",
                                "phase, error_type",
                            ),
                            "{{phase}} {{error_type}}",
                        )],
                    ),
                ],
            ),
            row(
                "TLS",
                vec![
                    lines(
                        "Sessions by what became of TLS",
                        PerSecond,
                        "Refused: not offered where it is asked for. Failed: the handshake, or the certificate.",
                        vec![query(
                            rate("smtp_client_tls_sessions_total", "mode, outcome, version"),
                            "{{mode}} {{outcome}} {{version}}",
                        )],
                    ),
                    lines(
                        "MTA-STS policies",
                        PerSecond,
                        "Tries to fetch one.",
                        vec![query(rate("mail_delivery_mta_sts_fetches_total", "result"), "{{result}}")],
                    ),
                    lines(
                        "MTA-STS rehearsals",
                        PerSecond,
                        "Sessions with domains that test their policy: would it have let mail through?",
                        vec![query(rate("mail_delivery_mta_sts_rehearsals_total", "result"), "{{result}}")],
                    ),
                ],
            ),
        ],
    }
}

use crate::observe::panel::{
    Board,
    Unit::{Count, PerSecond, Seconds},
    level, lines, quantile_of, query, rate, row,
};

pub fn board() -> Board {
    Board {
        name: "delivery",
        title: "Hikyaku: delivery workers",
        text: "What each worker owns and does.",
        rows: vec![
            row(
                "Workers",
                vec![
                    lines(
                        "Shards",
                        Count,
                        "Owned by each worker; together they are all shards of the cluster.",
                        vec![query(level("mail_delivery_shards", "instance"), "{{instance}}")],
                    ),
                    lines(
                        "Destinations",
                        Count,
                        "With work, by worker.",
                        vec![query(level("mail_delivery_destinations", "instance"), "{{instance}}")],
                    ),
                    lines(
                        "Sessions to next hops",
                        Count,
                        "At its limit (delivery.max_connections) a worker begins no more.",
                        vec![query(level("smtp_client_connections", "instance"), "{{instance}}")],
                    ),
                    lines(
                        "Could go now",
                        Count,
                        "Entries of its shards that are due and not held back by a limit. Autoscaling looks at it.",
                        vec![query(level("mail_delivery_due", "instance"), "{{instance}}")],
                    ),
                    lines(
                        "From 250 to delivered, by lane",
                        Seconds,
                        "99 %, by the lane of the last attempt. Fresh: delivered at the first one.",
                        vec![query(
                            quantile_of(
                                0.99,
                                "mail_delivery_latency_seconds",
                                "outcome=\"delivered\"",
                                "lane",
                            ),
                            "{{lane}}",
                        )],
                    ),
                    lines(
                        "Why recipients are tried again",
                        PerSecond,
                        "temp: the host said so. noreply: it could not be asked. policy: our rules did not let it go.",
                        vec![query(rate("mail_delivery_deferrals_total", "class"), "{{class}}")],
                    ),
                    lines(
                        "Recipients tried",
                        PerSecond,
                        "By worker.",
                        vec![query(rate("mail_delivery_attempts_total", "instance"), "{{instance}}")],
                    ),
                ],
            ),
            row(
                "Trouble",
                vec![
                    lines(
                        "Attempts given up",
                        PerSecond,
                        "The broker had not been heard for too long, so another worker may own the entry.",
                        vec![query(rate("mail_delivery_fenced_total", "instance"), "{{instance}}")],
                    ),
                    lines(
                        "Actors started again",
                        PerSecond,
                        "After a failure of ours; the log has it.",
                        vec![query(
                            rate("actor_restarts_total", "actor_kind, instance"),
                            "{{actor_kind}} {{instance}}",
                        )],
                    ),
                    lines(
                        "Parked",
                        PerSecond,
                        "Entries set aside because their destination had enough in memory.",
                        vec![query(rate("mail_delivery_parked_total", "instance"), "{{instance}}")],
                    ),
                    lines(
                        "Rerouted",
                        PerSecond,
                        "Entries that went to another destination because their route had changed.",
                        vec![query(rate("mail_delivery_rerouted_total", ""), "rerouted")],
                    ),
                ],
            ),
            row(
                "What becomes of failed mail",
                vec![
                    lines(
                        "Reports to senders",
                        PerSecond,
                        "Failed, late by hours, or passed to a host that reports nothing.",
                        vec![query(rate("mail_delivery_reports_total", "kind"), "{{kind}}")],
                    ),
                    lines(
                        "Dead letters",
                        PerSecond,
                        "Failed mail of the null sender: hikyakuctl dead list.",
                        vec![query(rate("mail_delivery_dead_letters_total", ""), "dead letters")],
                    ),
                ],
            ),
        ],
    }
}

use crate::observe::panel::{
    Board,
    Unit::{Count, PerSecond, Seconds},
    extreme, level, lines, quantile, query, rate, row,
};

pub fn board() -> Board {
    Board {
        name: "queue",
        title: "Hikyaku: queue and broker",
        text: "What waits, how long, and what the brokers do about it.",
        rows: vec![
            row(
                "Queue",
                vec![
                    lines(
                        "Entries by lane",
                        Count,
                        "Fresh: never tried. Bulk: of senders with much mail. Due: to be tried again now. Scheduled: later.",
                        vec![query(level("mail_queue_entries", "lane"), "{{lane}}")],
                    ),
                    lines(
                        "Could go now",
                        Count,
                        "Due, and no limit of their destination holds them back: more workers would send them sooner.",
                        vec![query(level("mail_delivery_due", ""), "due")],
                    ),
                    lines(
                        "Age of the oldest",
                        Seconds,
                        "How long it has been ready. It grows where nobody works.",
                        vec![query(extreme("max", "mail_queue_oldest_age_seconds", "lane"), "{{lane}}")],
                    ),
                    lines(
                        "Entries by worker",
                        Count,
                        "In the shards that it owns.",
                        vec![query(level("mail_queue_entries", "instance"), "{{instance}}")],
                    ),
                    lines(
                        "Shards",
                        Count,
                        "As workers see them; one without an owner is worked on by nobody.",
                        vec![query(extreme("min", "mail_queue_shards", "state"), "{{state}}")],
                    ),
                    lines(
                        "Dead letters",
                        Count,
                        "Failed mail that nobody could be told of: hikyakuctl dead list. They are kept for 30 days.",
                        vec![query(level("mail_queue_dead_letters", ""), "kept")],
                    ),
                    lines(
                        "Held by operators",
                        Count,
                        "All mail, or so many destinations: hikyakuctl destination list. It waits until somebody releases it.",
                        vec![query(level("mail_queue_holds", "scope"), "{{scope}}")],
                    ),
                    lines(
                        "Age of the oldest hold",
                        Seconds,
                        "Give-up clocks of what is held stand still, so nobody else is told of it.",
                        vec![query(extreme("max", "mail_queue_holds_oldest_age_seconds", ""), "oldest")],
                    ),
                    lines(
                        "Content collected",
                        PerSecond,
                        "Of entries that are gone; the shards are looked at every ten minutes.",
                        vec![query(rate("mail_queue_orphans_total", ""), "collected")],
                    ),
                ],
            ),
            row(
                "Brokers",
                vec![
                    lines(
                        "Each write is synced",
                        Count,
                        "1, or 0 as this process sees it; then it takes no mail.",
                        vec![query(extreme("min", "mail_queue_durable", "instance"), "{{instance}}")],
                    ),
                    lines(
                        "Until the acknowledgement",
                        Seconds,
                        "99 %, by what was published.",
                        vec![query(
                            quantile(
                                0.99,
                                "messaging_client_operation_duration_seconds",
                                "messaging_operation_name",
                            ),
                            "{{messaging_operation_name}}",
                        )],
                    ),
                    lines(
                        "Publishes",
                        PerSecond,
                        "Acknowledged ones.",
                        vec![query(
                            rate(
                                "messaging_client_operation_duration_seconds_count",
                                "messaging_operation_name",
                            ),
                            "{{messaging_operation_name}}",
                        )],
                    ),
                    lines(
                        "Repeated publishes",
                        PerSecond,
                        "No acknowledgement came in time. The broker tells twins apart.",
                        vec![query(
                            rate("mail_queue_publish_repeated_total", "messaging_operation_name"),
                            "{{messaging_operation_name}}",
                        )],
                    ),
                    lines(
                        "Custody",
                        PerSecond,
                        "Events of the audit that were written after their mail went on, or never.",
                        vec![
                            query(rate("mail_custody_late_total", ""), "late"),
                            query(rate("mail_custody_lost_total", ""), "lost"),
                        ],
                    ),
                    lines(
                        "Lines of logs that were lost",
                        PerSecond,
                        "A disk, a reader of standard output, a web server or the brokers do not keep up or refuse. Mail is not touched.",
                        vec![
                            query(rate("mail_log_lost_total", "sink"), "{{sink}}"),
                            query(rate("process_log_lost_total", ""), "log of the processes"),
                        ],
                    ),
                    lines(
                        "Mail log: the webhook is behind by",
                        Count,
                        "Batches that it has not taken; they wait in the brokers.",
                        vec![query(extreme("max", "mail_log_webhook_waiting", ""), "batches")],
                    ),
                    lines(
                        "Mail log: the oldest batch that the webhook has not taken",
                        Seconds,
                        "What passes the age of the log, or its limit in bytes, before it was taken is lost to the webhook.",
                        vec![query(extreme("max", "mail_log_webhook_oldest_age_seconds", ""), "age")],
                    ),
                ],
            ),
        ],
    }
}

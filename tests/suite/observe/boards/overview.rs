use crate::observe::panel::{
    Board,
    Unit::{Bytes, Count, PerSecond, Seconds, Share},
    durations, extreme, figure, level, lines, query, rate, rate_of, row, share,
};

pub fn board() -> Board {
    Board {
        name: "overview",
        title: "Hikyaku: overview",
        text: "Is mail accepted, does it wait, does it arrive?",
        rows: vec![
            row(
                "Now",
                vec![
                    figure(
                        "Brokers sync",
                        Count,
                        "1: what was acknowledged is on disk. 0: mail is refused with 451.",
                        extreme("min", "mail_queue_durable", ""),
                    ),
                    figure(
                        "Could go now",
                        Count,
                        "Entries that are due and that no limit of their destination holds back.",
                        level("mail_delivery_due", ""),
                    ),
                    figure(
                        "Oldest due",
                        Seconds,
                        "How long the oldest of them has been ready.",
                        extreme("max", "mail_queue_oldest_age_seconds", ""),
                    ),
                    figure(
                        "Shards owned",
                        Count,
                        "All shards of the cluster when all is well.",
                        level("mail_delivery_shards", ""),
                    ),
                    figure(
                        "Directory",
                        Count,
                        "The version in force, of the policy service that is behind most.",
                        extreme("min", "mail_policy_directory_version", ""),
                    ),
                    figure(
                        "Unanswered policy",
                        Share,
                        "Questions that no policy service answered: clients hear 451.",
                        share("mail_policy_decision_duration_seconds_count", "source=\"fallback\""),
                    ),
                ],
            ),
            row(
                "Mail",
                vec![
                    lines(
                        "Transactions with clients",
                        PerSecond,
                        "Deferred: 4yz after MAIL; rejected: 5yz.",
                        vec![query(rate("smtp_server_transactions_total", "outcome"), "{{outcome}}")],
                    ),
                    lines(
                        "Recipients by the end of their attempt",
                        PerSecond,
                        "Deferred ones are tried again.",
                        vec![query(rate("mail_delivery_attempts_total", "outcome"), "{{outcome}}")],
                    ),
                    lines(
                        "From 250 to delivered",
                        Seconds,
                        "Of recipients that were delivered; includes the waits of those that were deferred.",
                        durations("mail_delivery_latency_seconds", "outcome=\"delivered\""),
                    ),
                    lines(
                        "Queue",
                        Count,
                        "Scheduled entries wait for their next attempt.",
                        vec![query(level("mail_queue_entries", "lane"), "{{lane}}")],
                    ),
                    lines(
                        "Sessions",
                        Count,
                        "Open ones.",
                        vec![
                            query(level("smtp_server_connections", ""), "of clients"),
                            query(level("smtp_client_connections", ""), "to next hops"),
                        ],
                    ),
                    lines(
                        "Wants a look",
                        PerSecond,
                        "What each is, is on the other dashboards.",
                        vec![
                            query(
                                rate_of("mail_delivery_attempts_total", "error_type=\"INTERNAL\"", ""),
                                "internal errors",
                            ),
                            query(rate("mail_delivery_dead_letters_total", ""), "dead letters"),
                            query(rate("actor_restarts_total", ""), "actors started again"),
                            query(rate("mail_delivery_fenced_total", ""), "attempts given up"),
                        ],
                    ),
                ],
            ),
            row(
                "Processes",
                vec![
                    lines(
                        "Versions",
                        Count,
                        "Processes by the version that they run.",
                        vec![query(level("hikyaku_build_info", "version"), "{{version}}")],
                    ),
                    lines(
                        "Processor time",
                        Count,
                        "Processors that each process keeps busy.",
                        vec![query(rate("process_cpu_seconds_total", "instance"), "{{instance}}")],
                    ),
                    lines(
                        "Memory",
                        Bytes,
                        "Of each process.",
                        vec![query(level("process_resident_memory_bytes", "instance"), "{{instance}}")],
                    ),
                    lines(
                        "Open files and connections",
                        Share,
                        "Of those that a process may have.",
                        vec![query(
                            format!(
                                "{} / {}",
                                extreme("max", "process_open_fds", "instance"),
                                extreme("max", "process_max_fds", "instance")
                            ),
                            "{{instance}}",
                        )],
                    ),
                    lines(
                        "Threads",
                        Count,
                        "Of each process.",
                        vec![query(level("process_threads", "instance"), "{{instance}}")],
                    ),
                    lines(
                        "Runs since",
                        Seconds,
                        "The age of each process.",
                        vec![query(
                            format!("time() - {}", extreme("max", "process_start_time_seconds", "instance")),
                            "{{instance}}",
                        )],
                    ),
                    lines(
                        "Spans",
                        PerSecond,
                        "Of traces: dropped ones had no room, failed ones no collector.",
                        vec![query(rate("telemetry_spans_total", "outcome"), "{{outcome}}")],
                    ),
                ],
            ),
        ],
    }
}

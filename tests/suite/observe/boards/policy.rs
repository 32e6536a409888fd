use crate::observe::panel::{
    Board,
    Unit::{Count, PerSecond, Seconds, Share},
    durations, extreme, lines, quantile, query, rate, row, share,
};

pub fn board() -> Board {
    Board {
        name: "policy",
        title: "Hikyaku: policy",
        text: "Who may send what, and where it goes: questions, answers, the directory and its callers.",
        rows: vec![
            row(
                "Questions",
                vec![
                    lines(
                        "Decisions",
                        PerSecond,
                        "Fallback: no service answered, so the client hears 451.",
                        vec![query(
                            rate("mail_policy_decision_duration_seconds_count", "decision, source"),
                            "{{decision}} {{source}}",
                        )],
                    ),
                    lines(
                        "Unanswered",
                        Share,
                        "Of all questions.",
                        vec![query(
                            share("mail_policy_decision_duration_seconds_count", "source=\"fallback\""),
                            "fallback",
                        )],
                    ),
                    lines(
                        "Until the answer",
                        Seconds,
                        "As those who ask see it.",
                        durations("mail_policy_decision_duration_seconds", "source=\"remote\""),
                    ),
                    lines(
                        "Inside the service",
                        Seconds,
                        "99 % of the calls of each method, without waiting and travelling.",
                        vec![query(
                            quantile(0.99, "rpc_server_call_duration_seconds", "rpc_service, rpc_method"),
                            "{{rpc_service}} {{rpc_method}}",
                        )],
                    ),
                    lines(
                        "Calls",
                        PerSecond,
                        "By method.",
                        vec![query(
                            rate("rpc_server_call_duration_seconds_count", "rpc_service, rpc_method"),
                            "{{rpc_service}} {{rpc_method}}",
                        )],
                    ),
                    lines(
                        "Refused calls",
                        PerSecond,
                        "By what was wrong with who called.",
                        vec![query(rate("rpc_server_refusals_total", "reason"), "{{reason}}")],
                    ),
                ],
            ),
            row(
                "People and addresses",
                vec![
                    lines(
                        "Logins",
                        PerSecond,
                        "Locked: too many wrong secrets before. Unavailable: the LDAP server was.",
                        vec![query(rate("mail_policy_authentications_total", "outcome"), "{{outcome}}")],
                    ),
                    lines(
                        "Recipients that others know",
                        PerSecond,
                        "By who was asked, now or before. Unclear: clients hear 451.",
                        vec![query(
                            rate("mail_policy_recipients_total", "source, result"),
                            "{{source}} {{result}}",
                        )],
                    ),
                    lines(
                        "Questions to next hops",
                        PerSecond,
                        "What workers were told at RCPT.",
                        vec![query(rate("mail_delivery_recipient_questions_total", "result"), "{{result}}")],
                    ),
                ],
            ),
            row(
                "Directory",
                vec![
                    lines(
                        "Version in force",
                        Count,
                        "All processes show the same within seconds of a change.",
                        vec![query(
                            extreme("max", "mail_policy_directory_version", "instance"),
                            "{{instance}}",
                        )],
                    ),
                    lines(
                        "Time to load a version",
                        Seconds,
                        "Reading, checking and swapping.",
                        vec![query(
                            quantile(0.99, "mail_policy_directory_load_duration_seconds", ""),
                            "99 %",
                        )],
                    ),
                    lines(
                        "Versions not brought into force",
                        PerSecond,
                        "They have errors, as this program sees it: another version of it wrote them.",
                        vec![query(rate("mail_policy_directory_rejected_total", "instance"), "{{instance}}")],
                    ),
                ],
            ),
        ],
    }
}

//! The part of a report that people read.

use std::fmt::Write as _;

use super::{
    Fate, Kind, Report, Reported,
    fields::{cut, one_line},
};
use crate::date::rfc5322;

impl Report<'_> {
    pub(super) fn explanation(&self) -> String {
        let host = self.reporting_mta;
        let (english, japanese) = match self.kind {
            Kind::Failed => ("Your message could not be delivered to:", "次の宛先に配信できませんでした。"),
            Kind::Delayed => (
                "Your message has not been delivered yet to the\r\n\
                 recipients below. You need not send it again: it is still being tried.",
                "次の宛先にはまだ配信できていません。\r\n再送を続けますので、送り直していただく必要はありません。",
            ),
            Kind::Relayed => (
                "For the recipients below your message was handed\r\n\
                 to a mail server that does not report deliveries. You will hear no more of it\r\n\
                 unless it comes back.",
                "次の宛先へのメッセージは、\r\n配信通知に対応していないメールサーバーに引き渡しました。\r\n\
                 返送された場合を除き、これ以降の通知はありません。",
            ),
        };
        let mut text = format!(
            "This is the mail relay {host}. {english}\r\nメールリレー {host} からのお知らせです。{japanese}\r\n\r\n"
        );
        for reported in self.recipients {
            explain(reported, &mut text);
        }
        let _ = write!(
            text,
            "\r\nIt was accepted / 受付日時: {}\r\nQueue id / 受付番号: {}\r\n\r\n",
            rfc5322(self.about.accepted_at),
            self.about.entry.queue_id
        );
        text
    }
}

/// Writing to a `String` cannot fail.
fn explain(reported: &Reported<'_>, text: &mut String) {
    let _ = write!(text, "<{}>", reported.recipient.address);
    if let Some(original) = &reported.recipient.original {
        let _ = write!(text, " (you wrote / 元の宛先 <{}>)", one_line(original));
    }
    let said = match reported.fate {
        Fate::Failed { failure, .. } | Fate::Delayed { failure, .. } => failure.cause.to_string(),
        Fate::Relayed { reply, .. } => reply.to_string(),
    };
    let _ = write!(text, "\r\n    {}\r\n", cut(&one_line(&said), "\r\n    "));
    match reported.fate {
        Fate::Failed { failure, last_attempt, .. } | Fate::Delayed { failure, last_attempt, .. }
            if failure.at != last_attempt =>
        {
            let _ = write!(text, "    Said at / 応答日時: {}\r\n", rfc5322(failure.at));
        }
        Fate::Failed { .. } | Fate::Delayed { .. } | Fate::Relayed { .. } => {}
    }
    match reported.fate {
        Fate::Failed { expired: true, .. } => {
            text.push_str("    Tried until the time for it was over. 再送期限を過ぎました。\r\n");
        }
        Fate::Delayed { until: Some(until), .. } => {
            let _ = write!(text, "    Tried until / 再送期限: {}\r\n", rfc5322(until));
        }
        Fate::Failed { expired: false, .. } | Fate::Delayed { until: None, .. } | Fate::Relayed { .. } => {}
    }
}

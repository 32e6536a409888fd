//! MAIL and RCPT, without content.

use super::{
    step::{Mark, Step, StepReport},
    view::{Envelope, Said, View},
};

pub(super) fn examine(view: &View) -> StepReport {
    let (mail, rcpt, at) = match &view.envelope {
        Envelope::NotAsked => return StepReport::new(Step::Envelope, Mark::Skipped, Vec::new(), ""),
        Envelope::NotPossible(why) => {
            return StepReport::new(Step::Envelope, Mark::Skipped, vec![why.clone()], "");
        }
        Envelope::Asked { at, mail, rcpt } => (mail, rcpt, at),
    };
    let mut seen = vec![format!("{at} MAIL {}", mail.words())];
    seen.extend(rcpt.as_ref().map(|rcpt| format!("{at} RCPT {}", rcpt.words())));
    let (mark, help) = match rcpt.as_ref().unwrap_or(mail) {
        Said::Reply { code: 400..500, .. } => (
            Mark::Warn,
            "the peer says later: greylisting or a limit; mail is tried again by itself. Its words say more",
        ),
        Said::Reply { code: 500.., .. } => (
            Mark::Fail,
            "the way is open and the peer does not want this sender or recipient: read its words, and ask who runs it",
        ),
        Said::Reply { .. } => (Mark::Ok, ""),
        Said::Nothing(_) => (
            Mark::Fail,
            "the peer ends the session without a word at this sender or recipient: its filters decide; ask who runs it",
        ),
    };
    StepReport::new(Step::Envelope, mark, seen, help)
}

//! The steps, and how each ended. Names and exit statuses are an interface for scripts.

/// In the order in which a delivery comes to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Resolver,
    Name,
    Tcp,
    Banner,
    Tls,
    Envelope,
    Past,
}

impl Step {
    pub const ALL: [Self; 7] =
        [Self::Resolver, Self::Name, Self::Tcp, Self::Banner, Self::Tls, Self::Envelope, Self::Past];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolver => "resolver",
            Self::Name => "name",
            Self::Tcp => "tcp",
            Self::Banner => "banner",
            Self::Tls => "tls",
            Self::Envelope => "envelope",
            Self::Past => "past",
        }
    }

    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Resolver => "resolvers",
            Self::Name => "MX and addresses",
            Self::Tcp => "TCP to all MX",
            Self::Banner => "banner",
            Self::Tls => "EHLO and TLS",
            Self::Envelope => "MAIL and RCPT",
            Self::Past => "last 24 hours",
        }
    }

    /// Exit status of who asked, when this is the first step that fails. The past alone fails nothing.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Resolver => 10,
            Self::Name => 11,
            Self::Tcp => 12,
            Self::Banner => 13,
            Self::Tls => 14,
            Self::Envelope => 15,
            Self::Past => 1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    Skipped,
    Ok,
    /// Mail flows; somebody should know.
    Warn,
    Fail,
}

impl Mark {
    pub const ALL: [Self; 4] = [Self::Skipped, Self::Ok, Self::Warn, Self::Fail];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Skipped => "skip",
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    pub step: Step,
    pub mark: Mark,
    /// Line by line.
    pub seen: Vec<String>,
    /// What to do; empty where there is nothing to do.
    pub help: String,
}

impl StepReport {
    pub(super) fn new(step: Step, mark: Mark, seen: Vec<String>, help: &str) -> Self {
        let help = if matches!(mark, Mark::Warn | Mark::Fail) { help } else { "" };
        Self { step, mark, seen, help: help.to_owned() }
    }

    /// An earlier step has failed.
    pub(super) fn skipped(step: Step) -> Self {
        Self::new(step, Mark::Skipped, Vec::new(), "")
    }
}

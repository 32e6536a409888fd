//! The steps of an answer in the order of SEED-032, for people who ask why. Costs nothing when nobody does.

use std::fmt;

use crate::rules::decision::DecidedBy;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepName {
    Access,
    Alias,
    OwnDomain,
    RelayRight,
    SenderRules,
    Routes,
    SmartHost,
    Hosts,
    Mx,
}

/// One step: what it found, and the line that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub name: StepName,
    /// Absent: no line has to do with it.
    pub decided_by: Option<DecidedBy>,
    pub finding: String,
}

#[derive(Debug, Default)]
pub(crate) struct Trace<'t>(Option<&'t mut Vec<Step>>);

impl<'t> Trace<'t> {
    pub(crate) fn into_steps(steps: &'t mut Vec<Step>) -> Self {
        Self(Some(steps))
    }

    pub(crate) fn note(
        &mut self,
        name: StepName,
        decided_by: impl Into<Option<DecidedBy>>,
        finding: impl FnOnce() -> String,
    ) {
        if let Some(steps) = &mut self.0 {
            steps.push(Step { name, decided_by: decided_by.into(), finding: finding() });
        }
    }
}

impl StepName {
    pub const ALL: [Self; 9] = [
        Self::Access,
        Self::Alias,
        Self::OwnDomain,
        Self::RelayRight,
        Self::SenderRules,
        Self::Routes,
        Self::SmartHost,
        Self::Hosts,
        Self::Mx,
    ];

    const fn text(self) -> &'static str {
        match self {
            Self::Access => "access verdict",
            Self::Alias => "alias rewrite",
            Self::OwnDomain => "own domain and recipient",
            Self::RelayRight => "right to relay",
            Self::SenderRules => "rules of the sender",
            Self::Routes => "route",
            Self::SmartHost => "smart host",
            Self::Hosts => "host map",
            Self::Mx => "MX and A records",
        }
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

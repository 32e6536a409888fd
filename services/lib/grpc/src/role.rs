//! What a caller may do.

use std::{fmt, str::FromStr};

/// Each may what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Ingress and delivery: asks the policy.
    Relay,
    /// Sees everything, changes nothing.
    Viewer,
    /// Changes everything.
    Operator,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Relay, Self::Viewer, Self::Operator];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role; there are relay, viewer and operator")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

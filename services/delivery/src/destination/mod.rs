//! One actor for each destination that has work.

mod brain; // who is attempted when; pure
mod actor; // carries messages between brain, sessions and queue

pub(crate) use actor::{DestinationActor, DestinationArguments, DestinationMessage};
pub(crate) use brain::SessionId;

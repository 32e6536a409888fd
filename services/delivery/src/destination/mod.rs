//! One actor for each destination that has work.

mod sessions; // the sessions of one destination; pure
mod pace; // how fast it is, and may be; pure
mod held_back; // what no other worker could send either
mod brain; // who is attempted when; pure
mod actor; // carries messages between brain, sessions and queue

pub(crate) use actor::{DestinationActor, DestinationArguments, DestinationMessage};
pub(crate) use brain::{Limits, SessionId};
pub(crate) use held_back::{HeldBack, Waiting};
pub(crate) use pace::Pace;

//! Bytes of the protocol to values and back. No order of commands, no policy: that is the
//! sessions' work.

pub mod line; // bytes -> command lines
pub mod command; // a command line -> Command
pub mod parameters; // what stands behind the path of MAIL and RCPT
pub mod xclient; // who is behind a proxy
pub mod sasl; // challenges and responses of AUTH
mod nul; // a dot among NULs
pub mod data; // content as it arrives: dots removed, end found
pub mod chunk; // content as it arrives in chunks
pub mod ehlo; // what a server offers
pub mod stuffing; // content as it leaves: dots added
pub mod counted; // content as it leaves in one chunk
pub mod reply; // what a server says

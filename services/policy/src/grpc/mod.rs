//! The services of `proto/hikyaku/policy` and `proto/hikyaku/directory`: generated types
//! to ours and back. Nothing is decided here.

pub(crate) mod policy; // questions of sessions and workers
mod authenticate; // steps of AUTH
mod traffic; // traffic rules -> wire
mod overview; // what is examined -> wire
pub(crate) mod directory; // documents
mod import_wire; // files of the old products
mod directory_wire; // documents and questions about them
mod status; // the only error -> tonic::Status

//! The tests that need more than one crate: one program, so that it links once.

mod arch; // what may depend on what, and the shape of things
mod dialogs; // golden transcripts over TCP
mod lab; // a relay, its DNS and its peers
mod rig; // the roles as processes, over one broker or three
mod e2e; // named after what the operator sees
mod interop; // with mail programs of others, both ways
mod scenarios; // of the requirements: who may send what, and where it goes
mod chaos; // named after the fault
mod chart; // what helm makes of helm/hikyaku
mod observe; // dashboards and alerts over a real Prometheus

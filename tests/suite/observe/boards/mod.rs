//! What is on each dashboard. All series have closed label sets, so none has a panel for a name or an address.

mod overview;
mod ingress;
mod policy;
mod queue;
mod delivery;
mod destination;

use super::panel::Board;

pub fn all() -> Vec<Board> {
    vec![
        overview::board(),
        ingress::board(),
        policy::board(),
        queue::board(),
        delivery::board(),
        destination::board(),
    ]
}

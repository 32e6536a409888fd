//! The room for lines that wait for a sink.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// In octets.
const ROOM: usize = 16 * 1024 * 1024;

/// Shared by who puts lines in and who takes them out.
#[derive(Debug, Clone, Default)]
pub struct Room(Arc<AtomicUsize>);

impl Room {
    /// A line takes as much at least, wherever lines have places beside the room.
    pub const SHORTEST: usize = 256;
    /// Lines for which there can be room at once.
    pub const LINES: usize = ROOM / Self::SHORTEST;

    /// Puts something of so many octets in. False: there is no room, or it was not taken.
    pub fn put(&self, octets: usize, is_taken: impl FnOnce() -> bool) -> bool {
        let fits = self.0.fetch_add(octets, Ordering::Relaxed) + octets <= ROOM && is_taken();
        if !fits {
            self.free(octets);
        }
        fits
    }

    pub fn free(&self, octets: usize) {
        self.0.fetch_sub(octets, Ordering::Relaxed);
    }

    /// Octets that wait.
    pub fn waiting(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_or_is_not_taken_takes_no_room() {
        let room = Room::default();
        assert!(room.put(ROOM - 10, || true));
        assert!(!room.put(11, || panic!("there is no room")));
        assert!(!room.put(10, || false));
        assert!(room.put(10, || true));
        room.free(ROOM);
        assert_eq!(room.waiting(), 0);
    }
}

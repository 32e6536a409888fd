//! Who is next. Lanes take turns, in a lane the clients, of a client the senders; what one sender
//! has waits in its order.

use std::collections::{HashMap, VecDeque};

use hikyaku_types::{envelope::Lane, source::Source};

/// What an entry counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) lane: Lane,
    pub(crate) source: Source,
    /// Per cent of the sessions that its client may have.
    pub(crate) share: u32,
}

/// Who may be next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) lane: Lane,
    pub(crate) client: u64,
    pub(crate) share: u32,
}

/// First attempts of ordinary senders get two turns of four, retries and bulk one each.
const TURNS: [[Lane; 3]; 4] = [
    [Lane::Fresh, Lane::Due, Lane::Bulk],
    [Lane::Due, Lane::Fresh, Lane::Bulk],
    [Lane::Fresh, Lane::Bulk, Lane::Due],
    [Lane::Bulk, Lane::Fresh, Lane::Due],
];

#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    lanes: [Rotation<Client<T>>; Lane::ALL.len()],
    turn: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lanes: Default::default(), turn: 0 }
    }
}

impl<T> FairQueue<T> {
    pub(crate) fn push(&mut self, class: Class, item: T) {
        let lane = self.lane_mut(class.lane);
        lane.len += 1;
        let client = lane.member(class.source.client);
        client.share = class.share;
        client.senders.len += 1;
        client.senders.member(class.source.sender).push_back(item);
    }

    /// The next item of a class that `may` go; the others keep their places.
    pub(crate) fn pop(&mut self, may: impl Fn(Candidate) -> bool) -> Option<(Class, T)> {
        let order = TURNS.get(self.turn % TURNS.len())?;
        let found = order.iter().find_map(|lane| self.pop_of_lane(*lane, &may))?;
        self.turn = self.turn.wrapping_add(1);
        Some(found)
    }

    /// The class that would be next of those that `may` go.
    pub(crate) fn peek(&self, may: impl Fn(Candidate) -> bool) -> Option<Class> {
        let order = TURNS.get(self.turn % TURNS.len())?;
        order.iter().find_map(|lane| {
            let clients = self.lane(*lane);
            let client = *clients.order.iter().find(|client| clients.lets(*lane, **client, &may))?;
            let Client { share, senders } = clients.members.get(&client)?;
            let sender = *senders.order.front()?;
            Some(Class { lane: *lane, source: Source { client, sender }, share: *share })
        })
    }

    fn pop_of_lane(&mut self, lane: Lane, may: impl Fn(Candidate) -> bool) -> Option<(Class, T)> {
        let clients = self.lane_mut(lane);
        let client = clients.order.iter().position(|client| clients.lets(lane, *client, &may))?;
        let client = clients.order.remove(client)?;
        let Client { share, senders } = clients.members.get_mut(&client)?;
        let share = *share;
        let sender = senders.order.pop_front()?;
        let items = senders.members.get_mut(&sender)?;
        let item = items.pop_front()?;
        if items.is_empty() {
            senders.members.remove(&sender);
        } else {
            senders.order.push_back(sender);
        }
        senders.len -= 1;
        if senders.len == 0 {
            clients.members.remove(&client);
        } else {
            clients.order.push_back(client);
        }
        clients.len -= 1;
        Some((Class { lane, source: Source { client, sender }, share }, item))
    }

    /// Takes the last item of the sender that has the most in the lane, if that is more than
    /// `source` has.
    pub(crate) fn pop_last_of_largest(&mut self, class: Class) -> Option<T> {
        let Class { lane, source, .. } = class;
        let clients = self.lane_mut(lane);
        let of = |clients: &Rotation<Client<T>>, Source { client, sender }| {
            let client = clients.members.get(&client)?;
            client.senders.members.get(&sender).map(VecDeque::len)
        };
        let own = of(clients, source).unwrap_or(0);
        let (count, largest) = clients
            .members
            .iter()
            .flat_map(|(client, Client { senders, .. })| {
                let source = |sender: &u64| Source { client: *client, sender: *sender };
                senders.members.iter().map(move |(sender, items)| (items.len(), source(sender)))
            })
            .max()?;
        if count <= own + 1 {
            return None;
        }
        let senders = &mut clients.members.get_mut(&largest.client)?.senders;
        let item = senders.members.get_mut(&largest.sender)?.pop_back()?;
        senders.len -= 1;
        clients.len -= 1;
        Some(item)
    }

    /// How many items each client has, all lanes together.
    pub(crate) fn clients(&self) -> HashMap<(Lane, u64), usize> {
        let lanes = Lane::ALL.into_iter().zip(&self.lanes);
        lanes
            .flat_map(|(lane, clients)| {
                clients.members.iter().map(move |(client, of)| ((lane, *client), of.senders.len))
            })
            .collect()
    }

    pub(crate) fn lane_len(&self, lane: Lane) -> usize {
        self.lane(lane).len
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.len).sum()
    }

    pub(crate) fn take_all(&mut self) -> Vec<T> {
        let mut items = Vec::with_capacity(self.len());
        while let Some((_, item)) = self.pop(|_| true) {
            items.push(item);
        }
        items
    }

    fn lane(&self, lane: Lane) -> &Rotation<Client<T>> {
        let [fresh, bulk, due] = &self.lanes;
        match lane {
            Lane::Fresh => fresh,
            Lane::Bulk => bulk,
            Lane::Due => due,
        }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut Rotation<Client<T>> {
        let [fresh, bulk, due] = &mut self.lanes;
        match lane {
            Lane::Fresh => fresh,
            Lane::Bulk => bulk,
            Lane::Due => due,
        }
    }
}

/// What one client has waiting.
#[derive(Debug)]
struct Client<T> {
    /// As it was said last.
    share: u32,
    senders: Rotation<VecDeque<T>>,
}

impl<T> Default for Client<T> {
    fn default() -> Self {
        Self { share: super::USUAL_SHARE, senders: Rotation::default() }
    }
}

impl<T> Rotation<Client<T>> {
    fn lets(&self, lane: Lane, client: u64, may: &impl Fn(Candidate) -> bool) -> bool {
        self.members.get(&client).is_some_and(|of| may(Candidate { lane, client, share: of.share }))
    }
}

/// Members that take turns. Only those that have something are in it.
#[derive(Debug)]
struct Rotation<M> {
    order: VecDeque<u64>,
    members: HashMap<u64, M>,
    len: usize,
}

impl<M> Default for Rotation<M> {
    fn default() -> Self {
        Self { order: VecDeque::new(), members: HashMap::new(), len: 0 }
    }
}

impl<M: Default> Rotation<M> {
    fn member(&mut self, key: u64) -> &mut M {
        let order = &mut self.order;
        self.members.entry(key).or_insert_with(|| {
            order.push_back(key);
            M::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(lane: Lane, client: u64, sender: u64) -> Class {
        Class { lane, source: Source { client, sender }, share: 70 }
    }

    fn all(queue: &mut FairQueue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop(|_| true).map(|(_, item)| item)).collect()
    }

    #[test]
    fn a_newcomer_does_not_wait_for_the_crowd() {
        let mut queue = FairQueue::default();
        for item in ["b1", "b2", "b3"] {
            queue.push(class(Lane::Fresh, 1, 1), item);
        }
        queue.push(class(Lane::Fresh, 1, 2), "same client, other sender");
        queue.push(class(Lane::Fresh, 2, 1), "other client");
        assert_eq!(all(&mut queue), ["b1", "other client", "same client, other sender", "b2", "b3"]);
        assert_eq!(queue.len(), 0);
        assert!(queue.clients().is_empty());
    }

    #[test]
    fn lanes_take_turns() {
        let mut queue = FairQueue::default();
        for (lane, item) in [(Lane::Bulk, "bulk"), (Lane::Due, "due"), (Lane::Fresh, "fresh")] {
            for _ in 0..3 {
                queue.push(class(lane, 1, 1), item);
            }
        }
        assert_eq!(all(&mut queue), ["fresh", "due", "fresh", "bulk", "fresh", "due", "bulk", "bulk", "due"]);
    }

    #[test]
    fn who_may_not_go_keeps_his_place() {
        let mut queue = FairQueue::default();
        queue.push(class(Lane::Fresh, 1, 1), "first");
        queue.push(class(Lane::Fresh, 2, 1), "second");
        assert_eq!(queue.pop(|candidate| candidate.client != 1).map(|(_, item)| item), Some("second"));
        assert_eq!(queue.pop(|candidate| candidate.client != 1), None);
        assert_eq!(queue.pop(|_| true).map(|(_, item)| item), Some("first"));
    }

    #[test]
    fn the_largest_source_gives_way() {
        let mut queue = FairQueue::default();
        for item in ["b1", "b2", "b3"] {
            queue.push(class(Lane::Fresh, 1, 1), item);
        }
        assert_eq!(queue.pop_last_of_largest(class(Lane::Fresh, 1, 1)), None, "it is the largest itself");
        assert_eq!(queue.pop_last_of_largest(class(Lane::Fresh, 2, 1)), Some("b3"));
        assert_eq!(queue.lane_len(Lane::Fresh), 2);
        assert_eq!(all(&mut queue), ["b1", "b2"]);
    }
}

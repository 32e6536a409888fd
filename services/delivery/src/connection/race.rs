//! The addresses of one host -> the first that answers (RFC 8305). An address family that leads nowhere costs a
//! moment and not the time for a connection.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};

/// RFC 8305 5: from one attempt to the next.
const HEAD_START: Duration = Duration::from_millis(250);
/// Attempts at a time: who has a thousand addresses that do not answer gets no thousand sockets.
const AT_ONCE: usize = 4;
/// Addresses of a host that are tried in one attempt at delivery.
const MOST: usize = 32;

/// RFC 8305 4: the families in turn, in the order of the answer otherwise.
pub(crate) fn in_turn(addresses: &[IpAddr], port: u16) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let wanted = addresses.len().min(MOST);
    let mut all = VecDeque::with_capacity(wanted + 1);
    while all.len() < wanted {
        all.extend([first.next(), second.next()].into_iter().flatten().map(|ip| SocketAddr::new(ip, port)));
    }
    all.truncate(wanted);
    all
}

/// The first connection, and where it leads. Addresses that had not answered by then stay in `left`, in front;
/// what failed is told. `None`: nothing is left.
pub(crate) async fn first<T, E, F>(
    left: &mut VecDeque<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
    mut failed: impl FnMut(E),
) -> Option<(SocketAddr, T)>
where
    F: Future<Output = Result<T, E>>,
{
    let attempt = |address| {
        let connecting = connect(address);
        async move { (address, connecting.await) }
    };
    let mut running = FuturesUnordered::new();
    let mut under_way = Vec::new();
    loop {
        if running.is_empty() {
            let address = left.pop_front()?;
            under_way.push(address);
            running.push(attempt(address));
        }
        tokio::select! {
            Some((address, connected)) = running.next() => {
                under_way.retain(|other| *other != address);
                match connected {
                    Ok(connection) => {
                        under_way.into_iter().rev().for_each(|slow| left.push_front(slow));
                        return Some((address, connection));
                    }
                    Err(error) => failed(error),
                }
            }
            () = tokio::time::sleep(HEAD_START), if !left.is_empty() && running.len() < AT_ONCE => {}
        }
        // The next one, because one has failed or is slow.
        if let Some(address) = left.pop_front() {
            under_way.push(address);
            running.push(attempt(address));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 25))
    }

    #[test]
    fn families_take_turns() {
        let order = |addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            in_turn(&addresses, 25).into_iter().map(|address| address.ip().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(order(&["::1", "::2", "::3", "192.0.2.1"]), ["::1", "192.0.2.1", "::2", "::3"]);
        assert_eq!(order(&["192.0.2.1", "192.0.2.2", "::1"]), ["192.0.2.1", "::1", "192.0.2.2"]);
        assert_eq!(order(&["192.0.2.1"]), ["192.0.2.1"]);
        assert!(order(&[]).is_empty());
    }

    /// 1 says nothing, 2 fails, 3 answers after a while, 4 at once.
    async fn connect(to: SocketAddr) -> Result<u8, u8> {
        let SocketAddr::V4(v4) = to else { unreachable!("only these") };
        match v4.ip().octets()[3] {
            1 => pending().await,
            2 => Err(2),
            3 => {
                tokio::time::sleep(HEAD_START / 2).await;
                Ok(3)
            }
            other => Ok(other),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_that_answers_is_used_and_the_slow_are_kept() {
        let mut left = VecDeque::from([1, 2, 3, 4].map(address));
        let mut failures = Vec::new();
        let found = first(&mut left, connect, |failure| failures.push(failure)).await;
        assert_eq!((found, &failures), (Some((address(3), 3)), &vec![2]));
        assert_eq!(left, [1, 4].map(address));
        // 1 has nothing to say this time either, and then nothing is left but it.
        let found = first(&mut left, connect, |failure| failures.push(failure)).await;
        assert_eq!((found, &left), (Some((address(4), 4)), &VecDeque::from([address(1)])));
        let waiting = first(&mut left, connect, |_| unreachable!("it says nothing"));
        assert!(tokio::time::timeout(HEAD_START * 100, waiting).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn no_host_gets_a_socket_for_each_of_its_addresses() {
        let many: Vec<IpAddr> = (0..200).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        let mut left = in_turn(&many, 25);
        assert_eq!(left.len(), MOST);
        let begun = std::cell::Cell::new(0);
        let connect = |_| {
            begun.set(begun.get() + 1);
            pending::<Result<(), ()>>()
        };
        let waiting = first(&mut left, connect, |()| ());
        assert!(tokio::time::timeout(HEAD_START * 100, waiting).await.is_err());
        assert_eq!(begun.get(), AT_ONCE);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_all_are_told() {
        let mut failures = Vec::new();
        let mut left = VecDeque::from([2, 2].map(address));
        assert_eq!(first(&mut left, connect, |failure| failures.push(failure)).await, None);
        assert_eq!(failures, [2, 2]);
        assert_eq!(first(&mut VecDeque::new(), connect, |_| ()).await, None);
    }
}

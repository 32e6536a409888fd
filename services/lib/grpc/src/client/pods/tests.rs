//! Which pods there are, and who is asked first. The DNS is a list here.

use std::sync::Mutex;

use hikyaku_testkit::eventually::eventually;

use super::*;
use crate::client::tests::{Lab, PATIENCE, ask};

const SOON: Duration = Duration::from_secs(30);

type Dns = Arc<Mutex<Vec<SocketAddr>>>;

fn addresses(last: &[u8]) -> Vec<SocketAddr> {
    last.iter().map(|last| SocketAddr::from(([127, 0, 0, *last], 7002))).collect()
}

/// Without addresses the DNS does not answer.
fn pods_in(dns: &Dns, urls: &str, config: &ClientConfig) -> Pods {
    let dns = Arc::clone(dns);
    let look_up = move |_, _| {
        let found = dns.lock().unwrap().clone();
        let found = if found.is_empty() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(found) };
        std::future::ready(found)
    };
    Pods::find_by(urls, config, PATIENCE, look_up).unwrap()
}

fn pods(dns: &Dns) -> Pods {
    pods_in(dns, "http://policy.test:7002", &ClientConfig::default())
}

async fn become_addresses(pods: &Pods, wanted: &[SocketAddr]) {
    eventually(SOON, async || {
        let mut now: Vec<_> = pods.in_turn().await.iter().map(|pod| pod.address).collect();
        now.sort_unstable();
        if now == wanted { Ok(()) } else { Err(format!("{now:?}, not {wanted:?}")) }
    })
    .await;
}

#[tokio::test]
async fn calls_take_turns() {
    let pods = pods(&Arc::new(Mutex::new(addresses(&[1, 2, 3]))));
    let mut firsts = Vec::new();
    for _ in 0..6 {
        let order = pods.in_turn().await;
        assert_eq!(order.len(), 3);
        firsts.push(order[0].address);
    }
    assert_eq!(firsts, addresses(&[1, 2, 3, 1, 2, 3]));
}

#[tokio::test]
async fn who_does_not_answer_is_asked_last_and_by_one_call_a_second() {
    let pods = pods(&Arc::new(Mutex::new(addresses(&[1, 2, 3]))));
    let dead = Arc::clone(&pods.in_turn().await[0]);
    pods.failed(&dead);
    for _ in 0..6 {
        assert!(Arc::ptr_eq(&pods.in_turn().await[2], &dead));
    }
    let firsts = async |calls: usize| {
        let mut firsts = 0;
        for _ in 0..calls {
            firsts += usize::from(Arc::ptr_eq(&pods.in_turn().await[0], &dead));
        }
        firsts
    };
    eventually(SOON, async || match firsts(3).await {
        0 => Err("it is still avoided".to_owned()),
        _ => Ok(()),
    })
    .await;
    dead.answered();
    assert_eq!(firsts(6).await, 2);
}

#[tokio::test]
async fn all_are_asked_when_none_answers() {
    let pods = pods(&Arc::new(Mutex::new(addresses(&[1, 2]))));
    for pod in pods.in_turn().await {
        pods.failed(&pod);
    }
    assert_eq!(pods.in_turn().await.len(), 2);
}

#[tokio::test]
async fn the_dns_says_which_there_are() {
    let dns: Dns = Arc::default();
    let pods = pods(&dns);
    let early = tokio::time::timeout(Duration::from_millis(10), pods.in_turn()).await;
    assert!(early.is_err(), "there is none yet: {early:?}");
    *dns.lock().unwrap() = addresses(&[1, 2]);
    become_addresses(&pods, &addresses(&[1, 2])).await;
    let kept = pods.in_turn().await.into_iter().find(|pod| pod.address == addresses(&[2])[0]).unwrap();
    *dns.lock().unwrap() = addresses(&[2, 3]);
    pods.failed(&kept);
    become_addresses(&pods, &addresses(&[2, 3])).await;
    assert!(pods.in_turn().await.iter().any(|pod| Arc::ptr_eq(pod, &kept)), "its connection is kept");
    dns.lock().unwrap().clear();
    pods.failed(&kept);
    tokio::time::sleep(2 * LOOK_SOON).await;
    become_addresses(&pods, &addresses(&[2, 3])).await;
}

#[tokio::test]
async fn several_urls_are_one_service() {
    let urls = "http://127.0.0.1:7001, http://127.0.0.2:7002";
    let pods = Pods::find(urls, &ClientConfig::default(), PATIENCE).unwrap();
    let wanted = ["127.0.0.1:7001", "127.0.0.2:7002"].map(|address| address.parse().unwrap());
    become_addresses(&pods, &wanted).await;
}

#[tokio::test]
async fn a_certificate_is_for_the_name_and_not_for_the_address() {
    let lab = Lab::new();
    let dns: Dns = Arc::new(Mutex::new(vec![lab.serve(true).await, lab.serve(true).await]));
    let mut config = lab.client(Some("worker"), None);
    config.tls.as_mut().unwrap().server_name = None;
    for pod in pods_in(&dns, "https://server.test:7002", &config).in_turn().await {
        assert_eq!(ask(&pod.channel()).await.unwrap(), "worker operator");
    }
    for pod in pods_in(&dns, "https://elsewhere.test:7002", &config).in_turn().await {
        let said = ask(&pod.channel()).await.unwrap_err().to_string();
        assert!(said.contains("not valid for name"), "{said}");
    }
}

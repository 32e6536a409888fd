//! Several pods, of which some are dead, broken or silent.

use std::net::Ipv4Addr;

use super::*;

/// Names an address where nothing listens.
async fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn client_of(addresses: &[SocketAddr]) -> PolicyClient {
    let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
    let config =
        PolicyClientConfig { timeout: Duration::from_secs(3), ..PolicyClientConfig::new(urls.join(", ")) };
    let client = PolicyClient::new(config).unwrap();
    client.wait_ready(Duration::from_secs(10)).await.unwrap();
    client
}

/// Each is about another client, so that none is answered from memory.
async fn ask(client: &PolicyClient, questions: u8) {
    for n in 0..questions {
        client.check_connection(Ipv4Addr::new(192, 0, 2, n).into()).await.unwrap();
    }
}

fn calls(script: &Script) -> usize {
    script.calls.load(Ordering::SeqCst)
}

#[tokio::test]
async fn questions_are_spread_over_all_pods() {
    let pods = [Script::default(), Script::default(), Script::default()];
    let mut addresses = Vec::new();
    for pod in &pods {
        addresses.push(serve(pod.clone()).await);
    }
    let client = client_of(&addresses).await;
    ask(&client, 60).await;
    // Between them it looks for other host maps and traffic rules, which are not counted.
    assert!(pods.iter().all(|pod| calls(pod) >= 15), "{pods:?}");
    assert_eq!(pods.iter().map(calls).sum::<usize>(), 60);
}

#[tokio::test]
async fn dead_broken_and_silent_pods_cost_no_answer() {
    let [well, broken, silent] = [Script::default(), Script::default(), Script::default()];
    broken.is_broken.store(true, Ordering::SeqCst);
    silent.is_silent.store(true, Ordering::SeqCst);
    let mut addresses = vec![dead().await];
    for pod in [&silent, &broken, &well] {
        addresses.push(serve(pod.clone()).await);
    }
    let client = client_of(&addresses).await;
    ask(&client, 100).await;
    assert_eq!(calls(&well), 100);
    assert!(calls(&silent) < 10, "it is not asked each time: {silent:?}");
}

#[tokio::test]
async fn a_pod_that_comes_back_is_asked_again() {
    let [first, second] = [Script::default(), Script::default()];
    let client = client_of(&[serve(first.clone()).await, serve(second.clone()).await]).await;
    first.is_broken.store(true, Ordering::SeqCst);
    ask(&client, 10).await;
    first.is_broken.store(false, Ordering::SeqCst);
    let before = calls(&first);
    eventually(Duration::from_secs(30), async || {
        // Their answers are remembered, so each round is about another client.
        let n = u8::try_from(calls(&first) + calls(&second)).unwrap();
        client.check_connection(Ipv4Addr::new(198, 51, 100, n).into()).await.unwrap();
        if calls(&first) > before + 2 { Ok(()) } else { Err(format!("{first:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_login_is_heard_by_one_pod_at_most() {
    let [well, broken] = [Script::default(), Script::default()];
    broken.is_broken.store(true, Ordering::SeqCst);
    let login = "user1@own.example";
    let proof = SecretString::from("user1");
    let nobody_there = client_of(&[dead().await, serve(well.clone()).await]).await;
    for _ in 0..4 {
        nobody_there.authenticate(client_address(), login, Proof::Password(&proof)).await.unwrap();
    }
    assert_eq!(calls(&well), 4);
    let client = client_of(&[serve(broken.clone()).await, serve(well.clone()).await]).await;
    let mut failed = 0;
    for _ in 0..4 {
        let answer = client.authenticate(client_address(), login, Proof::Password(&proof)).await;
        failed += usize::from(answer.is_err());
    }
    assert!(failed > 0, "{broken:?}");
    assert_eq!((calls(&broken), calls(&well)), (failed, 8 - failed));
}

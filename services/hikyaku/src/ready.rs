//! What each role needs before work is sent to it (`/readyz`). A role that is told to end is not ready any more.

use hikyaku_queue::Nats;
use hikyaku_runtime::observe::Readiness;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A 250 would be kept.
pub(crate) fn to_take_mail(readiness: &Readiness, nats: &Nats) {
    let durability = nats.durability().clone();
    readiness.requires("queue", move || durability.check().map_err(|reason| reason.to_string()));
}

/// Other workers know that this one lives, and it knows that they do.
pub(crate) fn to_deliver(readiness: &Readiness, delivery: &hikyaku_delivery::app::App) {
    let lives = delivery.liveness();
    readiness.requires("shards", move || match lives() {
        true => Ok(()),
        false => Err("the roster does not show this worker alive".to_owned()),
    });
}

/// There are rules to decide by.
pub(crate) fn to_answer(readiness: &Readiness, version: watch::Receiver<Option<u64>>) {
    readiness.requires("directory", move || match *version.borrow() {
        Some(_) => Ok(()),
        None => Err("no version is in force".to_owned()),
    });
}

/// It was not told to end.
pub(crate) fn until(readiness: &Readiness, shutdown: &CancellationToken) {
    let shutdown = shutdown.clone();
    readiness.requires("process", move || match shutdown.is_cancelled() {
        true => Err("it is ending".to_owned()),
        false => Ok(()),
    });
}

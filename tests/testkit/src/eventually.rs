//! Waiting for a state, never for a time.

use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(25);

/// Asks again until `check` is `Ok`. Panics after `limit` with what was missing last.
pub async fn eventually<T>(limit: Duration, mut check: impl AsyncFnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        let missing = match check().await {
            Ok(value) => return value,
            Err(missing) => missing,
        };
        assert!(start.elapsed() < limit, "after {:?}: {missing}", start.elapsed());
        tokio::time::sleep(POLL).await;
    }
}

//! Secrets become lines of `credentials`; nothing else of them is kept.

use std::collections::BTreeMap;

use hikyaku_types::address::Mailbox;
use secrecy::ExposeSecret as _;

use super::{
    Store, StoreError,
    commit::{Author, CommitError, Mode, Outcome},
};
use crate::{
    authenticate::SCRAM_ITERATIONS,
    credential::{Argon2Verifier, CramMd5Verifier, ScramVerifier},
    document::{DocumentName, Documents},
    import::NewSecret,
    rules::parse::accounts::is_about,
};

/// Somebody else may commit at the same moment, but not for ever.
const TRIES: u32 = 20;

impl Store {
    /// A new secret for an account in place of what it had; without one it cannot log in any more.
    pub(crate) async fn set_secret(
        &self,
        account: &Mailbox,
        secret: Option<NewSecret>,
        with_cram_md5: bool,
        author: &Author,
    ) -> Result<Outcome, CommitError> {
        let secrets: Vec<NewSecret> = secret.into_iter().collect();
        let lines = tokio::task::spawn_blocking(move || verifiers(&secrets, with_cram_md5));
        let lines: String = lines.await.map_err(|_| StoreError::Check)??.into_values().collect();
        for _ in 0..TRIES {
            let snapshot = self.snapshot().await?;
            let text = snapshot.documents.text(DocumentName::Credentials);
            let others = text.lines().filter(|line| !is_about(line, account));
            let text: String = others.map(|line| format!("{line}\n")).chain([lines.clone()]).collect();
            let changes = Documents::from_iter([(DocumentName::Credentials, text)]);
            match self.commit(snapshot.version(), &changes, Mode::Store, author).await {
                Err(CommitError::Stale { .. } | CommitError::Raced) => {}
                ended => return ended,
            }
        }
        Err(CommitError::Raced)
    }
}

/// Lines of `credentials`, by address. Each takes tens of milliseconds of a core; one core is left to others.
pub(super) fn verifiers(
    secrets: &[NewSecret],
    with_cram_md5: bool,
) -> Result<BTreeMap<String, String>, StoreError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1);
    let share = secrets.len().div_ceil(cores).max(1);
    let of_part = |part: &[NewSecret]| -> Vec<(String, String)> {
        part.iter().map(|secret| (secret.address.clone(), lines(secret, with_cram_md5))).collect()
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = secrets.chunks(share).map(|part| scope.spawn(move || of_part(part))).collect();
        let mut all = BTreeMap::new();
        for part in parts {
            all.extend(part.join().map_err(|_| StoreError::Check)?);
        }
        Ok(all)
    })
}

fn lines(new: &NewSecret, with_cram_md5: bool) -> String {
    let NewSecret { address, secret, must_change } = new;
    // As a session prepares what a client gives (RFC 4013); what cannot be prepared stays as it is.
    let secret = secret.expose_secret();
    let secret = &*stringprep::saslprep(secret).unwrap_or(secret.into());
    let end = if *must_change { "\tmust-change\n" } else { "\n" };
    let argon2 = Argon2Verifier::of_password(secret, &rand::random::<[u8; 16]>());
    let scram = ScramVerifier::of_password(secret, &rand::random::<[u8; 16]>(), SCRAM_ITERATIONS);
    let mut lines = format!("{address}\targon2id\t{argon2}{end}{address}\tscram-sha-256\t{scram}{end}");
    if with_cram_md5 {
        lines += &format!("{address}\tcram-md5\t{}{end}", CramMd5Verifier::of_password(secret));
    }
    lines
}

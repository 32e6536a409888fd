//! Secrets become lines of `credentials`; nothing else of them is kept.

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
        let lines = lines.await.map_err(|_| StoreError::Check)?;
        let name = account.to_string();
        for _ in 0..TRIES {
            let snapshot = self.snapshot().await?;
            let text = snapshot.documents.text(DocumentName::Credentials);
            let others = text.lines().filter(|line| {
                !line.split('\t').next().is_some_and(|first| first.trim().eq_ignore_ascii_case(&name))
            });
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

/// Lines of `credentials`. Each takes tens of milliseconds of a core, so all cores take part.
pub(super) fn verifiers(secrets: &[NewSecret], with_cram_md5: bool) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = secrets.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = secrets
            .chunks(share)
            .map(|part| {
                scope
                    .spawn(move || part.iter().map(|secret| lines(secret, with_cram_md5)).collect::<String>())
            })
            .collect();
        parts.into_iter().filter_map(|part| part.join().ok()).collect()
    })
}

fn lines(new: &NewSecret, with_cram_md5: bool) -> String {
    let NewSecret { address, secret, must_change } = new;
    let secret = secret.expose_secret();
    let end = if *must_change { "\tmust-change\n" } else { "\n" };
    let argon2 = Argon2Verifier::of_password(secret, &rand::random::<[u8; 16]>());
    let scram = ScramVerifier::of_password(secret, &rand::random::<[u8; 16]>(), SCRAM_ITERATIONS);
    let mut lines = format!("{address}\targon2id\t{argon2}{end}{address}\tscram-sha-256\t{scram}{end}");
    if with_cram_md5 {
        lines += &format!("{address}\tcram-md5\t{}{end}", CramMd5Verifier::of_password(secret));
    }
    lines
}

//! Texts with tokens removed, doubled, exchanged, cut or put where nobody expects them.

use std::sync::LazyLock;

use proptest::{prelude::*, sample::Index};

use super::seeds::{DOCUMENTS, STRANGE, files};

const MOST_EDITS: usize = 8;
/// Longer than a line may be.
const LONG: usize = 1_001;

static ALL: LazyLock<Vec<&str>> = LazyLock::new(|| {
    DOCUMENTS.iter().map(|(_, text)| *text).chain(files().into_iter().map(|(_, text)| text)).collect()
});
static KNOWN: LazyLock<Vec<String>> = LazyLock::new(|| ALL.iter().flat_map(|text| tokens(text)).collect());

#[derive(Debug, Clone)]
enum Edit {
    Remove(Index),
    Repeat(Index),
    Exchange(Index, Index),
    Replace(Index, String),
    Insert(Index, String),
    /// The first half of it.
    Cut(Index),
    Uppercase(Index),
}

/// Mostly this text with a few edits, at times another one or anything at all.
pub(super) fn mutated(seed: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        12 => edited(seed),
        2 => prop::sample::select(&ALL[..]).prop_flat_map(edited),
        1 => prop::collection::vec(token(), 0..40).prop_map(|tokens| tokens.concat()),
        1 => any::<String>(),
    ]
}

fn edited(seed: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(edit(), 1..MOST_EDITS).prop_map(move |edits| {
        let mut tokens = tokens(seed);
        edits.iter().for_each(|edit| edit.apply(&mut tokens));
        tokens.concat()
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    prop_oneof![
        place().prop_map(Edit::Remove),
        place().prop_map(Edit::Repeat),
        (place(), place()).prop_map(|(one, other)| Edit::Exchange(one, other)),
        (place(), token()).prop_map(|(at, token)| Edit::Replace(at, token)),
        (place(), token()).prop_map(|(at, token)| Edit::Insert(at, token)),
        place().prop_map(Edit::Cut),
        place().prop_map(Edit::Uppercase),
    ]
}

/// Of any format, or strange.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(&KNOWN[..]),
        8 => prop::sample::select(&STRANGE[..]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => Just("x".repeat(LONG)),
    ]
}

/// Words, and what stands between them one by one.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut is_word = false;
    for letter in text.chars() {
        let was_word = std::mem::replace(&mut is_word, letter.is_alphanumeric());
        match tokens.last_mut() {
            Some(word) if was_word && is_word => word.push(letter),
            _ => tokens.push(letter.to_string()),
        }
    }
    tokens
}

impl Edit {
    fn apply(&self, tokens: &mut Vec<String>) {
        if tokens.is_empty() {
            return;
        }
        let place = |index: &Index| index.index(tokens.len());
        match self {
            Self::Remove(at) => {
                tokens.remove(place(at));
            }
            Self::Repeat(at) => {
                let at = place(at);
                tokens.insert(at, tokens[at].clone());
            }
            Self::Exchange(one, other) => {
                let (one, other) = (place(one), place(other));
                tokens.swap(one, other);
            }
            Self::Replace(at, token) => {
                let at = place(at);
                tokens[at].clone_from(token);
            }
            Self::Insert(at, token) => tokens.insert(place(at), token.clone()),
            Self::Cut(at) => {
                let at = place(at);
                let half = tokens[at].chars().count() / 2;
                tokens[at] = tokens[at].chars().take(half).collect();
            }
            Self::Uppercase(at) => {
                let at = place(at);
                tokens[at] = tokens[at].to_uppercase();
            }
        }
    }
}

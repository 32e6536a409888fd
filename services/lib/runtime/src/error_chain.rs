//! `Display` of an error never repeats its source; the chain is joined here, once.

use std::error::Error;

pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += ": ";
        text += &cause.to_string();
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to open the book")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn says_everything_once() {
        assert_eq!(chain(&Outer(std::io::Error::other("it is lent"))), "failed to open the book: it is lent");
    }
}

//! Every target over its seeds and over what is kept for it, without libFuzzer.

use hikyaku_fuzz::{TARGETS, corpus, seeds};

#[test]
fn everything_that_is_kept_passes() {
    for (name, target) in TARGETS {
        let kept = corpus::read(&corpus::file(name)).unwrap();
        assert!(!kept.is_empty(), "nothing is kept for {name}");
        for input in kept {
            let shown = input.escape_ascii().to_string();
            assert!(std::panic::catch_unwind(|| target(&input)).is_ok(), "{name}: {shown}");
        }
    }
}

#[test]
fn every_seed_passes() {
    for (name, target) in TARGETS {
        let seeds = seeds::of(name).unwrap();
        assert!(seeds.len() >= 9, "{name} has {} seeds", seeds.len());
        for seed in seeds {
            let shown: String = seed.escape_ascii().take(3000).map(char::from).collect();
            assert!(std::panic::catch_unwind(|| target(&seed)).is_ok(), "{name}: {shown}");
        }
    }
}

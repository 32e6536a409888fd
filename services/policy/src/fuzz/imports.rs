//! Files of the old products to documents.

use std::fmt;

use encoding_rs::SHIFT_JIS;
use proptest::{prelude::*, sample::select, test_runner::TestCaseError};

use super::{check_shown, lines_of, mutate, seeds, seeds::files, try_cases};
use crate::{
    document::{DocumentName, Documents},
    import::{File, Imported, Options, import, report::FileProblem},
    rules::{Rules, Surroundings},
};

const CASES: u32 = 1_500;

/// Shown as texts.
#[derive(Clone)]
pub(super) struct Files(pub(super) Vec<File>);

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |file: &File| (file.kind.clone(), String::from_utf8_lossy(&file.octets).into_owned());
        f.debug_list().entries(self.0.iter().map(text)).finish()
    }
}

/// Some files of any kind, as they are or as nobody wrote them.
pub(super) fn some() -> impl Strategy<Value = Files> {
    let file = select(files())
        .prop_flat_map(|(kind, text)| octets(text).prop_map(move |octets| (kind.clone(), octets)));
    prop::collection::vec(file, 1..5).prop_map(|files| {
        let file = |(n, (kind, octets))| File { kind, name: format!("file{n}.dat"), octets };
        Files(files.into_iter().enumerate().map(file).collect())
    })
}

fn octets(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(text.as_bytes().to_vec()),
        8 => mutate::mutated(text).prop_map(String::into_bytes),
        4 => mutate::mutated(text).prop_map(|text| SHIFT_JIS.encode(&text).0.into_owned()),
        1 => (mutate::mutated(text), any::<prop::sample::Index>()).prop_map(|(text, end)| {
            let octets = text.into_bytes();
            octets[..end.index(octets.len() + 1)].to_vec()
        }),
        1 => any::<Vec<u8>>(),
    ]
}

pub(super) fn options() -> impl Strategy<Value = Options> {
    let domain = select(vec![None, Some("domain.jp"), Some("other.jp")]);
    let mailbox_host = select(vec![None, Some("192.168.0.20"), Some("192.168.0.20:99999"), Some("a b")]);
    (any::<[bool; 7]>(), domain, mailbox_host).prop_map(|(flags, domain, mailbox_host)| {
        let [force_domain, replace, sync, idn, wildcard_includes_apex, strict, cram_md5] = flags;
        Options {
            domain: domain.map(|domain| domain.parse().unwrap()),
            mailbox_host: mailbox_host.map(str::to_owned),
            force_domain,
            replace,
            sync,
            idn,
            wildcard_includes_apex,
            strict,
            cram_md5,
        }
    })
}

/// Spec.md 4.0: every problem at its place, and without an error a set that can be in force.
#[test]
fn files_become_a_valid_set_or_a_list_of_problems() {
    let current = select(vec![Documents::default(), seeds()]);
    try_cases(CASES, &(some(), options(), current), |(Files(files), options, current)| {
        let surroundings = Surroundings::default();
        let imported = import(&files, &options, &current, &surroundings);
        for problem in &imported.problems {
            check_place(problem, &files, &imported)?;
        }
        if !imported.has_errors() {
            let built = Rules::build(1, &imported.documents, &surroundings, None);
            prop_assert!(built.is_ok(), "{:?}", built.err().map(|rejected| rejected.problems));
        }
        Ok(())
    });
}

fn check_place(problem: &FileProblem, files: &[File], imported: &Imported) -> Result<(), TestCaseError> {
    let lines = match files.iter().find(|file| file.name == problem.file) {
        // A text is counted in octets, so that CP932 need not be read for it.
        Some(file) => file.octets.split(|octet| *octet == b'\n').count(),
        None => {
            let document: Result<DocumentName, _> = problem.file.parse();
            let document = document.map_err(|error| TestCaseError::fail(error.to_string()))?;
            lines_of(&imported.documents, document)
        }
    };
    check_shown(&problem.to_string(), &problem.file, lines)
}

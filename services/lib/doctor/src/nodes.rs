//! Processes and the version of the directory that they answer from (SEED-242).

use crate::{
    code::Code,
    facts::{Directory, Facts, Node},
    finding::Finding,
};

pub(crate) fn examine(facts: &Facts) -> Vec<Finding> {
    let unheard = facts.unheard.iter();
    let unheard = unheard.map(|node| Finding::new(Code::NodeSilent, node, "does not tell what it sees"));
    versions(&facts.nodes, facts.directory.as_ref()).into_iter().chain(unheard).collect()
}

fn versions(nodes: &[Node], directory: Option<&Directory>) -> Vec<Finding> {
    let Some(directory) = directory else {
        return vec![Finding::new(Code::PolicySilent, "policy", "gives no answer")];
    };
    let stored = directory.stored_version;
    let behind = nodes.iter().filter_map(|node| {
        let version = node.directory_version.filter(|version| *version < stored)?;
        let what = format!("answers from version {version} of the directory; {stored} is stored");
        Some(Finding::new(Code::VersionBehind, &node.name, what))
    });
    behind.collect()
}

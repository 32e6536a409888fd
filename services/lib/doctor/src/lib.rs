//! What was seen of a cluster and its surroundings -> what is wrong with it, and what to do. Pure: who looks,
//! and from where, is the caller's business, and what was not seen is `None`, never good news.

pub mod code; // every finding that there is, with its help
pub mod finding; // one thing that is wrong
pub mod facts; // what was seen
mod broker; // brokers and streams
mod nodes; // processes and the version of the directory
mod directory; // what the documents say
mod peers; // next hops
mod dns; // MX, SPF and reverse DNS
mod spf; // what a record says of an address
pub mod diagnose; // which step of a delivery fails first

pub use code::Code;
pub use facts::Facts;
pub use finding::{Finding, Severity};
pub use peers::inner_probe;

/// Everything that is wrong, the worst first. The order of the areas is that in which a fault is best mended:
/// without a broker nothing else matters.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = broker::examine(&facts.broker);
    findings.extend(nodes::examine(facts));
    findings.extend(facts.directory.iter().flat_map(directory::examine));
    findings.extend(peers::examine(facts));
    findings.extend(dns::examine(facts));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity()));
    findings
}

#[cfg(test)]
mod tests;

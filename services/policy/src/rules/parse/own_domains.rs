//! `own-domains`: a domain a line.

use super::lines::clean_lines;
use crate::{problem::Findings, rules::table::own_domains::OwnDomains};

pub(crate) fn parse(text: &str, findings: &mut Findings) -> OwnDomains {
    let mut table = OwnDomains::default();
    for line in clean_lines(text, findings) {
        match line.text.parse() {
            Err(error) => {
                findings.error(
                    line.number,
                    "E-OD-DOMAIN",
                    format!("{:?} is not a domain: {error}", line.text),
                );
            }
            Ok(domain) => {
                if let Some(earlier) = table.insert(domain, line.number) {
                    findings.warning(line.number, "W-DUP", format!("same domain as line {earlier}"));
                }
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::report;

    #[test]
    fn domains() {
        let text = "Domain.JP\n; comment\n*.abc.jp\ndomain.jp.\n192.0.2.1\ntest.jp\n";
        let (table, problems) = report("own-domains", |findings| parse(text, findings));
        assert_eq!(table.first().unwrap().as_str(), "domain.jp");
        assert!(table.contains(&"test.jp".parse().unwrap()));
        assert!(!table.contains(&"sub.test.jp".parse().unwrap()));
        assert_eq!(
            problems,
            [
                "own-domains:3: error E-OD-DOMAIN: \"*.abc.jp\" is not a domain: domain has a character \
                or an \
                 empty label that the DNS does not allow",
                "own-domains:4: warning W-DUP: same domain as line 1",
                "own-domains:5: error E-OD-DOMAIN: \"192.0.2.1\" is not a domain: domain looks like an IPv4 \
                 address; an address is written [192.0.2.1]",
            ]
        );
    }
}

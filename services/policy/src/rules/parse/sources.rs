//! `sources`: a domain a line, then who knows its recipients and logins, as `key=value` (SEED-064, SEED-236):
//! `recipients=next-hop`, `recipients=ldap:NAME`, `login=ldap:NAME`, `when-down=defer|accept`.

use std::sync::Arc;

use hikyaku_types::domain::Domain;

use super::{
    Surroundings,
    lines::{Line, clean_lines},
};
use crate::{
    problem::Findings,
    rules::{
        decision::{RecipientSource, WhenDown},
        table::sources::{DomainSource, Sources},
    },
};

pub(crate) fn parse(text: &str, surroundings: &Surroundings, findings: &mut Findings) -> Sources {
    let mut table = Sources::default();
    for line in clean_lines(text, findings) {
        let Some((domain, source)) = source(line, surroundings, findings) else { continue };
        if let Some(earlier) = table.insert(domain, source) {
            findings.error(line.number, "E-SRC-DUP", format!("same domain as line {earlier}"));
        }
    }
    table
}

fn source(
    line: Line<'_>,
    surroundings: &Surroundings,
    findings: &mut Findings,
) -> Option<(Domain, DomainSource)> {
    let mut fields = line.text.split_ascii_whitespace();
    let name = fields.next().unwrap_or_default();
    let domain: Option<Domain> = name.parse().ok();
    let mut is_clean = domain.is_some();
    if domain.is_none() {
        findings.error(line.number, "E-SRC-DOMAIN", format!("{name:?} is not a domain"));
    }
    let mut source =
        DomainSource { line: line.number, recipients: None, when_down: WhenDown::Defer, login: None };
    let mut seen: Vec<&str> = Vec::new();
    for field in fields {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        let problem = if seen.contains(&key) {
            Some(("E-SRC-FIELD", format!("{key} twice")))
        } else {
            seen.push(key);
            set(&mut source, key, value, surroundings).err()
        };
        if let Some((code, reason)) = problem {
            findings.error(line.number, code, reason);
            is_clean = false;
        }
    }
    if is_clean && source.recipients.is_none() && source.login.is_none() {
        findings.error(line.number, "E-SRC-EMPTY", "neither recipients= nor login=");
        is_clean = false;
    }
    domain.filter(|_| is_clean).map(|domain| (domain, source))
}

fn set(
    source: &mut DomainSource,
    key: &str,
    value: &str,
    surroundings: &Surroundings,
) -> Result<(), (&'static str, String)> {
    let wanted = match key {
        "recipients" if value == "next-hop" => {
            source.recipients = Some(RecipientSource::NextHop);
            return Ok(());
        }
        "recipients" => match value.strip_prefix("ldap:") {
            Some(name) => {
                source.recipients = Some(RecipientSource::Ldap(ldap(name, surroundings)?));
                return Ok(());
            }
            None => "next-hop or ldap:NAME",
        },
        "login" => match value.strip_prefix("ldap:") {
            Some(name) => {
                source.login = Some(ldap(name, surroundings)?);
                return Ok(());
            }
            None => "ldap:NAME",
        },
        "when-down" => match value {
            "defer" => {
                source.when_down = WhenDown::Defer;
                return Ok(());
            }
            "accept" => {
                source.when_down = WhenDown::Accept;
                return Ok(());
            }
            _ => "defer or accept",
        },
        _ => {
            let reason = format!("{key:?} is not recipients=, login= or when-down=");
            return Err(("E-SRC-FIELD", reason));
        }
    };
    Err(("E-SRC-VALUE", format!("{key}: {value:?} is not {wanted}")))
}

fn ldap(name: &str, surroundings: &Surroundings) -> Result<Arc<str>, (&'static str, String)> {
    let Some(servers) = &surroundings.ldap_servers else { return Ok(name.into()) };
    if servers.iter().any(|known| known == name) {
        return Ok(name.into());
    }
    let known = match &servers[..] {
        [] => "it has none".to_owned(),
        names => format!("it has {}", names.join(", ")),
    };
    Err(("E-SRC-LDAP", format!("the policy service has no LDAP server {name:?}; {known}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::report;

    fn parsed(text: &str) -> (Sources, Vec<String>) {
        let surroundings =
            Surroundings { ldap_servers: Some(vec!["corp".into()]), ..Surroundings::default() };
        report("sources", |findings| parse(text, &surroundings, findings))
    }

    #[test]
    fn domains_with_who_knows_them() {
        let (table, problems) = parsed(
            "Domain.jp recipients=next-hop\nb.jp\trecipients=ldap:corp  when-down=accept login=ldap:corp\n\
             c.jp login=ldap:corp",
        );
        assert_eq!(problems, Vec::<String>::new());
        let of = |domain: &str| table.of(&domain.parse().unwrap()).cloned();
        let corp: Arc<str> = "corp".into();
        assert_eq!(
            of("domain.jp"),
            Some(DomainSource {
                line: 1,
                recipients: Some(RecipientSource::NextHop),
                when_down: WhenDown::Defer,
                login: None
            })
        );
        assert_eq!(
            of("b.jp"),
            Some(DomainSource {
                line: 2,
                recipients: Some(RecipientSource::Ldap(corp.clone())),
                when_down: WhenDown::Accept,
                login: Some(corp)
            })
        );
        assert!(!table.has_recipients(&"c.jp".parse().unwrap()));
        assert_eq!(of("d.jp"), None);
    }

    #[test]
    fn refused() {
        let (table, problems) = parsed(
            "*.d.jp recipients=next-hop\na.jp\nb.jp recipients=probe\nc.jp recipients=ldap:crop\n\
             d.jp when-down=accept\ne.jp recipients=next-hop recipients=next-hop\nf.jp when=down\n\
             g.jp recipients=next-hop when-down=550\nh.jp recipients=next-hop\nH.jp recipients=next-hop",
        );
        assert_eq!(
            problems,
            [
                "sources:1: error E-SRC-DOMAIN: \"*.d.jp\" is not a domain",
                "sources:2: error E-SRC-EMPTY: neither recipients= nor login=",
                "sources:3: error E-SRC-VALUE: recipients: \"probe\" is not next-hop or ldap:NAME",
                "sources:4: error E-SRC-LDAP: the policy service has no LDAP server \"crop\"; it has corp",
                "sources:5: error E-SRC-EMPTY: neither recipients= nor login=",
                "sources:6: error E-SRC-FIELD: recipients twice",
                "sources:7: error E-SRC-FIELD: \"when\" is not recipients=, login= or when-down=",
                "sources:8: error E-SRC-VALUE: when-down: \"550\" is not defer or accept",
                "sources:10: error E-SRC-DUP: same domain as line 9",
            ]
        );
        assert_eq!(table.domains().count(), 1);
    }
}

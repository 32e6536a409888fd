//! What a line is about: destinations, hosts that make a site, or sources.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;

use crate::{
    address::Mailbox,
    destination::{Destination, HostName},
    domain::Domain,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("want a domain, *.domain, [host]:port, [host], [*] or *")]
    Destination,
    #[error("want host names, *.suffix or addresses, separated by commas, or * alone")]
    Site,
    #[error("want a network, an address of a sender, @domain or @*.domain")]
    Source,
    #[error("want a name, *.name or *")]
    Name,
}

/// `name`: itself only; `*.name`: one or more labels below it, not itself; `*`: every name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NamePattern {
    Exact(Domain),
    Below(Domain),
    Any,
}

/// Names without brackets are mail domains; what stands in brackets is a fixed next hop.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DestinationPattern {
    /// `example.org`.
    Domain(Domain),
    /// `*.example.org`.
    Below(Domain),
    /// `[host]:port`.
    HostAndPort(HostName, u16),
    /// `[host]`: on any port.
    Host(HostName),
    /// `[*]`: every fixed next hop.
    EveryHost,
    /// `*`.
    Everything,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    Name(NamePattern),
    Address(IpAddr),
}

/// Hosts that are one site: each MX host of a destination must fit one of the patterns. `*` alone
/// says something of every site and makes none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SitePattern(Vec<HostPattern>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SourcePattern {
    /// The client is in this network.
    Network(IpNet),
    /// The sender has this address; ASCII case does not matter.
    Address(Box<str>),
    /// `@example.org`: the sender's domain.
    Domain(NamePattern),
}

impl NamePattern {
    pub fn matches(&self, name: &Domain) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Below(parent) => {
                let rest = name.as_str().strip_suffix(parent.as_str());
                rest.is_some_and(|labels| labels.ends_with('.'))
            }
            Self::Any => true,
        }
    }

    /// The patterns that fit a name, the most telling first.
    pub(super) fn of(name: &Domain) -> impl Iterator<Item = Self> + use<> {
        let below = parents(name).map(Self::Below);
        std::iter::once(Self::Exact(name.clone())).chain(below).chain([Self::Any])
    }
}

impl DestinationPattern {
    /// The patterns that fit a destination, the most telling first.
    pub(super) fn of(destination: &Destination) -> Vec<Self> {
        match destination {
            Destination::Mx(domain) => std::iter::once(Self::Domain(domain.clone()))
                .chain(parents(domain).map(Self::Below))
                .chain([Self::Everything])
                .collect(),
            Destination::Host { host, port } => vec![
                Self::HostAndPort(host.clone(), *port),
                Self::Host(host.clone()),
                Self::EveryHost,
                Self::Everything,
            ],
        }
    }
}

/// The domains above a name, the nearest first.
fn parents(name: &Domain) -> impl Iterator<Item = Domain> + use<> {
    let parent = |name: &Domain| name.parent().and_then(|parent| parent.parse().ok());
    std::iter::successors(parent(name), parent)
}

impl SitePattern {
    pub fn is_everything(&self) -> bool {
        matches!(self.0.as_slice(), [HostPattern::Name(NamePattern::Any)])
    }

    pub fn matches(&self, hosts: &[HostName]) -> bool {
        self.is_everything()
            || (!hosts.is_empty()
                && hosts.iter().all(|host| self.0.iter().any(|pattern| pattern.matches(host))))
    }

    /// Every host that fits `other` fits this too.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|narrow| self.0.iter().any(|wide| wide.covers(narrow)))
    }
}

impl HostPattern {
    fn matches(&self, host: &HostName) -> bool {
        match (self, host) {
            (Self::Name(pattern), HostName::Name(name)) => pattern.matches(name),
            (Self::Address(address), HostName::Address(other)) => address == other,
            (Self::Name(_), HostName::Address(_)) | (Self::Address(_), HostName::Name(_)) => false,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(NamePattern::Any), Self::Name(_)) => true,
            (Self::Name(wide), Self::Name(NamePattern::Exact(name))) => wide.matches(name),
            (Self::Name(NamePattern::Below(wide)), Self::Name(NamePattern::Below(narrow))) => {
                wide == narrow || NamePattern::Below(wide.clone()).matches(narrow)
            }
            (wide, narrow) => wide == narrow,
        }
    }
}

impl SourcePattern {
    pub(super) fn address(mailbox: &Mailbox) -> Self {
        Self::Address(mailbox.to_string().to_ascii_lowercase().into())
    }
}

impl FromStr for NamePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let name = |text: &str| text.parse().map_err(|_| PatternError::Name);
        match text.strip_prefix("*.") {
            _ if text == "*" => Ok(Self::Any),
            Some(parent) => Ok(Self::Below(name(parent)?)),
            None => Ok(Self::Exact(name(text)?)),
        }
    }
}

impl FromStr for DestinationPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text == "[*]" {
            return Ok(Self::EveryHost);
        }
        if text.starts_with('[') {
            if let Ok(Destination::Host { host, port }) = text.parse() {
                return Ok(Self::HostAndPort(canonical(host), port));
            }
            let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let host = bare.and_then(|host| host.parse().ok()).ok_or(PatternError::Destination)?;
            return Ok(Self::Host(canonical(host)));
        }
        match text.parse().map_err(|_| PatternError::Destination)? {
            NamePattern::Exact(domain) => Ok(Self::Domain(domain)),
            NamePattern::Below(domain) => Ok(Self::Below(domain)),
            NamePattern::Any => Ok(Self::Everything),
        }
    }
}

fn canonical(host: HostName) -> HostName {
    match host {
        HostName::Address(address) => HostName::Address(address.to_canonical()),
        HostName::Name(name) => HostName::Name(name),
    }
}

impl FromStr for SitePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let host = |text: &str| match text.parse::<IpAddr>() {
            Ok(address) => Ok(HostPattern::Address(address.to_canonical())),
            Err(_) => text.parse().map(HostPattern::Name),
        };
        let hosts: Result<Vec<HostPattern>, PatternError> = text.split(',').map(host).collect();
        let hosts = hosts.map_err(|_| PatternError::Site)?;
        let has_everything = hosts.contains(&HostPattern::Name(NamePattern::Any));
        if has_everything && hosts.len() > 1 { Err(PatternError::Site) } else { Ok(Self(hosts)) }
    }
}

impl FromStr for SourcePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if let Some(domain) = text.strip_prefix('@') {
            return domain.parse().map(Self::Domain).map_err(|_| PatternError::Source);
        }
        if text.contains('@') {
            let mailbox: Mailbox = text.parse().map_err(|_| PatternError::Source)?;
            return Ok(Self::address(&mailbox));
        }
        let network: Option<IpNet> =
            text.parse().ok().or_else(|| text.parse().ok().map(|it: IpAddr| it.to_canonical().into()));
        network.map(|network| Self::Network(network.trunc())).ok_or(PatternError::Source)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl fmt::Display for DestinationPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Below(domain) => write!(f, "*.{domain}"),
            Self::HostAndPort(host, port) => write!(f, "[{host}]:{port}"),
            Self::Host(host) => write!(f, "[{host}]"),
            Self::EveryHost => f.write_str("[*]"),
            Self::Everything => f.write_str("*"),
        }
    }
}

impl fmt::Display for SitePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match pattern {
                HostPattern::Name(name) => name.fmt(f)?,
                HostPattern::Address(address) => address.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for SourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Address(address) => f.write_str(address),
            Self::Domain(domain) => write!(f, "@{domain}"),
        }
    }
}

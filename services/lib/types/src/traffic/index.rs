//! Where a line stands in the order in which lines decide, as places in the lists of rules.

use std::{collections::HashMap, net::IpAddr};

use super::{DestinationPattern, DestinationRule, NamePattern, SiteRule, SourcePattern, SourceRule};
use crate::{address::ReversePath, destination::Destination};

/// The administrator's lines, then the shipped ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Index {
    layers: [Layer; 2],
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Layer {
    destinations: HashMap<DestinationPattern, usize>,
    /// In the order of the file; `*` last.
    sites: Vec<usize>,
    senders: HashMap<SourcePattern, usize>,
    /// The narrowest first.
    networks: Vec<usize>,
}

impl Index {
    pub(super) fn new(destinations: &[DestinationRule], sites: &[SiteRule], sources: &[SourceRule]) -> Self {
        let mut index = Self::default();
        for (place, rule) in destinations.iter().enumerate() {
            let layer = index.layer(rule.line.shipped);
            layer.destinations.entry(rule.pattern.clone()).or_insert(place);
        }
        for (place, rule) in sites.iter().enumerate() {
            index.layer(rule.line.shipped).sites.push(place);
        }
        for (place, rule) in sources.iter().enumerate() {
            let layer = index.layer(rule.line.shipped);
            match rule.pattern {
                SourcePattern::Network(_) => layer.networks.push(place),
                SourcePattern::Address(_) | SourcePattern::Domain(_) => {
                    layer.senders.entry(rule.pattern.clone()).or_insert(place);
                }
            }
        }
        for layer in &mut index.layers {
            layer.sites.sort_by_key(|place| sites.get(*place).is_some_and(|it| it.pattern.is_everything()));
            layer.networks.sort_by_key(|place| {
                let length = sources.get(*place).and_then(|rule| match &rule.pattern {
                    SourcePattern::Network(network) => Some(network.prefix_len()),
                    SourcePattern::Address(_) | SourcePattern::Domain(_) => None,
                });
                std::cmp::Reverse(length)
            });
        }
        index
    }

    fn layer(&mut self, shipped: bool) -> &mut Layer {
        let [own, defaults] = &mut self.layers;
        if shipped { defaults } else { own }
    }

    pub(super) fn destination(&self, destination: &Destination) -> Vec<usize> {
        let patterns = DestinationPattern::of(destination);
        let lines = |layer: &'_ Layer| -> Vec<usize> {
            patterns.iter().filter_map(|pattern| layer.destinations.get(pattern).copied()).collect()
        };
        self.layers.iter().flat_map(lines).collect()
    }

    pub(super) fn sites(&self) -> impl Iterator<Item = usize> {
        self.layers.iter().flat_map(|layer| layer.sites.iter().copied())
    }

    pub(super) fn source(
        &self,
        sources: &[SourceRule],
        client: Option<IpAddr>,
        reverse_path: &ReversePath,
    ) -> Vec<usize> {
        let client = client.map(|client| client.to_canonical());
        let senders: Vec<SourcePattern> = match reverse_path {
            ReversePath::Null => Vec::new(),
            ReversePath::Mailbox(mailbox) => {
                let domains = mailbox.domain().into_iter().flat_map(NamePattern::of);
                std::iter::once(SourcePattern::address(mailbox))
                    .chain(domains.map(SourcePattern::Domain))
                    .collect()
            }
        };
        let is_around = |place: usize| match (client, sources.get(place).map(|rule| &rule.pattern)) {
            (Some(client), Some(SourcePattern::Network(network))) => network.contains(&client),
            _ => false,
        };
        let lines = |layer: &Layer| -> Vec<usize> {
            let senders = senders.iter().filter_map(|pattern| layer.senders.get(pattern).copied());
            senders.chain(layer.networks.iter().copied().filter(|place| is_around(*place))).collect()
        };
        self.layers.iter().flat_map(lines).collect()
    }
}

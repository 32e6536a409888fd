//! Which call needs which role. A call that is not in the table needs an operator; the test below
//! fails until it is.

use crate::role::Role;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Anybody,
    Least(Role),
    /// What relays and operators do, but who only looks does not: a password is tried.
    Relays,
}

use Access::{Anybody, Least, Relays};
use Role::{Operator, Relay, Viewer};

const TABLE: &[(&str, &[(&str, Access)])] = &[
    (
        "hikyaku.policy.v1.PolicyService",
        &[
            ("CheckConnection", Least(Relay)),
            ("CheckSender", Least(Relay)),
            ("CheckRecipient", Least(Relay)),
            ("Authenticate", Relays),
            ("CheckAuthor", Least(Relay)),
            ("ResolveRoute", Least(Relay)),
            ("ListHosts", Least(Relay)),
            ("ListHours", Least(Relay)),
            ("GetTraffic", Least(Relay)),
            ("GetOverview", Least(Relay)),
        ],
    ),
    (
        "hikyaku.directory.v1.DirectoryService",
        &[
            // With the verifiers of passwords only for an operator.
            ("GetDirectory", Least(Viewer)),
            // Who only asks whether a change would be accepted changes nothing; the service asks for
            // an operator (`require`) before it stores one.
            ("CommitDocuments", Least(Viewer)),
            ("ImportFiles", Least(Operator)),
            ("SetSecret", Least(Operator)),
            ("UnlockLogins", Least(Operator)),
            ("ListVersions", Least(Viewer)),
            ("RollBack", Least(Operator)),
            ("WatchDirectory", Least(Viewer)),
            ("SearchDirectory", Least(Viewer)),
            ("Explain", Least(Viewer)),
            ("ReplayEnvelopes", Least(Viewer)),
            ("TestRelay", Least(Viewer)),
        ],
    ),
    (
        "hikyaku.admin.v1.QueueAdminService",
        &[
            ("ListEntries", Least(Viewer)),
            ("CountEntries", Least(Viewer)),
            ("GetEntry", Least(Viewer)),
            ("RetryEntries", Least(Operator)),
            ("HoldEntries", Least(Operator)),
            ("ReleaseEntries", Least(Operator)),
            ("MoveEntries", Least(Operator)),
            ("BounceEntries", Least(Operator)),
            ("DeleteEntries", Least(Operator)),
        ],
    ),
    (
        "hikyaku.admin.v1.DestinationAdminService",
        &[
            ("ListDestinations", Least(Viewer)),
            ("GetDestination", Least(Viewer)),
            ("GetLimits", Least(Viewer)),
            ("FlushNames", Least(Operator)),
        ],
    ),
    ("hikyaku.admin.v1.NodeAdminService", &[("ListNodes", Least(Viewer)), ("DrainNode", Least(Operator))]),
    (
        "hikyaku.admin.v1.CustodyAdminService",
        &[("AuditQueue", Least(Viewer)), ("CheckQueue", Least(Viewer)), ("GetAcceptance", Least(Viewer))],
    ),
    (
        "hikyaku.admin.v1.DoctorAdminService",
        &[
            // It connects to what the directory names and to nothing that the caller does.
            ("CheckCluster", Least(Viewer)),
            // It connects where mail for a domain goes, at the port of mail; about a recipient the service
            // asks for an operator (`require`).
            ("CheckDelivery", Least(Viewer)),
        ],
    ),
    (
        "hikyaku.admin.v1.DeadLetterAdminService",
        &[
            ("ListDeadLetters", Least(Viewer)),
            ("GetDeadLetter", Least(Viewer)),
            ("ResendDeadLetter", Least(Operator)),
            ("DeleteDeadLetter", Least(Operator)),
        ],
    ),
    ("hikyaku.admin.v1.MessageAdminService", &[("ListMessageEvents", Least(Viewer))]),
    ("hikyaku.admin.v1.SessionAdminService", &[("TraceSessions", Least(Operator))]),
    ("grpc.health.v1.Health", &[("Check", Anybody), ("Watch", Anybody), ("List", Anybody)]),
    ("grpc.reflection.v1.ServerReflection", &[("ServerReflectionInfo", Least(Viewer))]),
];

impl Access {
    /// The role that a caller lacks.
    pub(crate) fn needed(self) -> Option<Role> {
        match self {
            Anybody => None,
            Least(role) => Some(role),
            Relays => Some(Relay),
        }
    }

    pub(crate) fn admits(self, role: Role) -> bool {
        match self {
            Anybody => true,
            Least(least) => role >= least,
            Relays => matches!(role, Relay | Operator),
        }
    }
}

/// `path` is that of the request: `/package.Service/Method`.
pub(crate) fn access(path: &str) -> Access {
    find(path).map_or(Least(Operator), |(_, _, access)| access)
}

/// Service and method of a call that exists. Who calls does not choose the labels of our metrics.
pub(crate) fn names(path: &str) -> Option<(&'static str, &'static str)> {
    find(path).map(|(service, method, _)| (service, method))
}

/// Of the table.
pub(crate) fn services() -> Vec<&'static str> {
    TABLE.iter().map(|(service, _)| *service).collect()
}

/// The same.
pub(crate) fn methods() -> Vec<&'static str> {
    let methods = TABLE.iter().flat_map(|(_, methods)| methods.iter().map(|(method, _)| *method));
    let methods: std::collections::BTreeSet<&str> = methods.collect();
    methods.into_iter().collect()
}

fn find(path: &str) -> Option<(&'static str, &'static str, Access)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let (service, methods) = TABLE.iter().find(|(name, _)| *name == service)?;
    methods.iter().find(|(name, _)| *name == method).map(|(method, access)| (*service, *method, *access))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn the_table_names_every_call_and_no_other() {
        let set = FileDescriptorSet::decode(hikyaku_proto::DESCRIPTOR).unwrap();
        let mut served = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    served.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        assert!(served.len() > 20, "the descriptor set holds our services");
        let paths = |of: &(&str, &[(&str, Access)])| {
            let (service, methods) = *of;
            methods.iter().map(move |(method, _)| format!("/{service}/{method}")).collect::<Vec<_>>()
        };
        let ours = TABLE.iter().filter(|(service, _)| service.starts_with("hikyaku."));
        let named: BTreeSet<String> = ours.flat_map(paths).collect();
        assert_eq!(named, served);
    }

    /// A call that changes something cannot become a viewer's by mistake.
    #[test]
    fn what_a_viewer_may_call_only_reads() {
        const READS: [&str; 5] = ["Get", "List", "Count", "Check", "Audit"];
        for (service, methods) in TABLE.iter().filter(|(service, _)| service.starts_with("hikyaku.admin.")) {
            for (method, access) in *methods {
                let reads = READS.iter().any(|read| method.starts_with(read));
                assert_eq!(*access, Least(if reads { Viewer } else { Operator }), "{service}/{method}");
            }
        }
    }

    #[test]
    fn what_is_not_known_needs_an_operator_and_is_no_label() {
        for path in ["", "/", "x", "/hikyaku.admin.v1.QueueAdminService/", "/a.B/C", "//"] {
            assert_eq!(access(path), Least(Operator), "{path:?}");
            assert_eq!(names(path), None, "{path:?}");
        }
        assert_eq!(access("/grpc.health.v1.Health/Check"), Anybody);
    }
}

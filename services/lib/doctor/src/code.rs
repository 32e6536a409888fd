//! Every finding that there is: its name, how bad it is, what to do, and the page that explains it. Names are an
//! interface for scripts and never change their meaning.

use std::{fmt, str::FromStr};

use crate::finding::Severity;

macro_rules! codes {
    ($($code:ident $name:literal $severity:ident $remedy:literal $help:literal)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($code),* }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$code),*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => $name),* }
            }

            pub const fn severity(self) -> Severity {
                match self { $(Self::$code => Severity::$severity),* }
            }

            /// What to do, in one line.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$code => $remedy),* }
            }

            /// What it means, and how to go on.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$code => $help),* }
            }
        }
    };
}

codes! {
    BrokerSilent "D-BROKER-SILENT" Fail
        "start the NATS servers, and give the relay a login of their system account (nats_system_login)"
        "No NATS server has told its settings, so nobody knows whether what it acknowledges is on disk. Mail is \
         answered 451 until one does. Either no server can be reached, or the relay has no login of the system \
         account, which alone may read settings: see nats_system_login in hikyaku.toml."
    BrokerSync "D-BROKER-SYNC" Fail
        "set jetstream { sync_interval: always } on that server and start it again"
        "This NATS server acknowledges a write before it is on disk, and loses what it acknowledged in the last \
         minutes when the power fails. A 250 would then be a lie, so mail is answered 451. Put sync_interval: \
         always into the block jetstream of the server's configuration. Servers are restarted one at a time; the \
         relay goes on by itself within ten seconds."
    BrokerApart "D-BROKER-APART" Fail
        "give all servers the same cluster name, or let the relay's nats name only the right ones"
        "NATS servers of different clusters have answered. Streams are not copied between clusters, so what one \
         node of the relay stores another may never see. Compare cluster { name } of the servers, and the list \
         of servers in the key nats of every node."
    BrokerVersions "D-BROKER-VERSIONS" Warn
        "bring all NATS servers to the same version"
        "The NATS servers run different versions. That is how a rolling upgrade looks; when none is under way, \
         one server was forgotten, and features of JetStream that the relay needs may be missing on it."
    BrokerFull "D-BROKER-FULL" Warn
        "make room for JetStream: a larger disk, a higher max_file_store, or less in the queue"
        "More than nine tenths of what this server may store are taken. When it is full, its streams take no \
         more, and clients hear 451. `hikyakuctl destination list` shows what waits, `hikyakuctl dead list` what \
         is kept as dead letters."
    StreamMissing "D-STREAM-MISSING" Fail
        "start a node of the relay: it makes the streams that are missing"
        "A stream of the queue does not exist. Each node makes what is missing when it starts, so somebody has \
         removed it since, with what was in it, or the relay is connected to another cluster than before. Check \
         the key nats of every node before anything is started."
    StreamUnsafe "D-STREAM-UNSAFE" Fail
        "restore the stream's settings, or remove it when it is empty and start a node of the relay"
        "A stream of the queue is kept in memory, or has persist_mode async: what it acknowledges is not on \
         disk. Somebody has changed it by hand; the relay makes no such streams and refuses to start on them."
    StreamSilent "D-STREAM-SILENT" Fail
        "look at the NATS servers: the stream has no leader, or its disk cannot be written"
        "This stream gives no answer. Most of its copies are on servers that are down or cut off, or the disk \
         below it has failed. Entries in it wait, and new mail for it is answered 451."
    StreamBehind "D-STREAM-BEHIND" Warn
        "look at the NATS servers that are named: they are down, or still catching up"
        "Some copies of this stream are not up to date. Nothing is lost as long as most of them are, but one \
         more server that fails stops the stream."
    StoreWrite "D-STORE-WRITE" Fail
        "look at the disks and the logs of the NATS servers"
        "A test record could not be written to the custody stream. While nothing can be written, clients hear \
         451 and deliveries cannot be recorded."
    PolicySilent "D-POLICY-SILENT" Fail
        "start the policy service, and compare the key policy of the nodes with where it listens"
        "The policy service gives no answer to the node that has examined the cluster. Without it clients hear \
         451, and mail in the queue keeps the destinations that it has. What the directory says could not be \
         examined."
    VersionBehind "D-VERSION-BEHIND" Fail
        "read the log of that node: it names the lines that it cannot use"
        "This node answers from an older version of the directory than the one that is stored. It either cannot \
         reach the store, or refuses the version: it was accepted by another version of the program, or the \
         node has addresses of its own that a route points to. Bring all nodes to the same program, or roll the \
         directory back (`hikyakuctl directory roll-back`)."
    NodeSilent "D-NODE-SILENT" Warn
        "look whether that worker is well, and whether it runs another version of the program"
        "A delivery worker that lives was asked to try the next hops and gave no answer within 35 seconds. Either it \
         is in trouble, or it runs a version that does not know the question. What the others see stands in the \
         other findings; a firewall that stops this node alone was not looked for."
    NoRecipients "D-NO-RECIPIENTS" Warn
        "list the recipients of the domain in aliases or accounts, name who knows them in sources, or accept all \
         with *@domain TAB *@domain"
        "The domain is ours, but no alias, account or source says who is in it, so every recipient except postmaster \
         is refused with 550 5.1.1. That is how a new domain looks before its recipients were imported."
    ModeA "D-MODE-A" Warn
        "list the recipients in aliases or accounts, or let the relay ask the inner server"
        "Every address of the domain is accepted (mode A), made-up ones too. What the inner server then refuses \
         must be returned to senders that are mostly forged, and floods of bounces to made-up addresses all reach \
         the inner server. This warning stays for as long as nobody checks the recipients: list them, or have \
         the inner server asked."
    NoRoute "D-NO-ROUTE" Warn
        "add a line to routes: DOMAIN, HOST, PORT"
        "The domain is ours and has no route, and there is no smart host. Its mail goes to its MX hosts, and \
         these should be this relay: the mail comes back until it is refused as a loop (554 5.4.6)."
    SmartHost "D-SMART-HOST" Warn
        "empty the smart host, or make sure that it never sends back here what it is given"
        "Routes and a smart host are both filled. That is how mail goes round between two machines: what no \
         route takes goes to the smart host, and when that is the inner server, which itself sends everything \
         here, it comes back. On a border relay only the routes are filled; on the inner server only the smart \
         host is."
    RouteHidden "D-ROUTE-HIDDEN" Warn
        "move the line above the one that hides it, or delete it"
        "The first line of routes that fits decides, so this line is never used: an earlier one, often a \
         catch-all *, already takes everything that it is for."
    Access "D-ACCESS" Warn
        "narrow the line, or delete it when it is never reached"
        "A line of the access table does not do what it seems to. Either it trusts a wide network of public \
         addresses, whose users may then send anywhere through this relay, or it is never reached because an \
         earlier line decides. `hikyakuctl explain` shows step by step what happens to one envelope."
    Unheard "D-UNHEARD" Warn
        "add the domain to own-domains, or delete its entries"
        "Aliases or accounts name a domain that is not in own-domains. No mail from outside is accepted for it."
    NotOwn "D-NOT-OWN" Fail
        "add the domain to own-domains, with its recipients and a route"
        "The domain that was asked about is not in own-domains: mail for it is refused with 550 5.7.1 from \
         everybody who may not relay."
    Loop "D-LOOP" Fail
        "let the line name the inner server, not this relay"
        "A next hop is this relay itself: it greets with its name. Mail for it comes \
         back until it is refused as a loop (554 5.4.6)."
    PeerName "D-PEER-NAME" Fail
        "correct the name, enter it in the DNS, or write its addresses into hosts"
        "The name of a next hop has no address, so mail for it waits and is given up after some days."
    PeerRefused "D-PEER-REFUSED" Fail
        "start the server, or let both sides name the same port"
        "Nothing listens on that port of the next hop, so mail for it waits. The classic cause is one machine \
         that listens on 25 while the other sends to 20025, or the reverse: look at the key smtp there and at \
         the line that is named here."
    PeerSilent "D-PEER-SILENT" Fail
        "look at firewalls between the node and the peer, and whether the peer is up"
        "The next hop gives no answer: the connection is not made, or no greeting comes. A firewall drops what \
         is sent, the machine is down, or its name leads elsewhere. It was tried from the node that is named, \
         because another machine may be let through where that one is not."
    PeerGreeting "D-PEER-GREETING" Warn
        "read what the peer says, and its log"
        "The next hop answers, but does not greet with 220. It may be too busy, or refuse this relay's address."
    InnerOpen "D-INNER-OPEN" Warn
        "let the inner server accept connections on that port from the relay only"
        "The inner server greets a machine that is not this relay. What comes to it directly has not been \
         checked by anybody: unknown recipients, forged senders, relaying. Restrict its port 25 to the addresses \
         of the relay, by its own settings or a firewall. A probe from within the office proves less than one \
         from outside; the address that it was made from is named."
    AddressesUnknown "D-ADDRESSES-UNKNOWN" Warn
        "give the relay's hostname an address in the DNS, or set own_addresses in the document settings"
        "Nobody knows under which addresses the world sees this cluster, so MX records cannot be judged. They \
         are those of the relay's hostname in the DNS, those that its listeners name, and those that own_addresses \
         in the document settings lists, which is for load balancers."
    DnsSilent "D-DNS-SILENT" Warn
        "look at the resolvers (key dns), and ask again"
        "The DNS gave no answer, so this could not be judged. Delivery by MX has the same trouble for as long \
         as it lasts."
    MxNone "D-MX-NONE" Fail
        "enter an MX record for the domain that names this relay"
        "The domain does not exist in the DNS, has neither MX nor address records, or says that it takes no mail \
         (null MX). Nobody outside can send to it."
    MxNotOurs "D-MX-NOT-OURS" Fail
        "let an MX record of the domain name a host with an address of this cluster"
        "None of the domain's MX hosts leads to this cluster, so mail from outside never comes here. Addresses \
         that the cluster has but does not know of, such as a load balancer's, belong into own_addresses in the \
         document settings."
    MxInner "D-MX-INNER" Fail
        "take the inner server out of the domain's MX records"
        "The domain's MX records name the inner server beside the relay. Senders, and spammers above all, use it \
         directly: what the relay refuses gets in there. A second MX record is no spare here; the relay's nodes \
         are."
    MxDead "D-MX-DEAD" Warn
        "enter an address for the MX host, or remove the record"
        "An MX record of the domain names a host without an address. Senders try the others; each try costs \
         time, and some give up."
    SpfNone "D-SPF-NONE" Warn
        "publish a TXT record, for example \"v=spf1 mx -all\""
        "The domain has no SPF record, so anybody can send in its name unnoticed, and large providers trust its \
         mail less."
    SpfMany "D-SPF-MANY" Warn
        "join the records into one"
        "The domain has more than one SPF record. That is an error for every receiver (RFC 7208 4.5), as if \
         there were none."
    SpfNotOurs "D-SPF-NOT-OURS" Warn
        "add the relay's addresses to the record: ip4:..., or mx when they are the same"
        "The domain's SPF record does not allow the addresses from which this cluster sends, so its own outgoing \
         mail looks forged. Addresses of egress lines in the document traffic count, and without such lines those \
         that the cluster is known by."
    SpfAll "D-SPF-ALL" Warn
        "end the record with -all or ~all"
        "The domain's SPF record allows every address of the world, so it protects nobody."
    ReverseDns "D-REVERSE-DNS" Warn
        "let the owner of the address enter a PTR record, and give that name the same address"
        "The address has no reverse DNS name, or one that does not lead back to it. Many servers refuse mail \
         from such addresses."
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchCode;

impl fmt::Display for NoSuchCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such finding")
    }
}

impl std::error::Error for NoSuchCode {}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Code {
    type Err = NoSuchCode;

    fn from_str(text: &str) -> Result<Self, NoSuchCode> {
        Self::ALL.iter().copied().find(|code| code.name().eq_ignore_ascii_case(text)).ok_or(NoSuchCode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEED-237: each finding has a page that ships with the product.
    #[test]
    fn seed_237_each_code_has_help() {
        for (place, code) in Code::ALL.iter().enumerate() {
            assert!(code.name().starts_with("D-"), "{code}");
            assert!(code.help().len() > 80, "{code}: a page says more than its name");
            assert!(code.remedy().len() > 20 && !code.remedy().ends_with('.'), "{code}: {:?}", code.remedy());
            assert!(!code.help().contains("  "), "{code}: {:?}", code.help());
            assert_eq!(code.name().parse(), Ok(*code));
            let again = Code::ALL.iter().position(|other| other.name() == code.name());
            assert_eq!(again, Some(place), "{code} is named twice");
        }
        assert_eq!("D-NOTHING".parse::<Code>(), Err(NoSuchCode));
    }
}

//! Real parts for tests. A server that can tell where it is binds port 0; every wait
//! is for a state and says what was missing when it gives up.

pub mod eventually; // wait for a state
pub mod port; // where nobody listens
pub mod nats; // a nats-server of one's own
pub mod certificates; // an authority of one's own
pub mod wire; // a connection that can be cut
pub mod nats_cluster; // three of them
pub mod disk; // a disk that can be filled and lose its power
pub mod dns; // a DNS server with a zone that tests write
pub mod nsd; // one with signed zones
pub mod liar; // one that forges
pub mod mx; // an SMTP server that does what its script says
pub mod peers; // real mail servers
pub mod gateways; // real mail servers that relay, in and out by every way
pub mod web; // a web server with a certificate
pub mod hook; // a web server that keeps what it is told
pub mod balancer; // a load balancer that names its clients
pub mod ldap; // a company's directory
pub mod metrics; // what a process shows
pub mod collector; // what OpenTelemetry sends its spans to
pub mod relay; // `hikyaku up` as a process
pub mod accounts; // documents of accounts with known passwords
pub mod client; // an SMTP client that sends what it is told

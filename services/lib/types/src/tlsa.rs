//! What a host's certificate is held to by the DNS (RFC 6698, RFC 7672).

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsaRecord {
    pub usage: TlsaUsage,
    pub selector: TlsaSelector,
    pub data: TlsaData,
}

/// The usages that mail servers may be held to; PKIX-TA and PKIX-EE are none (RFC 7672 3.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsaUsage {
    /// An authority of the host's own.
    DaneTa,
    /// The host's certificate itself; neither its name nor its dates count.
    DaneEe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsaSelector {
    Certificate,
    PublicKey,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsaData {
    /// The octets themselves.
    Whole(Vec<u8>),
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

//! When two spellings are one address: neither case nor needless quotes in the local part tell two apart.

use hikyaku_types::{
    address::{Mailbox, canonical_local_part},
    domain::Domain,
};

/// An address as tables find it: its canonical local part, then its domain.
pub(crate) type AddressKey = (Box<str>, Domain);

/// None for an address literal: no document names one.
pub(crate) fn address_key(mailbox: &Mailbox) -> Option<AddressKey> {
    Some((canonical_local_part(mailbox.local_part()), mailbox.domain()?.clone()))
}

/// True when both name the same mailbox.
pub(crate) fn is_same(a: &Mailbox, b: &Mailbox) -> bool {
    a.host() == b.host() && canonical_local_part(a.local_part()) == canonical_local_part(b.local_part())
}

/// The one spelling of an address that others are compared with.
pub(crate) fn canonical_address(mailbox: &Mailbox) -> String {
    format!("{}@{}", canonical_local_part(mailbox.local_part()), mailbox.host())
}

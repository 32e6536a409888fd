//! Client of the policy service, with a brief cache.

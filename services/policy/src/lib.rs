//! Who may send what, and where it goes.

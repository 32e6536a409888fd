//! Message level: trace fields, loop count, delivery reports; no I/O.

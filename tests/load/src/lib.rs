//! Load generator, sink and report.

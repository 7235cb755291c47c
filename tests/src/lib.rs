//! What the suites that cross crates share: the recorded arrays and the networks they belong to, and foreign tools.
//!
//! It holds no test itself; the suites are in `tests/`.

#![forbid(unsafe_code)]

pub mod golden;
pub mod tools;

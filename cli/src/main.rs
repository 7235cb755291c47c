//! nirc
fn main() {}

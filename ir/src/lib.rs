//! nirc-ir

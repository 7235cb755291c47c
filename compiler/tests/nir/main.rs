//! The NIR importer and exporter against real files, odd graphs and hostile bytes.
//!
//! Files in `../shared` (beside the repository) are used where they are; a test that needs them is
//! skipped with a note where they are absent.

mod corpus;

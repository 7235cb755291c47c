//! The NIR importer and exporter against real files, odd graphs and hostile bytes.

mod compose;
mod corpus;
mod export;
mod graphs;
mod hostile;
mod import;
mod python;
mod samples;
mod shapes;
mod shared;

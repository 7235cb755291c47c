//! The NIR importer and exporter against real files, odd graphs and hostile bytes.

mod compose;
mod corpus;
mod export;
mod graphs;
mod hostile;
mod import;
#[cfg(feature = "libhdf5")]
mod libhdf5;
mod python;
mod samples;
mod scratch;
mod shapes;
mod shared;
mod stated;

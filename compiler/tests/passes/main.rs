//! Passes over networks: texts before and after, and fused paths against a plain reference.

mod reference;
mod synapses;
mod texts;

//! Firmware against the interpreter: handler by handler in a single core, whole networks on a chip.

mod chip;
mod handlers;
mod image;
mod programs;
mod roots;
mod synapses;

//! Exact event times against what knows nothing of event programs: differences of the loss, and bisection.

#[path = "event/forward.rs"]
mod forward;
#[path = "event/gradient.rs"]
mod gradient;
#[path = "event/net.rs"]
mod net;
#[path = "event/peaks.rs"]
mod peaks;
#[path = "event/programs.rs"]
mod programs;
#[path = "event/readouts.rs"]
mod readouts;

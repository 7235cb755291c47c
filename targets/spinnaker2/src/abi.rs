//! The contract between firmware, routing tables and host: keys, commands, symbols.
//!
//! # Keys
//! `instance[31:24] number[23:18] kind[17:16] index[15:0]`. The instance is the replica (the optimiser
//! PE answers to [`OPTIMISER`]), so that one image serves all replicas: each PE adds the instance from
//! its `config` word.
//!
//! | kind | number | index | payload | from → to |
//! |---|---|---|---|---|
//! | [`Kind::Spike`] | producing process | lane | none | producer → its consumers |
//! | [`Kind::Marker`] | process that finished a step | 0 | none | process → all its neighbours, both ways |
//! | [`Kind::Error`] | channel | lane of the producer | `f32` | consumer → producer |
//! | [`Kind::Command`] | 0 | 0 | flags | host → all PEs of the instance |
//! | [`Kind::Command`] | worker's process | [`READY`] | none | worker → optimiser PE |
//!
//! # A batch
//! The host writes inputs and labels into the SRAM of the PEs, sends [`OPTIMISER`]'s command (payload:
//! `replicas | workers << 16`, the number of replicas to gather from and of READY packets to wait for),
//! then a command to each instance ([`FORWARD`], [`ADJOINT`], [`ZERO`], [`REPORT`]), and waits until the
//! chip is quiet. Results are read from SRAM.
//!
//! # Steps and flow control
//! A process counts finished steps; after each it sends its marker to every process that shares a
//! channel with it. Forward, step `t` of a source or neuron process emits bin `t`; step `t` of the loss
//! consumes bin `t`. Adjoint, step `T + s` works on bin `T-2-s`. A process begins step `t` when every
//! producer has finished `t` steps (bins 0 ..= t-1; the loss: `t+1`), every consumer at least
//! `t - WINDOW`; step `T + s` when every consumer that sends it errors has finished `T + s` steps and
//! every producer that takes errors at least `T + s - WINDOW`. The loss's last forward step includes the
//! turn. So FIFOs are bounded and sized for the worst case.
//!
//! # Symbols
//! Every array is an ELF object symbol `process.array`; see [`tape`] for tapes. `config` is one word,
//! `instance << 24`; `status` one word, 0 or `code << 16 | detail` ([`Status`]).

/// Steps that a producer may be ahead of its consumer.
pub const WINDOW: u32 = 4;
/// Instance number of the optimiser PE.
pub const OPTIMISER: u32 = 0xFF;
/// Index of a worker's READY packet.
pub const READY: u32 = 1;
/// Command flag: run a forward pass.
pub const FORWARD: u32 = 1;
/// Command flag: run the adjoint pass after it.
pub const ADJOINT: u32 = 2;
/// Command flag: zero the gradients first (the first round of a batch).
pub const ZERO: u32 = 4;
/// Command flag: send READY at the end (the last round of a batch).
pub const REPORT: u32 = 8;

/// The kind field of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A spike.
    Spike = 0,
    /// A finished step.
    Marker = 1,
    /// An error, going backwards.
    Error = 2,
    /// From the host, or to the optimiser.
    Command = 3,
}

/// Mask of a key that leaves the index free.
pub const INDEX_FREE: u32 = 0xFFFF_0000;

/// Composes a key; callers check ranges when they allocate numbers.
pub const fn key(instance: u32, number: u32, kind: Kind, index: u32) -> u32 {
    instance << 24 | number << 18 | (kind as u32) << 16 | index
}

/// What went wrong on a PE; `detail` is the process, channel or key field concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The tape of own spikes is full; detail = process.
    SpikeTapeFull = 1,
    /// The tape of received spikes is full; detail = channel.
    InputTapeFull = 2,
    /// A packet with a key that this program does not know; detail = upper half of the key.
    UnknownKey = 3,
    /// The processor took an exception that nothing handles; detail = its number.
    Fault = 4,
}

/// Purpose of the words that count a neighbour's steps, one a neighbour; they are 0 when no work is left.
pub const PROGRESS: &str = "steps that this neighbour has finished";

/// Names of tape symbols.
pub mod tape {
    /// `u32`: own spikes so far.
    pub fn count(process: &str) -> String {
        format!("{process}.tape.count")
    }
    /// `u32[bound]`: `bin << 16 | lane`.
    pub fn place(process: &str) -> String {
        format!("{process}.tape.place")
    }
    /// `f32[bound]`: a recorded field.
    pub fn field(process: &str, field: &str) -> String {
        format!("{process}.tape.{field}")
    }
    /// `f32[bound]`: errors received over a channel.
    pub fn error(process: &str, channel: usize) -> String {
        format!("{process}.tape.error{channel}")
    }
    /// `u32`: number of input spikes of a source process.
    pub fn input_count(process: &str) -> String {
        format!("{process}.input.count")
    }
    /// `u32[bound]`: `bin << 16 | channel`, ascending.
    pub fn input(process: &str) -> String {
        format!("{process}.input")
    }
    /// `u32[replicas]` in the optimiser PE: address of a tensor's gradient in each replica, as remote SRAM.
    pub fn remote_gradient(tensor: &str) -> String {
        format!("{tensor}.remote.gradient")
    }
    /// `u32[replicas]` in the optimiser PE: address of a tensor's values in each replica.
    pub fn remote_values(tensor: &str) -> String {
        format!("{tensor}.remote.values")
    }
}

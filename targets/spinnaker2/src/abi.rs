//! The contract between firmware, routing tables and host: keys, commands, symbols.
//!
//! # Keys
//! `instance[31:24] number[23:16] kind[15:14] index[13:0]`. The instance is the replica (the optimiser
//! PE answers to [`OPTIMISER`]), so that one image serves all replicas: each PE adds the instance from
//! its `config` word.
//!
//! | kind | number | index | payload | from → to |
//! |---|---|---|---|---|
//! | [`Kind::Spike`] | producing process | lane | none, or the value | producer → its consumers |
//! | [`Kind::Marker`] | process that finished a step | 0 | none | process → all its neighbours, both ways |
//! | [`Kind::Error`] | channel | lane of the producer | `f32` | consumer → producer of a spike or value |
//! | [`Kind::Command`] | 0 | 0 | flags | host → all PEs of the instance |
//! | [`Kind::Command`] | worker's process | [`READY`] | none | worker → optimiser PE |
//!
//! In programs of exact event times a spike has a payload: its time as an `f32`, in bins from the beginning of the
//! window that it was emitted in. An error's index is the entry of the producer's tape. Markers have a payload as well, which
//! nobody reads, so that they arrive behind the spikes of their window.
//!
//! # A batch
//! The host writes inputs and labels into the SRAM of the PEs, sends [`OPTIMISER`]'s command (payload:
//! `replicas | workers << 16`, the number of replicas to gather from and of READY packets to wait for),
//! then a command to each instance ([`FORWARD`], [`ADJOINT`], [`ZERO`], [`REPORT`]), and waits until the
//! chip is quiet. Results are read from SRAM.
//!
//! # Steps and flow control
//! A process counts finished steps; after each it sends its marker to every process that shares a
//! channel with it, itself among them. Forward, step `t` of a process takes what was emitted in bin `t - d`
//! over a channel with a delay of `d`, and emits bin `t`. It begins when every such producer has finished
//! `t + 1 - d` steps, and no consumer lags by more than the window: each has finished `t - window` steps. The
//! last forward step of the loss includes the turn.
//!
//! A process does not run ahead of its producers either, whatever the delay: they have finished `t - window` steps,
//! too. So two neighbours are never further apart than a few steps, and rings and slots are bounded. The window of
//! programs that go backwards is [`WINDOW`]; in others the mapping chooses it ([`crate::mapping::Pacing`]).
//!
//! All processes but sources have as many adjoint steps as there are bins from the first tick on. Step `T + s`, in
//! which bin `T - 1 - s` is worked on, takes the errors that a consumer behind a delay of `d` sends in its step
//! `T + s - d`: it begins when every such consumer has finished `T + s + 1 - d` steps, or `T + s - window` if that is
//! more, and every producer that takes errors at least `T + s - window`. A loss that takes spikes only has no errors
//! for the last bin and is a step ahead: its `d` is 1.
//!
//! **No deadlock**, for any window from 0 on: of the processes that have finished the fewest steps, take the
//! first in the program's order if these are forward steps, the last if they are adjoint ones (sources are done by
//! then). All its neighbours have finished as many steps or more, which is what a window of 0 asks for, and a delay of
//! at least 1. Producers without a delay stand before it, and consumers without one behind it, so they have finished
//! more. It can go on.
//!
//! Of exact event times a step is a window, and a channel's delay counts the whole windows in it.
//!
//! # Segments
//! What a forward program is given and what it records lies in SRAM by bins: one row a bin of a source's
//! [`tape::raster`] or [`tape::given`], of a trace, of own spikes ([`tape::raster`] again), of given errors.
//! There are as many rows as a segment has bins, behind those of earlier bins that handlers still reach (a
//! spike that took `d` bins may be probed in the bin in which it was emitted). If a segment is shorter than
//! the sample, `limit` is a word with the number of steps that may begin, and `origin` the bin of the first row.
//! When all processes have come to the limit, the chip is quiet; the host takes the rows, moves the last ones to
//! the front, clears or writes the others, sets both words, and sends a command without flags, which does
//! nothing but wake.
//!
//! # Symbols
//! Every array is an ELF object symbol `process.array`; see [`tape`] for tapes. `config` is one word,
//! `instance << 24`; `status` one word, 0 or `code << 16 | detail` ([`Status`]).

/// Steps that a producer may be ahead of its consumer, in programs that go backwards.
pub const WINDOW: u32 = 4;
/// Instance number of the optimiser PE.
pub const OPTIMISER: u32 = 0xFF;
/// Index of a worker's READY packet.
pub const READY: u32 = 1;
/// A command that does nothing but wake, where the next segment begins.
pub const WAKE: u32 = 0;
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

/// Bits of a key's index.
pub const INDEX_BITS: u8 = 14;
/// Bits of a key's kind and number, which stand above the index.
pub const SENDER_BITS: u8 = 10;
/// Lanes that a key's index can name.
pub const INDICES: usize = 1 << INDEX_BITS;
/// Processes and channels that a key's number can name.
pub const NUMBERS: usize = 1 << (SENDER_BITS - 2);
/// Mask of a key that leaves the index free.
pub const INDEX_FREE: u32 = u32::MAX << INDEX_BITS;

/// Composes a key; callers check ranges when they allocate numbers.
pub const fn key(instance: u32, number: u32, kind: Kind, index: u32) -> u32 {
    instance << 24 | sender(number, kind) << INDEX_BITS | index
}

/// The number and kind of a key.
pub const fn sender(number: u32, kind: Kind) -> u32 {
    number << 2 | kind as u32
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

/// Steps that may begin; written by the host for each segment.
pub const LIMIT: &str = "limit";
/// The bin of the first row; written by the host for each segment.
pub const ORIGIN: &str = "origin";

/// Names of tape symbols.
pub mod tape {
    /// `u32[rows][lanes / 32, rounded up]`: in programs that do not go backwards, the spikes that a source is
    /// given or that neurons have emitted; a bit a lane, the lowest first.
    pub fn raster(process: &str) -> String {
        format!("{process}.tape.raster")
    }
    /// `f32[rows][lanes]`: the values that a source is given; a row for every bin in programs that go backwards.
    pub fn given(process: &str) -> String {
        format!("{process}.input.values")
    }
    /// `u32`: own spikes so far.
    pub fn count(process: &str) -> String {
        format!("{process}.tape.count")
    }
    /// `u32[bound]`: `bin << 16 | lane`.
    pub fn place(process: &str) -> String {
        format!("{process}.tape.place")
    }
    /// `f32[bound]`: exact times of own spikes, in bins from the beginning of their window; the places of such programs
    /// are `window << 16 | lane`.
    pub fn time(process: &str) -> String {
        format!("{process}.tape.time")
    }
    /// `u16[bound]`: own spikes in their order, as entries of the tape, where they are not of an order.
    pub fn order(process: &str) -> String {
        format!("{process}.tape.order")
    }
    /// `f32[bound]`: a recorded field.
    pub fn field(process: &str, field: &str) -> String {
        format!("{process}.tape.{field}")
    }
    /// `f32[bound]`: errors of own spikes, received over a channel.
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
    /// `f32[bound]`: their exact times, as those of own spikes.
    pub fn input_time(process: &str) -> String {
        format!("{process}.input.time")
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

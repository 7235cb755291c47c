//! The stable diagnostic codes, by room: 01 files, 02 graphs, 03 configuration, 04 lowering,
//! 05 mapping and images, 06 runs, 07 data and checkpoints, 08 IR text.

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $code;)+

        /// Every code with its one-line meaning, for documentation and tests.
        pub const ALL: &[(&str, &str)] = &[$(($code, concat!($($doc),+))),+];
    };
}

codes! {
    /// The file cannot be read at all (missing, no permission).
    FILE_UNREADABLE = "N0101";
    /// The file is not HDF5, or is truncated or garbled.
    FILE_NOT_HDF5 = "N0102";
    /// The file is HDF5, but not laid out as a NIR graph.
    FILE_NOT_NIR = "N0103";
    /// A group links to itself or nests deeper than the stated bound.
    FILE_CYCLE = "N0104";
    /// A data set claims more elements than the stated bound or than the file can hold.
    FILE_TOO_LARGE = "N0105";
    /// A data set has a type that NIR does not use.
    FILE_TYPE = "N0106";
    /// A file cannot be written.
    FILE_UNWRITABLE = "N0107";
    /// Something in the file is no part of NIR and is not kept on export.
    FILE_NOT_KEPT = "N0108";
    /// A field that the node's type requires is missing.
    NODE_FIELD_MISSING = "N0201";
    /// The node's type is not supported.
    NODE_UNSUPPORTED = "N0202";
    /// A field's shape does not fit the node or its neighbours.
    NODE_SHAPE = "N0203";
    /// A parameter is NaN, infinite or outside its range.
    NODE_VALUE = "N0204";
    /// An edge names a node that does not exist.
    EDGE_DANGLING = "N0205";
    /// The graph has a cycle where only feed-forward networks are supported.
    GRAPH_CYCLE = "N0206";
    /// The same edge stands twice; one is taken.
    EDGE_DUPLICATE = "N0207";
    /// The graph lacks an Input, an Output or a path between them, or has several.
    GRAPH_PORTS = "N0208";
    /// Nodes are connected in a way that has no meaning here (weights into weights, input into a neuron).
    GRAPH_STRUCTURE = "N0209";
    /// A batch or time dimension of a port was dropped, or a scalar parameter broadcast.
    GRAPH_REPAIRED = "N0210";
    /// Weights are stored with more precision than `f32`, or in a type that cannot hold trained ones.
    NODE_PRECISION = "N0211";
    /// The length of a tick is missing or no positive number, or option and file disagree.
    TIME_STEP = "N0212";
    /// The file's metadata state another convention than the one in use.
    CONVENTION_DIFFERS = "N0213";
    /// The configuration cannot be read as TOML.
    CONFIG_SYNTAX = "N0301";
    /// A configuration key is unknown.
    CONFIG_UNKNOWN_KEY = "N0302";
    /// A configuration value has the wrong type or is out of range.
    CONFIG_VALUE = "N0303";
    /// Configuration values contradict each other or the model.
    CONFIG_CONTRADICTION = "N0304";
    /// A convention is unknown or lacks an attribute.
    CONVENTION = "N0305";
    /// No forward event program for this population under this convention.
    LOWER_UNSUPPORTED = "N0401";
    /// No adjoint can be derived from this forward program.
    ADJOINT_UNSUPPORTED = "N0402";
    /// The verifier found a broken invariant.
    VERIFY = "N0403";
    /// The network does not fit: too many processing elements.
    MAP_TOO_MANY_PES = "N0501";
    /// A population does not fit into the SRAM of its processing element.
    MAP_SRAM = "N0502";
    /// The routing table does not fit or does not cover the routes.
    MAP_ROUTES = "N0503";
    /// Code generation failed.
    CODEGEN = "N0504";
    /// The target file is malformed.
    TARGET = "N0505";
    /// A bundle is not one, is damaged, or belongs to another program.
    BUNDLE = "N0506";
    /// The emulated chip faulted.
    DEVICE_FAULT = "N0601";
    /// Packets were lost or a tape overflowed.
    DEVICE_LOSS = "N0602";
    /// The firmware did not finish within its cycle limit.
    DEVICE_TIMEOUT = "N0603";
    /// An array file has the wrong shape, type or content.
    DATA_ARRAY = "N0701";
    /// A checkpoint is unreadable or does not fit this model and configuration.
    CHECKPOINT = "N0702";
    /// A name of something to record does not exist.
    RECORD_NAME = "N0703";
    /// Training has diverged: a loss or a weight is no longer a number.
    DIVERGED = "N0704";
    /// A text of an IR does not parse.
    TEXT_SYNTAX = "N0801";
}

//! The stable diagnostic codes, by room: 01 files, 02 graphs, 03 configuration, 04 lowering,
//! 05 mapping and images, 06 runs, 07 data and checkpoints, 08 IR text.

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $remedy:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $code;)+

        /// What usually helps, for problems that name no better remedy.
        pub fn remedy(code: &str) -> Option<&'static str> {
            match code {
                $($code => Some($remedy),)+
                _ => None,
            }
        }

        /// Every code with its one-line meaning, for documentation and tests.
        pub const ALL: &[(&str, &str)] = &[$(($code, concat!($($doc),+))),+];
    };
}

codes! {
    /// The file cannot be read at all (missing, no permission).
    FILE_UNREADABLE = "N0101",
        "check the path and the permissions";
    /// The file is not HDF5, or is truncated or garbled.
    FILE_NOT_HDF5 = "N0102",
        "export the network again with the tool that it came from";
    /// The file is HDF5, but not laid out as a NIR graph.
    FILE_NOT_NIR = "N0103",
        "write the file with `nir.write` of the Python package nir";
    /// A group links to itself or nests deeper than the stated bound.
    FILE_CYCLE = "N0104",
        "export the network again; groups of a .nir file hold one another without circles";
    /// A data set claims more elements than the stated bound or than the file can hold.
    FILE_TOO_LARGE = "N0105",
        "check the shapes in the file; export the network again";
    /// A data set has a type that NIR does not use.
    FILE_TYPE = "N0106",
        "store numbers as float or integer arrays, and names as strings";
    /// A file cannot be written.
    FILE_UNWRITABLE = "N0107",
        "choose another place";
    /// Something in the file is no part of NIR and is not kept on export.
    FILE_NOT_KEPT = "N0108",
        "nothing is lost in the original file; keep it if you need this";
    /// A field that the node's type requires is missing.
    NODE_FIELD_MISSING = "N0201",
        "export the node with all fields that its type has in NIR";
    /// The node's type is not supported.
    NODE_UNSUPPORTED = "N0202",
        "`nirc inspect` shows which nodes can be compiled";
    /// A field's shape does not fit the node or its neighbours.
    NODE_SHAPE = "N0203",
        "check the shapes of this node and of its neighbours";
    /// A parameter is NaN, infinite or outside its range.
    NODE_VALUE = "N0204",
        "check the parameter in the tool that the network came from";
    /// An edge names a node that does not exist.
    EDGE_DANGLING = "N0205",
        "remove the edge, or add the node that it names";
    /// The graph has a cycle without neurons.
    GRAPH_CYCLE = "N0206",
        "remove an edge, or put neurons into the cycle";
    /// The same edge stands twice; one is taken.
    EDGE_DUPLICATE = "N0207",
        "remove the second edge";
    /// The graph lacks an Input or an Output, or one of them is not connected.
    GRAPH_PORTS = "N0208",
        "give the graph an Input and an Output node, and connect them";
    /// Nodes are connected in a way that has no meaning (an edge into an Input, too many paths).
    GRAPH_STRUCTURE = "N0209",
        "check the edges of this node";
    /// What some exporters leave open or get wrong was repaired: batch or time axes of ports, scalar
    /// parameters, defaults, missing ports, edges of half undone subgraphs; or something unused was left out.
    GRAPH_REPAIRED = "N0210",
        "nothing has to be done";
    /// Weights are stored with more precision than `f32`, or in a type that cannot hold trained ones.
    NODE_PRECISION = "N0211",
        "store float32 to keep what is trained";
    /// The length of a tick is missing or no positive number, or option and file disagree.
    TIME_STEP = "N0212",
        "give it in seconds, with --dt or `time.dt` of a configuration";
    /// The file's metadata state another convention than the one in use.
    CONVENTION_DIFFERS = "N0213",
        "set `convention` to what the file was made with, if it was";
    /// The configuration cannot be read as TOML.
    CONFIG_SYNTAX = "N0301",
        "the configuration is a TOML file, see https://toml.io";
    /// A configuration key is unknown.
    CONFIG_UNKNOWN_KEY = "N0302",
        "remove the key or correct its name";
    /// A configuration value has the wrong type or is out of range.
    CONFIG_VALUE = "N0303",
        "correct the value";
    /// Configuration values contradict each other or the model.
    CONFIG_CONTRADICTION = "N0304",
        "change one of the two";
    /// A convention is unknown or lacks an attribute.
    CONVENTION = "N0305",
        "use a preset of the book's chapter on conventions";
    /// No forward event program for this population under this convention.
    LOWER_UNSUPPORTED = "N0401",
        "change the convention or the network so that it is not needed";
    /// No adjoint can be derived from this forward program.
    ADJOINT_UNSUPPORTED = "N0402",
        "train with another convention; running forward is still possible";
    /// The verifier found a broken invariant.
    VERIFY = "N0403",
        "a program that nirc made breaks no rule: report it, with the file, if it did";
    /// A path of nodes between populations means more synapses than the stated bound.
    PATH_TOO_LARGE = "N0404",
        "put a population between the nodes, or fewer neurons at the ends of the path";
    /// The network does not fit: too many processing elements.
    MAP_TOO_MANY_PES = "N0501",
        "use fewer replicas (`mapping.replicas`) or fewer populations";
    /// A population does not fit into the SRAM of its processing element.
    MAP_SRAM = "N0502",
        "use smaller populations, fewer bins, or a lower `mapping.spike_bound`";
    /// The routing table does not fit or does not cover the routes.
    MAP_ROUTES = "N0503",
        "use fewer replicas (`mapping.replicas`)";
    /// Code generation failed.
    CODEGEN = "N0504",
        "report it, with the file and the configuration";
    /// The target file is malformed.
    TARGET = "N0505",
        "correct the target file; `nirc targets` shows the built-in one";
    /// A bundle is not one, is damaged, or belongs to another program.
    BUNDLE = "N0506",
        "compile the bundle again";
    /// The emulated chip faulted.
    DEVICE_FAULT = "N0601",
        "report it, with the file and the configuration; `--executor host` runs the same program";
    /// Packets were lost or a tape overflowed.
    DEVICE_LOSS = "N0602",
        "raise `mapping.spike_bound`, or leave it out";
    /// The firmware did not finish within its cycle limit.
    DEVICE_TIMEOUT = "N0603",
        "use fewer samples at a time, or report it";
    /// An array file has the wrong shape, type or content.
    DATA_ARRAY = "N0701",
        "save the array again with the shape and type that is expected";
    /// A checkpoint is unreadable or does not fit this model and configuration.
    CHECKPOINT = "N0702",
        "resume with the model and configuration that the run began with, or begin anew";
    /// A name of something to record does not exist.
    RECORD_NAME = "N0703",
        "record population.quantity, such as hidden.spikes";
    /// Something has diverged: a loss, a weight or a recorded value is no longer a number.
    DIVERGED = "N0704",
        "lower `optimiser.learning_rate`";
    /// Derivatives are farther from differences than is tolerated.
    GRADIENT = "N0705",
        "check more samples, or report it: derivatives at exact times are exact";
    /// A text of an IR does not parse.
    TEXT_SYNTAX = "N0801",
        "compare with the book's chapters on the two languages";
}

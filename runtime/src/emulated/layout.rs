//! Where a session finds what it writes and reads.

use std::ops::Range;

use nirc_ir::Diagnostic;
use nirc_ir::codes::BUNDLE;
use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{Array, ArrayKind, Output, Proc, Program, Role};
use nirc_spinnaker2::abi::tape;
use nirc_spinnaker2::bundle::{Bundle, array_symbol};
use nirc_spinnaker2::mapping::{Instance, PeId};

/// Words at the same address in every instance of a process.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Address of the first.
    pub(super) address: u32,
    /// How many there are.
    pub(super) words: usize,
    /// The PE of each instance: the replicas, or the one optimiser PE.
    pub(super) pes: Vec<PeId>,
}

/// A count and the spikes it counts.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    pub(super) count: Field,
    pub(super) spikes: Field,
    /// Their exact times from the beginning of their window, if they have such.
    pub(super) times: Option<Field>,
    /// The entries in their order, two a word, where they lie in none.
    pub(super) order: Option<Field>,
}

/// Everything a session touches.
#[derive(Debug)]
pub(super) struct Layout {
    /// Every array.
    pub(super) arrays: PrimaryMap<Proc, PrimaryMap<Array, Field>>,
    /// Own spikes: of sources what they are given, of neurons what they recorded; none in forward programs of ticks.
    pub(super) tapes: PrimaryMap<Proc, Option<Tape>>,
    /// Input of each source of spikes, and its channels; none in forward programs of ticks, which are given rows.
    pub(super) inputs: Vec<(Tape, Range<u32>)>,
    /// Input of each source of values, one a bin and channel, and its channels; none in forward programs either.
    pub(super) values: Vec<(Field, Range<usize>)>,
    /// Labels of the loss.
    pub(super) labels: Vec<Field>,
    /// Given errors of the loss.
    pub(super) errors: Vec<Field>,
    /// What outlives a batch: parameters, moments, counters.
    pub(super) lasting: Vec<Field>,
    /// What the loss leaves behind.
    pub(super) outcome: Option<OutcomeFields>,
}

/// What the loss leaves behind: one span of words that holds all of it, or what there is of it.
#[derive(Clone, Debug)]
pub(super) struct OutcomeFields {
    /// From the first to the last of the words below.
    pub(super) span: Field,
    /// Word in the span and number of outputs.
    pub(super) first_spike: Option<(usize, usize)>,
    /// Likewise.
    pub(super) score: Option<(usize, usize)>,
    /// Word in the span.
    pub(super) loss: Option<usize>,
    /// Word in the span.
    pub(super) cross_entropy: Option<usize>,
}

impl Layout {
    pub(super) fn new(program: &Program, bundle: &Bundle) -> Result<Self, Diagnostic> {
        let find = Finder { program, bundle };
        let mut arrays = PrimaryMap::new();
        let mut tapes = PrimaryMap::new();
        for (proc, process) in program.processes.iter() {
            let fields = process.arrays.iter().map(|(array, decl)| {
                let symbol = array_symbol(&process.name, &decl.name);
                match decl.kind {
                    // Their rows are checked where they are used.
                    ArrayKind::Trace | ArrayKind::GivenError if !program.has_adjoint() => {
                        find.field(proc, &symbol)
                    }
                    _ => find.sized(proc, &symbol, program.array_len(proc, array)),
                }
            });
            arrays.push(fields.collect::<Result<PrimaryMap<Array, Field>, _>>()?);
            tapes.push(find.tape(proc)?);
        }
        let of_kind = |wanted: &dyn Fn(ArrayKind) -> bool| -> Vec<Field> {
            let all = program.processes.iter().flat_map(|(proc, process)| {
                let arrays = process.arrays.iter();
                arrays.map(move |(array, decl)| (proc, array, decl.kind))
            });
            all.filter(|&(_, _, kind)| wanted(kind))
                .map(|(proc, array, _)| arrays[proc][array].clone())
                .collect()
        };
        let inputs = program.sources(Output::Spikes).filter_map(|(proc, first)| {
            let end = first + program.processes[proc].lanes;
            Some((tapes[proc].clone()?, first as u32..end as u32))
        });
        let values = program.sources(Output::Given).map(|(proc, first)| {
            let process = &program.processes[proc];
            let words = program.ticks as usize * process.lanes;
            let field = find.sized(proc, &tape::given(&process.name), words)?;
            Ok((field, first..first + process.lanes))
        });
        let values = match program.has_adjoint() {
            true => values.collect::<Result<_, Diagnostic>>()?,
            false => Vec::new(),
        };
        Ok(Self {
            inputs: inputs.collect(),
            values,
            labels: of_kind(&|kind| kind == ArrayKind::Label),
            errors: of_kind(&|kind| kind == ArrayKind::GivenError),
            lasting: of_kind(&|kind| {
                use ArrayKind::{Counter, Moment, Param};
                matches!(kind, Param(_) | Moment | Counter { .. })
            }),
            outcome: program
                .loss()
                .and_then(|loss| outcome(program, loss, &arrays[loss])),
            arrays,
            tapes,
        })
    }
}

fn outcome(
    program: &Program,
    loss: Proc,
    arrays: &PrimaryMap<Array, Field>,
) -> Option<OutcomeFields> {
    let named = |name: &str| {
        let array = program.processes[loss].array(name)?;
        Some(&arrays[array])
    };
    let first_spike = named("first_spike");
    let value = named("loss");
    let cross_entropy = named("cross_entropy");
    let score = named("score");
    let all = || {
        [first_spike, score, value, cross_entropy]
            .into_iter()
            .flatten()
    };
    let start = all().map(|f| f.address).min()?;
    let end = all().map(|f| f.address + 4 * f.words as u32).max()?;
    let word = |field: &Field| ((field.address - start) / 4) as usize;
    Some(OutcomeFields {
        span: Field {
            address: start,
            words: ((end - start) / 4) as usize,
            pes: all().next()?.pes.clone(),
        },
        first_spike: first_spike.map(|f| (word(f), f.words)),
        score: score.map(|f| (word(f), f.words)),
        loss: value.map(word),
        cross_entropy: cross_entropy.map(word),
    })
}

/// Finds symbols in the images of a bundle.
pub(super) struct Finder<'a> {
    pub(super) program: &'a Program,
    pub(super) bundle: &'a Bundle,
}

impl Finder<'_> {
    fn instances(&self, proc: Proc) -> Vec<Instance> {
        match self.program.processes[proc].role {
            Role::Optimiser(_) => vec![Instance::OPTIMISER],
            _ => (0..self.program.replicas).map(Instance::replica).collect(),
        }
    }

    pub(super) fn field(&self, proc: Proc, symbol: &str) -> Result<Field, Diagnostic> {
        let lacks = || {
            let name = &self.program.processes[proc].name;
            Diagnostic::error(BUNDLE, name, format!("the bundle has no symbol {symbol}"))
        };
        let instances = self.instances(proc);
        let loads = instances
            .iter()
            .map(|&instance| self.bundle.load_of(instance, proc));
        let loads = loads.collect::<Option<Vec<usize>>>().ok_or_else(lacks)?;
        let first = loads.first().ok_or_else(lacks)?;
        let image = self.bundle.loads[*first].image;
        let place = self.bundle.images[image].data(symbol).ok_or_else(lacks)?;
        if loads.iter().any(|&l| self.bundle.loads[l].image != image) || place.addr % 4 != 0 {
            return Err(lacks());
        }
        Ok(Field {
            address: place.addr,
            words: place.size as usize / 4,
            pes: loads
                .iter()
                .map(|&l| self.bundle.mapping.placements[l].pe)
                .collect(),
        })
    }

    pub(super) fn sized(
        &self,
        proc: Proc,
        symbol: &str,
        words: usize,
    ) -> Result<Field, Diagnostic> {
        let field = self.field(proc, symbol)?;
        if field.words == words {
            return Ok(field);
        }
        let found = field.words;
        let message = format!("symbol {symbol} has {found} words, expected {words}");
        Err(self.problem(proc, message))
    }

    /// Something is wrong with what the bundle has for a process.
    pub(super) fn problem(&self, proc: Proc, message: String) -> Diagnostic {
        Diagnostic::error(BUNDLE, &self.program.processes[proc].name, message)
    }

    fn tape(&self, proc: Proc) -> Result<Option<Tape>, Diagnostic> {
        let process = &self.program.processes[proc];
        let exact = self.program.window.is_some();
        if !self.program.has_adjoint() && !exact {
            return Ok(None);
        }
        let name = &process.name;
        let (count, spikes, times) = match process.role {
            Role::Source if process.output == Output::Spikes => (
                tape::input_count(name),
                tape::input(name),
                tape::input_time(name),
            ),
            Role::Neurons if process.tape.is_some() => {
                (tape::count(name), tape::place(name), tape::time(name))
            }
            _ => return Ok(None),
        };
        let times = exact.then(|| self.field(proc, &times));
        let order =
            (exact && process.role == Role::Neurons).then(|| self.field(proc, &tape::order(name)));
        Ok(Some(Tape {
            count: self.sized(proc, &count, 1)?,
            spikes: self.field(proc, &spikes)?,
            times: times.transpose()?,
            order: order.transpose()?,
        }))
    }
}

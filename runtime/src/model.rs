//! A .nir file as a network ready to compile, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nirc_compiler::nir::{self, ImportOptions, Update, convention_metadata};
use nirc_compiler::passes::{self, Change};
use nirc_ir::connection::{Axis, Connection};
use nirc_ir::network::{Link, Network, PopulationKind};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use crate::config::{Config, Init};
use crate::data::DataSet;
use crate::random::Mt19937;
use crate::reading::Reading;
use crate::training::Weights;

/// A network and the file it came from.
#[derive(Clone, Debug)]
pub struct Model {
    /// The network under the configuration's convention.
    pub network: Network,
    /// What was repaired or assumed on the way.
    pub notes: Diagnostics,
    /// What was changed by hand when it was read.
    changes: Vec<Change>,
    file: nir::File,
}

impl Model {
    /// Reads and imports a file; the weights are the file's.
    ///
    /// # Errors
    /// Everything that is wrong with the file, the graph, or what is said beside it.
    pub fn open(path: &Path, reading: &Reading) -> Result<Self, Diagnostics> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let place = path.display().to_string();
        Self::import(nir::read(path)?, &name, reading).map_err(|p| p.placed_at(&place))
    }

    /// The same from the bytes of a file; `name` becomes the network's.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_bytes(bytes: Vec<u8>, name: &str, reading: &Reading) -> Result<Self, Diagnostics> {
        Self::import(nir::read_bytes(bytes)?, name, reading)
    }

    /// The same of a file that has been read; `name` becomes the network's.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_file(file: nir::File, name: &str, reading: &Reading) -> Result<Self, Diagnostics> {
        Self::import((file, Diagnostics::new()), name, reading)
    }

    /// The same file, read otherwise.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn reread(&self, reading: &Reading) -> Result<Self, Diagnostics> {
        let file = (self.file.clone(), Diagnostics::new());
        Self::import(file, &self.network.name, reading)
    }

    /// The network as it was imported and after each pass, with the pass's name, where that changed something.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn passes(&self, reading: &Reading) -> Result<Vec<(&'static str, Network)>, Diagnostics> {
        let mut stages: Vec<(&'static str, Network)> = Vec::new();
        let mut watch = |pass, network: &Network| {
            if stages.last().is_none_or(|(_, before)| before != network) {
                stages.push((pass, network.clone()));
            }
        };
        let file = (self.file.clone(), Diagnostics::new());
        Self::watched(file, &self.network.name, reading, &mut watch)?;
        Ok(stages)
    }

    fn import(
        file: (nir::File, Diagnostics),
        name: &str,
        reading: &Reading,
    ) -> Result<Self, Diagnostics> {
        Self::watched(file, name, reading, &mut |_, _| {})
    }

    fn watched(
        (file, mut notes): (nir::File, Diagnostics),
        name: &str,
        reading: &Reading,
        watch: passes::Watch<'_>,
    ) -> Result<Self, Diagnostics> {
        let options = ImportOptions {
            convention: reading.convention.clone(),
            dt: reading.dt,
            name: name.to_owned(),
            graded: reading.graded.clone(),
        };
        let (mut network, more) = nir::import(&file, &options)?;
        notes.0.extend(more.0);
        watch("import", &network);
        let more = passes::prepare(
            &mut network,
            &reading.changes,
            &reading.keep,
            reading.time,
            watch,
        )?;
        notes.0.extend(more.0);
        Ok(Self {
            network,
            notes,
            changes: reading.changes.clone(),
            file,
        })
    }

    /// The file.
    pub fn file(&self) -> &nir::File {
        &self.file
    }

    /// The model that the configuration names, as training begins with it: with the initial weights
    /// that `[init]` draws, and the file's where it draws none.
    ///
    /// # Errors
    /// As [`Model::open`]; also when the configuration names no model, or `[init]` a node that the
    /// model does not have.
    pub fn to_train(config: &Config) -> Result<Self, Diagnostics> {
        let Some(path) = &config.model else {
            return Err(Diagnostic::error(
                codes::CONFIG_VALUE,
                "model.path",
                "missing; expected the path of a .nir file",
            )
            .help("add a section `[model]` with `path = \"FILE.nir\"`")
            .into());
        };
        let mut model = Self::open(path, &config.reading())?;
        model.initialise(config)?;
        Ok(model)
    }

    /// Draws the weights that `[init]` has rules for, with the seed of training.
    ///
    /// # Errors
    /// When it names a node that the model does not have.
    pub fn initialise(&mut self, config: &Config) -> Result<(), Diagnostics> {
        match &config.training {
            Some(training) => initialise(&mut self.network, &config.init, training.seed),
            None => Ok(()),
        }
    }

    /// Number of input channels.
    pub fn inputs(&self) -> usize {
        let sources = self.network.populations.values();
        sources
            .filter(|p| p.kind == PopulationKind::Source)
            .map(|p| p.size)
            .sum()
    }

    /// Number of outputs of the one population that leaves the network; 0 if there are several.
    pub fn outputs(&self) -> usize {
        let readout = self.network.readout();
        readout.map_or(0, |pop| self.network.populations[pop].size)
    }

    /// The initial weights: those of every projection that training changes.
    pub fn weights(&self) -> Weights {
        let mut weights = Weights::default();
        let projections = self.network.projections.values();
        for delays in projections.clone().filter_map(|p| p.delays.as_ref()) {
            if delays.trainable {
                let name = format!("{}.delay", delays.name);
                weights.0.insert(name, delays.bins.clone());
            }
        }
        for p in projections.filter(|p| p.trainable) {
            let lanes = self.network.populations[p.post].size;
            let values = match &p.link {
                Link::Dense(values) => crate::training::by_output(values, lanes),
                Link::Taps { weights, .. } => weights.clone(),
                Link::Path(_) => continue,
            };
            weights.0.insert(format!("{}.weight", p.name), values);
            if let Some(bias) = p.shared_bias() {
                weights.0.insert(format!("{}.bias", p.name), bias);
            }
        }
        weights
    }

    /// Whether the samples, of which `spikes` and `labels` name the places, are ones that this network
    /// can take.
    ///
    /// # Errors
    /// When the number of channels or classes differs, or a spike lies beyond the last bin.
    pub fn accepts(
        &self,
        [spikes, labels]: [&str; 2],
        set: &DataSet,
        ticks: u32,
    ) -> Result<(), Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut contradiction = |place: &str, message: String, help: &str| {
            problems
                .push(Diagnostic::error(codes::CONFIG_CONTRADICTION, place, message).help(help));
        };
        if set.channels() != self.inputs() {
            contradiction(
                spikes,
                format!(
                    "samples have {} channels, the network has {} inputs",
                    set.channels(),
                    self.inputs()
                ),
                "use the model that belongs to these samples",
            );
        }
        if let Some(label) = set.labels().iter().max()
            && *label as usize >= self.outputs()
        {
            contradiction(
                labels,
                format!(
                    "there is a sample of class {label}, the network has {} outputs",
                    self.outputs()
                ),
                "classes count from 0; there must be an output for each",
            );
        }
        if let Some(tick) = set.last_tick()
            && tick >= ticks
        {
            contradiction(
                spikes,
                format!("there is a spike in bin {tick}, a sample has {ticks} bins"),
                "raise time.ticks",
            );
        }
        problems.into_result(())
    }

    /// Delays in bins as the file has them, in its unit of time.
    fn in_file(&self, bins: &[f32]) -> Vec<f32> {
        let unit = self.network.dt / self.network.convention.time_unit;
        let times = bins.iter().map(|d| f64::from(*d) * unit);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the one rounding of a delay"
        )]
        times.map(|t| t as f32).collect()
    }

    /// The file with these weights in place of its own, all else unchanged; the convention and the
    /// length of a tick go into its metadata.
    ///
    /// # Errors
    /// When a tensor has no node in the file.
    pub fn export(&self, weights: &Weights) -> Result<(Vec<u8>, Diagnostics), Diagnostics> {
        let mut updates: BTreeMap<String, Update> = BTreeMap::new();
        for (name, values) in &weights.0 {
            let (node, field) = name.rsplit_once('.').unwrap_or((name, ""));
            let update = updates.entry(node.to_owned()).or_default();
            match field {
                "weight" => update.weight = Some(values.clone()),
                "bias" => update.bias = Some(values.clone()),
                "delay" => update.delay = Some(self.in_file(values)),
                _ => {
                    return Err(Diagnostic::error(
                        codes::NODE_FIELD_MISSING,
                        name,
                        "expected a weight, a bias or delays",
                    )
                    .into());
                }
            }
        }
        let metadata =
            convention_metadata(&self.network.convention, &self.changes, self.network.dt);
        nir::export(&self.file, &updates, &metadata)
    }
}

/// Most synapses of a neuron: the inputs that a kernel has.
fn most_inputs(axes: &[Axis], neurons: usize) -> usize {
    let connection = Connection::Taps(axes.to_vec());
    let mut inputs = vec![0; neurons];
    for source in 0..connection.sources().unwrap_or(0) {
        for synapse in connection.synapses(source) {
            inputs[synapse.lane as usize] += 1;
        }
    }
    inputs.into_iter().max().unwrap_or(0)
}

/// Draws weights in the order of the projections, source by source (of a kernel, as they stand in the file),
/// from one stream.
///
/// A network that is initialised with the seed of its file comes out as the file has it: this is how
/// the published experiment drew its weights.
fn initialise(network: &mut Network, rules: &[Init], seed: u32) -> Result<(), Diagnostics> {
    let names: BTreeSet<String> = network
        .projections
        .values()
        .map(|p| p.name.clone())
        .collect();
    let mut problems = Diagnostics::new();
    for rule in rules.iter().filter(|rule| !names.contains(&rule.node)) {
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        problems.push(
            Diagnostic::error(
                codes::CONFIG_CONTRADICTION,
                format!("init.{}", rule.node),
                "the model has no weight node of this name",
            )
            .help(format!("its weight nodes are: {}", known.join(", "))),
        );
    }
    problems.into_result(())?;
    let mut generator = Mt19937::new(seed);
    for projection in network.projections.values_mut() {
        let Some(rule) = rules.iter().find(|rule| rule.node == projection.name) else {
            continue;
        };
        let inputs = match &projection.link {
            Link::Taps { axes, .. } => most_inputs(axes, network.populations[projection.post].size),
            _ => network.populations[projection.pre].size,
        };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 inputs")]
        let scale = (inputs as f64).sqrt();
        let (mean, std) = (rule.mean / scale, rule.std / scale);
        let (Link::Dense(weights) | Link::Taps { weights, .. }) = &mut projection.link else {
            continue;
        };
        for weight in weights {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the one rounding of a weight"
            )]
            let drawn = generator.normal(mean, std) as f32;
            *weight = drawn;
        }
    }
    Ok(())
}

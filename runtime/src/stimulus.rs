//! What goes into a network: the signals of all its inputs, as samples that an executor takes.

use std::collections::BTreeSet;
use std::path::Path;

use nirc_ir::executor::{InputSpike, Sample};
use nirc_ir::network::{Network, Population, PopulationKind};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use crate::data::signal::{Kind, Name, Port, Request, Signal, read_signals};

/// The signals of every input of a network, in the order of its populations.
#[derive(Clone, Debug, PartialEq)]
pub struct Stimulus {
    ticks: u32,
    signals: Vec<(String, Signal)>,
}

impl Stimulus {
    /// Reads the signals of a network's inputs; a sample has as many ticks as the file, or more if `ticks`
    /// says so, and nothing comes in those.
    ///
    /// # Errors
    /// When the file does not hold a signal for each input, or has more ticks than asked for.
    pub fn read(
        path: &Path,
        network: &Network,
        ticks: Option<u32>,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let inputs: Vec<&Population> = network
            .populations
            .values()
            .filter(|p| is_input(p))
            .collect();
        let ports = inputs.iter().map(|population| Port {
            name: Name::port(population.name.clone()),
            shape: Some(population.shape.clone()),
            kind: None,
        });
        let request = Request {
            ports: ports.collect(),
            dt: Some(network.dt),
            ..Request::default()
        };
        let (signals, notes) = read_signals(path, &request)?;
        let found = signals
            .iter()
            .map(|s| s.extent().ticks())
            .max()
            .unwrap_or(0);
        if ticks.is_some_and(|ticks| ticks < found) {
            let asked = ticks.unwrap_or_default();
            let message = format!("it has {found} ticks, {asked} are asked for");
            let problem = Diagnostic::error(codes::DATA_ARRAY, path.display().to_string(), message);
            return Err(problem
                .help("ask for as many or more, or cut the input")
                .into());
        }
        let names = inputs.iter().map(|population| population.name.clone());
        let stimulus = Self {
            ticks: ticks.unwrap_or(found),
            signals: names.zip(signals).collect(),
        };
        Ok((stimulus, notes))
    }

    /// Signals of inputs by their names.
    pub fn new(ticks: u32, signals: Vec<(String, Signal)>) -> Self {
        Self { ticks, signals }
    }

    /// The signals, with the names of their inputs.
    pub fn signals(&self) -> &[(String, Signal)] {
        &self.signals
    }

    /// Ticks of a sample.
    pub fn ticks(&self) -> u32 {
        self.ticks
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        let first = self.signals.first();
        first.map_or(0, |(_, signal)| signal.extent().samples() as usize)
    }

    /// The inputs whose signals are values.
    pub fn graded(&self) -> BTreeSet<String> {
        let graded = self
            .signals
            .iter()
            .filter(|(_, s)| s.kind() == Kind::Values);
        graded.map(|(name, _)| name.clone()).collect()
    }

    /// Sample `b` as a program takes it.
    pub fn sample(&self, b: usize) -> Drive {
        let mut drive = Drive::default();
        let mut first = 0;
        for (_, signal) in &self.signals {
            if let Signal::Spikes(spikes) = signal {
                let of_sample = spikes.samples().nth(b).unwrap_or_default();
                drive.spikes.extend(of_sample.iter().map(|s| InputSpike {
                    channel: s.channel + first,
                    ..*s
                }));
                first += signal.extent().channels();
            }
        }
        drive.spikes.sort_unstable();
        drive.times = drive.spikes.iter().map(|s| s.tick as f32).collect();
        drive.values = self.values(b);
        drive
    }

    /// Tick by tick the values of all inputs that have some.
    fn values(&self, b: usize) -> Vec<f32> {
        let arrays = self.signals.iter().filter_map(|(_, signal)| match signal {
            Signal::Values(values) => Some(values.array()),
            Signal::Spikes(_) => None,
        });
        let arrays: Vec<_> = arrays.collect();
        let mut all = Vec::new();
        for tick in 0..self.ticks as usize {
            for array in &arrays {
                let (ticks, _, channels) = array.dim();
                let value = |channel| {
                    if tick < ticks {
                        array[[tick, b, channel]]
                    } else {
                        0.0
                    }
                };
                all.extend((0..channels).map(value));
            }
        }
        all
    }
}

/// One sample's input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drive {
    spikes: Vec<InputSpike>,
    times: Vec<f32>,
    values: Vec<f32>,
}

impl Drive {
    /// The sample, of ticks or of exact event times, which are those of the ticks' beginnings; it has no label.
    pub fn sample(&self, exact: bool) -> Sample<'_> {
        Sample {
            times: if exact { &self.times } else { &[] },
            spikes: &self.spikes,
            values: &self.values,
            label: 0,
            error: &[],
        }
    }
}

fn is_input(population: &Population) -> bool {
    matches!(
        population.kind,
        PopulationKind::Source | PopulationKind::Graded
    )
}

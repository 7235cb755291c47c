//! Whether gradients are derivatives, with a report.

use std::path::PathBuf;

use nirc_ir::{Diagnostic, Diagnostics, codes};
use serde::Serialize;

use crate::config::Config;
use crate::data::Sets;
use crate::directory::Directory;
use crate::file;
use crate::gradcheck::{Bias, Found, Settings, bias, check};
use crate::model::Model;
use crate::program::{gradients, missing};
use crate::report::gradcheck as page;

/// What to check.
#[derive(Clone, Debug)]
pub struct Gradcheck {
    /// The network.
    pub model: PathBuf,
    /// Whether its weights are drawn anew, as training begins with them, and not the file's.
    pub init: bool,
    /// How much of it.
    pub settings: Settings,
    /// Samples of the comparison with ticks; 0 for none.
    pub bias_samples: usize,
    /// What is tolerated.
    pub tolerance: Tolerance,
    /// The new folder for `gradcheck.json` and `gradcheck.html`.
    pub out: Option<PathBuf>,
}

/// Errors that are tolerated, over the largest entry of a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerance {
    /// Of half of the entries.
    pub median: f64,
    /// Of 99 % of them.
    pub most: f64,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Gradchecked {
    /// Name of the network.
    pub network: String,
    /// Its convention.
    pub convention: String,
    /// Derivatives beside differences.
    pub gradients: Found,
    /// Ticks beside exact times.
    pub bias: Option<Bias>,
    /// Why there is no such comparison.
    pub no_bias: Vec<String>,
    /// What was tolerated.
    pub tolerance: Option<Tolerance>,
    /// Notes of the import.
    #[serde(skip)]
    pub notes: Diagnostics,
}

impl Gradchecked {
    /// Every tensor that is beyond what is tolerated.
    ///
    /// # Errors
    /// These.
    pub fn verdict(&self) -> Result<(), Diagnostics> {
        let mut problems = Diagnostics::new();
        let Some(tolerance) = self.tolerance else {
            return Ok(());
        };
        for tensor in &self.gradients.tensors {
            let tally = &tensor.tally;
            if tally.median > tolerance.median || tally.most > tolerance.most {
                let message = format!(
                    "its derivatives are {:.1e} (median) and {:.1e} (99 %) of the largest off; {:.1e} and {:.1e} are tolerated",
                    tally.median, tally.most, tolerance.median, tolerance.most
                );
                let problem = Diagnostic::error(codes::GRADIENT, &tensor.name, message);
                problems.push(problem.help(
                    "check more samples, or report it: derivatives at exact times are exact",
                ));
            }
        }
        problems.into_result(())
    }
}

/// Checks the gradients of a network with the data and loss of a configuration, and writes the report. `progress` is
/// told how much of how much is done.
///
/// # Errors
/// When files do not fit, something has no gradient, or the report cannot be written. That derivatives are beyond what
/// is tolerated is told by [`Gradchecked::verdict`].
pub fn gradcheck(
    job: &Gradcheck,
    config: &Config,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Gradchecked, Diagnostics> {
    let data = config.data.as_ref().ok_or_else(|| missing("data"))?;
    let out = job.out.as_ref().map(|out| Directory::create(out));
    let out = out.transpose()?;
    let mut model = Model::open(&job.model, &config.reading())?;
    if job.init {
        model.initialise(config)?;
    }
    let sets = Sets::load(data, config.time)?;
    let set = &sets.train;
    model.accepts(["data.train"; 2], set, config.time.ticks)?;
    let options = gradients(config)?;
    let all = set.len().min(job.settings.samples) + if job.bias_samples > 0 { 5 } else { 0 };
    let found = check(&model.network, &options, set, job.settings, &mut |k| {
        progress(k, all);
    })?;
    let mut no_bias = Vec::new();
    let done = found.samples;
    let bias = (job.bias_samples > 0)
        .then(|| {
            bias::bias(&model.network, &options, set, job.bias_samples, &mut |k| {
                progress(done + k, all);
            })
        })
        .and_then(|result| {
            let told = |problems: &Diagnostics| {
                let texts = problems
                    .0
                    .iter()
                    .map(|p| format!("{}: {}", p.place, p.message));
                texts.collect()
            };
            result.map_err(|problems| no_bias = told(&problems)).ok()
        });
    let checked = Gradchecked {
        network: model.network.name.clone(),
        convention: model.network.convention.name.clone(),
        // In ticks the adjoint is that of the equations, and differs from the program's by the length of a tick.
        tolerance: found.exact.then_some(job.tolerance),
        gradients: found,
        bias,
        no_bias,
        notes: model.notes.clone(),
    };
    if let Some(out) = &out {
        let mut text = serde_json::to_vec_pretty(&checked).expect("plain data");
        text.push(b'\n');
        let page = page::render(&checked)?;
        file::write_atomically(&out.path().join("gradcheck.json"), &text)?;
        file::write_atomically(&out.path().join("gradcheck.html"), page.as_bytes())?;
    }
    Ok(checked)
}

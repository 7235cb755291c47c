//! `[regularise.POPULATION]`: what the number of spikes of a population costs beside the loss.

use nirc_compiler::options::{Cost, Regulariser};
use nirc_ir::codes;
use serde::Serialize;

use super::parse::NOT_NEGATIVE;
use super::section::Section;

/// `[regularise.POPULATION]`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Regularise {
    /// The population.
    pub population: String,
    /// Bounds on each neuron's number of spikes.
    pub bounds: Option<Bounds>,
    /// Cost of each neuron that is silent.
    pub silent: Option<f64>,
    /// Cost of the label's neuron where it is silent.
    pub silent_label: Option<f64>,
}

/// `least`, `most`, `strength`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounds {
    /// Fewest spikes that cost nothing.
    pub least: f64,
    /// Most spikes that cost nothing.
    pub most: f64,
    /// Factor on half the square of what is beyond.
    pub strength: f64,
}

/// Reads all sections.
pub(super) fn read(root: &Section<'_>) -> Option<Vec<Regularise>> {
    let Some(section) = root.section("regularise") else {
        return (!root.has("regularise")).then(Vec::new);
    };
    let rules: Vec<Option<Regularise>> = section
        .keys()
        .map(|population| of_population(&section.section(population)?, population))
        .collect();
    rules.into_iter().collect()
}

fn of_population(section: &Section<'_>, population: &str) -> Option<Regularise> {
    let number = "a number of spikes, 0 or more";
    let bounds = if ["least", "most", "strength"]
        .iter()
        .any(|key| section.has(key))
    {
        let least = section.float_or("least", 0.0, number, NOT_NEGATIVE);
        let most = section.float_or("most", f64::from(u16::MAX), number, NOT_NEGATIVE);
        let strength = section.required_float("strength", "a number of 0 or more", NOT_NEGATIVE);
        Some((least, most, strength))
    } else {
        None
    };
    let silent = section.float("silent", "a number of 0 or more", NOT_NEGATIVE);
    let silent_label = section.float("silent_label", "a number of 0 or more", NOT_NEGATIVE);
    section.finish();
    let bounds = match bounds {
        Some((least, most, strength)) => Some(Bounds {
            least: least?,
            most: most?,
            strength: strength?,
        }),
        None => None,
    };
    if let Some(Bounds { least, most, .. }) = bounds.filter(|b| b.least > b.most) {
        let message = format!("no number is at least {least} and at most {most}");
        section.problem(codes::CONFIG_CONTRADICTION, "", &message, "swap them");
    }
    Some(Regularise {
        population: population.to_owned(),
        bounds,
        silent,
        silent_label,
    })
}

impl Regularise {
    /// The compiler's notion of it.
    pub fn lowered(&self) -> impl Iterator<Item = Regulariser> + '_ {
        let bounds = self.bounds.map(|b| {
            let cost = Cost::Bounds {
                least: b.least,
                most: b.most,
            };
            (cost, b.strength)
        });
        let silent = self.silent.map(|strength| (Cost::Silent, strength));
        let label = self
            .silent_label
            .map(|strength| (Cost::SilentLabel, strength));
        let all = [bounds, silent, label].into_iter().flatten();
        all.map(|(cost, strength)| Regulariser {
            population: self.population.clone(),
            cost,
            strength,
        })
    }
}

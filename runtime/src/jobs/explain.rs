//! Which attributes make the difference between two readings.
//!
//! The second is read with values of the first in place of its own, and run again: with one of them, to see what
//! each does, and with all of them less as many as can be left out, to see which it takes together.

use std::collections::BTreeMap;

use nirc_compiler::passes::Change;
use nirc_ir::convention::Convention;
use nirc_ir::network::{Network, PopulationKind};
use serde::Serialize;

use crate::reading::Reading;

/// What explains a difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What is left if the second is read with one value of the first, the least first.
    pub attributes: Vec<Attribute>,
    /// Attributes that together leave nothing, and none of which can be left out. Empty if even all of them leave
    /// something: then the files differ as well.
    pub together: Vec<String>,
}

/// An attribute that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// Its name.
    pub attribute: String,
    /// Its value in both, in the first population where it differs.
    pub values: [String; 2],
    /// The populations in which it differs; empty if it does in all of them.
    pub populations: Vec<String>,
    /// Bins of spikes that still differ when the second has the first's value; none if it cannot have it alone.
    pub left: Option<usize>,
}

/// How a network is read: the convention of all, and that of each population, where a preset makes exceptions or
/// somebody has changed one.
pub(super) struct Read {
    reading: Reading,
    populations: BTreeMap<String, Convention>,
}

impl Read {
    /// What a reading has made of a network.
    pub(super) fn new(reading: &Reading, network: &Network) -> Self {
        let neurons = network.populations.iter();
        let neurons = neurons.filter(|(_, p)| matches!(p.kind, PopulationKind::Neurons(_)));
        let conventions = neurons.map(|(pop, p)| (p.name.clone(), network.convention_of(pop)));
        Self {
            reading: reading.clone(),
            populations: conventions.map(|(name, c)| (name, c.clone())).collect(),
        }
    }

    /// The same with another's values of these attributes, if they go together.
    fn with(&self, other: &Self, attributes: &[&Attribute]) -> Option<Reading> {
        let mut reading = self.reading.clone();
        let values = |convention: &Convention| convention.attributes().into_iter();
        let named = |name: &str| attributes.iter().any(|a| a.attribute == name);
        let set = values(&other.reading.convention).filter(|(name, _)| named(name));
        let set = set.map(|(name, value)| format!("{name}={value}"));
        reading.set(&set.collect::<Vec<_>>()).ok()?;
        for (population, convention) in &other.populations {
            if !self.populations.contains_key(population) {
                continue;
            }
            let changes = values(convention).filter(|(name, _)| named(name));
            reading.changes.extend(changes.map(|(name, value)| Change {
                population: population.clone(),
                attribute: name.to_owned(),
                value,
            }));
        }
        Some(reading)
    }
}

/// Explains; `left` runs the second under another reading and counts the spikes that differ from the first.
pub(super) fn explain(
    [a, b]: &[Read; 2],
    left: &mut dyn FnMut(&Reading) -> Option<usize>,
) -> Explanation {
    let mut attributes = differing(a, b);
    for attribute in &mut attributes {
        attribute.left = b.with(a, &[attribute]).and_then(|reading| left(&reading));
    }
    attributes.sort_by_key(|attribute| attribute.left.unwrap_or(usize::MAX));
    let mut enough =
        |attributes: &[&Attribute]| b.with(a, attributes).and_then(|r| left(&r)) == Some(0);
    Explanation {
        together: least(&attributes, &mut enough),
        attributes,
    }
}

/// The attributes that differ in some population.
fn differing(a: &Read, b: &Read) -> Vec<Attribute> {
    let mut all: Vec<Attribute> = Vec::new();
    let common = a.populations.iter();
    let common = common.filter_map(|(name, of_a)| Some((name, of_a, b.populations.get(name)?)));
    for (population, of_a, of_b) in common.clone() {
        for ((name, first), (_, second)) in of_a.attributes().into_iter().zip(of_b.attributes()) {
            // A tick of a length that is given is as long under every convention.
            if first == second || (name == "dt" && b.reading.dt.is_some()) {
                continue;
            }
            match all.iter_mut().find(|known| known.attribute == name) {
                Some(known) => known.populations.push(population.clone()),
                None => all.push(Attribute {
                    attribute: name.to_owned(),
                    values: [first, second],
                    populations: vec![population.clone()],
                    left: None,
                }),
            }
        }
    }
    let populations = common.count();
    for attribute in &mut all {
        if attribute.populations.len() == populations {
            attribute.populations.clear();
        }
    }
    all
}

/// Of attributes that leave nothing together, as few as it takes: each is left out in turn, and stays out if still
/// nothing is left.
fn least(attributes: &[Attribute], enough: &mut dyn FnMut(&[&Attribute]) -> bool) -> Vec<String> {
    if let Some(alone) = attributes.iter().find(|a| a.left == Some(0)) {
        return vec![alone.attribute.clone()];
    }
    let mut kept: Vec<&Attribute> = attributes.iter().collect();
    if !enough(&kept) {
        return Vec::new();
    }
    // Those that do least alone go first.
    for attribute in attributes.iter().rev() {
        let fewer: Vec<&Attribute> = kept.iter().copied().filter(|a| *a != attribute).collect();
        if enough(&fewer) {
            kept = fewer;
        }
    }
    kept.into_iter().map(|a| a.attribute.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `euler`, and the same with these changes; networks of populations `hidden` and `out`.
    fn reads(set: &[&str]) -> [Read; 2] {
        let a = Reading::under(Convention::preset("euler").expect("a preset"));
        let mut b = a.clone();
        let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
        b.set(&set).expect("attributes");
        [a, b].map(|reading| {
            let convention = |population: &str| {
                let mut own = reading.convention.clone();
                for change in reading
                    .changes
                    .iter()
                    .filter(|c| c.population == population)
                {
                    own.set(&change.attribute, &change.value).expect("a value");
                }
                (population.to_owned(), own)
            };
            Read {
                populations: ["hidden", "out"].map(convention).into(),
                reading,
            }
        })
    }

    fn value(reading: &Reading, name: &str) -> String {
        let attributes = reading.convention.attributes();
        let found = attributes.into_iter().find(|(other, _)| *other == name);
        found.expect("an attribute").1
    }

    #[test]
    fn one_that_is_enough_is_named_alone() {
        let reads = reads(&["reset=none", "output_delay=2"]);
        let mut left = |r: &Reading| Some(usize::from(value(r, "output_delay") == "2"));
        let found = explain(&reads, &mut left);
        assert_eq!(found.together, ["output_delay"]);
        assert_eq!(found.attributes[0].attribute, "output_delay");
        assert_eq!(found.attributes[1].left, Some(1));
    }

    #[test]
    fn what_takes_two_is_explained_by_two_and_not_by_a_third() {
        let reads = reads(&["reset=none", "output_delay=2", "hidden.threshold=inclusive"]);
        let mut left = |r: &Reading| {
            let differs = value(r, "output_delay") == "2" || value(r, "reset") == "none";
            Some(usize::from(differs))
        };
        let mut together = explain(&reads, &mut left).together;
        together.sort();
        assert_eq!(together, ["output_delay", "reset"]);
    }

    #[test]
    fn a_single_population_can_explain_it() {
        let reads = reads(&["hidden.reset=none"]);
        let mut left = |r: &Reading| {
            let mut changes = r.changes.iter();
            let change = changes.rfind(|c| c.population == "hidden" && c.attribute == "reset");
            Some(usize::from(change.is_some_and(|c| c.value == "none")))
        };
        let found = explain(&reads, &mut left);
        assert_eq!(found.together, ["reset"]);
        assert_eq!(found.attributes[0].populations, ["hidden"]);
    }

    #[test]
    fn where_the_files_differ_nothing_is_named() {
        let found = explain(&reads(&["reset=none"]), &mut |_| Some(3));
        assert_eq!((found.attributes.len(), found.together.len()), (1, 0));
    }
}

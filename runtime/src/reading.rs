//! What is said beside a .nir file when it is read: the convention, the length of a tick, what single
//! populations do otherwise, and which inputs carry values.

use std::collections::BTreeSet;
use std::path::Path;

use nirc_compiler::nir;
use nirc_compiler::passes::{Change, Time};
use nirc_ir::network::Convention;
use nirc_ir::{Diagnostic, Diagnostics, codes};
use serde::{Deserialize, Serialize};

/// Attributes that single populations cannot have otherwise.
pub(crate) const OF_THE_WHOLE: [&str; 3] = ["first_tick", "time_unit", "dt"];

/// How a file is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Every semantic choice of the network.
    pub convention: Convention,
    /// Length of a tick in seconds; `None` to take the file's, or else the convention's.
    pub dt: Option<f64>,
    /// Choices made by hand, of all populations (also in `convention`) or of single ones: they win over what a
    /// preset does unlike its other choices for one type of node.
    pub changes: Vec<Change>,
    /// Input nodes that carry values, and not spikes.
    pub graded: BTreeSet<String>,
    /// Populations that stay even where nothing comes of them, because they are recorded.
    pub keep: BTreeSet<String>,
    /// How the network goes on in time.
    #[serde(default, skip_serializing_if = "is_in_ticks")]
    pub time: Time,
}

/// What was written before there was another time stays as it was.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that is called")]
fn is_in_ticks(time: &Time) -> bool {
    *time == Time::Ticks
}

impl Reading {
    /// Reading under a convention, all else as the file has it.
    pub fn under(convention: Convention) -> Self {
        Self {
            convention,
            dt: None,
            changes: Vec::new(),
            graded: BTreeSet::new(),
            keep: BTreeSet::new(),
            time: Time::Ticks,
        }
    }

    /// Reading as a file's metadata state it.
    ///
    /// # Errors
    /// When the file cannot be read; when it states nothing: with what it looks like, for the user to say.
    pub fn stated(path: &Path) -> Result<Self, Diagnostics> {
        let (file, _) = nir::read(path)?;
        let place = path.display().to_string();
        let stated = nir::stated_convention(&file).map_err(|p| p.placed_at(&place))?;
        if let Some(stated) = stated {
            let mut reading = Self::under(stated.convention);
            reading
                .set(&stated.changes)
                .map_err(|p| p.placed_at(&place))?;
            return Ok(reading);
        }
        let message = "expected a convention, found none: neither an option nor the file's metadata say how it \
                       advances in time";
        let known = Convention::PRESETS.join(", ");
        let likely = nir::guess(&file).map_or_else(String::new, |guess| {
            format!("; {} would be a guess: {}", guess.convention, guess.why)
        });
        let help = format!(
            "give --convention with one of {known}; `nirc conventions` explains them{likely}"
        );
        let problem = Diagnostic::error(codes::CONVENTION, "--convention", message);
        Err(problem.help(help).into())
    }

    /// Applies assignments `attribute=value` and `population.attribute=value`.
    ///
    /// # Errors
    /// All that do not apply, with what they can be.
    pub fn set(&mut self, assignments: &[String]) -> Result<(), Diagnostics> {
        let mut problems = Diagnostics::new();
        for assignment in assignments {
            if let Err(problem) = self.assign(assignment) {
                problems.push(problem);
            }
        }
        problems.into_result(())?;
        self.convention.check().map_err(|message| {
            Diagnostic::error(codes::CONVENTION, &self.convention.name, message).into()
        })
    }

    fn assign(&mut self, assignment: &str) -> Result<(), Diagnostic> {
        let problem = |message: String| {
            Diagnostic::error(codes::CONVENTION, assignment, message)
                .help("`nirc conventions` NAME lists the attributes of a convention, with what they can be")
        };
        // No value has a `=` in it, but a population's name may.
        let (key, value) = assignment
            .rsplit_once('=')
            .ok_or_else(|| problem("expected ATTRIBUTE=VALUE, found no `=`".to_owned()))?;
        let (key, value) = (key.trim(), value.trim());
        let (population, attribute) = match key.rsplit_once('.') {
            None => (None, key),
            Some((population, attribute)) => (Some(population.to_owned()), attribute),
        };
        if population.is_some() && OF_THE_WHOLE.contains(&attribute) {
            let message = format!("`{attribute}` is one for the whole network");
            return Err(problem(message).help(format!("write {attribute}={value}")));
        }
        // Whether there is such a population shows when the file is read; the rest now.
        let mut convention = self.convention.clone();
        convention.set(attribute, value).map_err(problem)?;
        if population.is_none() {
            self.convention = convention;
        }
        self.changes.push(Change {
            population,
            attribute: attribute.to_owned(),
            value: value.to_owned(),
        });
        Ok(())
    }

    /// The same, with the populations of what is recorded, as `population.quantity`, kept.
    #[must_use]
    pub fn keeping(mut self, record: &[String]) -> Self {
        let populations = record.iter().filter_map(|name| name.rsplit_once('.'));
        self.keep
            .extend(populations.map(|(population, _)| population.to_owned()));
        self
    }

    /// Whether an assignment is one of an attribute, of the whole network or of a population.
    pub fn is_attribute(assignment: &str) -> bool {
        let key = assignment
            .rsplit_once('=')
            .map_or(assignment, |(key, _)| key);
        let attribute = key.rsplit('.').next().unwrap_or_default();
        Convention::ATTRIBUTES.contains(&attribute.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> Reading {
        Reading::under(Convention::preset("euler").expect("a preset"))
    }

    #[test]
    fn assignments_are_of_the_network_or_of_a_population() {
        let mut reading = reading();
        let set = ["reset = none".to_owned(), "a.b.delay=2".to_owned()];
        reading.set(&set).expect("they apply");
        assert_eq!(reading.convention.reset.to_string(), "none");
        let [all, one] = &reading.changes[..] else {
            panic!("two changes")
        };
        assert_eq!((all.population.as_deref(), &*all.value), (None, "none"));
        assert_eq!((one.population.as_deref(), &*one.value), (Some("a.b"), "2"));
    }

    #[test]
    fn names_may_have_signs_in_them() {
        let mut reading = reading();
        reading
            .set(&["a=b.reset=none".to_owned()])
            .expect("it applies");
        assert_eq!(reading.changes[0].population.as_deref(), Some("a=b"));
        assert!(Reading::is_attribute("a=b.reset=none"));
    }

    #[test]
    fn a_population_has_no_time_of_its_own() {
        let set = ["x.dt=1e-3", "x.time_unit=1", "x.first_tick=0"].map(str::to_owned);
        let problems = reading().set(&set).expect_err("none applies");
        assert_eq!(problems.0.len(), 3, "{problems}");
    }

    #[test]
    fn all_that_do_not_apply_are_told() {
        let set = ["reset", "reset=soft", "x.colour=red"].map(str::to_owned);
        let problems = reading().set(&set).expect_err("none applies");
        assert_eq!(problems.0.len(), 3, "{problems}");
    }

    #[test]
    fn keys_of_the_configuration_are_none() {
        assert!(Reading::is_attribute("hidden.reset=none"));
        assert!(Reading::is_attribute("dt=1e-4"));
        assert!(!Reading::is_attribute("mapping.replicas=2"));
    }
}

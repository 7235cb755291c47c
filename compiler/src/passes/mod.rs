//! Passes that bring a network from how a file states it to how it is lowered.
//!
//! 1. [`conventions`]: which convention each population has, and the delays that follow.
//! 2. [`canonicalise`]: no population without an effect ([`dead`]); no constant ([`bias`]), delay
//!    ([`delays`], in ticks, or [`source_delays`], at exact times) or chain of nodes ([`fuse`]) left in a path,
//!    only synapses.
//! 3. [`quantise`]: weights of fewer bits, where a convention says so.
//!
//! # Layout
//! Lanes of a population are its neurons in row-major order, channels first. A dense projection has a row
//! of weights a source. Taps name, for each place on each axis of the source, lanes and weights; those of
//! one place stand in ascending order, so that the synapses of a source are in lexicographic order of the
//! axes. The last axis runs fastest, in sources as in lanes, so that runs of neighbouring lanes are there.

mod bias;
mod conventions;
mod dead;
mod delays;
mod fuse;
mod quantise;
mod source_delays;
mod step;

use std::collections::BTreeSet;

use nirc_ir::network::Network;
use nirc_ir::verify_network::verify_network;
use nirc_ir::{Diagnostic, Diagnostics, codes};
use serde::{Deserialize, Serialize};

pub use bias::bias;
pub use conventions::{Change, conventions, delay, own_convention, own_conventions};
pub use dead::dead;
pub use delays::delays;
pub use fuse::fuse;
pub use quantise::quantise;
pub use source_delays::source_delays;

/// How a network goes on in time, which says what Delay nodes become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Time {
    /// In ticks, of which a delay is a whole number.
    #[default]
    Ticks,
    /// By exact event times, from which delays are numbers like any other.
    Exact {
        /// Whether training changes delays of sources.
        learn_delays: bool,
    },
}

/// Is shown the network after each pass, with the pass's name.
pub type Watch<'a> = &'a mut dyn FnMut(&'static str, &Network);

/// Makes an imported network ready to lower: conventions and changes of single populations written down, all
/// passes run, numbers in the format that each convention says. Populations named in `keep` stay even where
/// nothing comes of them.
///
/// # Errors
/// What is wrong with a change, or stands in the way of a pass.
pub fn prepare(
    network: &mut Network,
    changes: &[Change],
    keep: &BTreeSet<String>,
    time: Time,
    watch: Watch<'_>,
) -> Result<Diagnostics, Diagnostics> {
    let mut notes = conventions(network, changes)?;
    watch("conventions", network);
    notes.0.extend(canonical(network, keep, time, watch)?.0);
    notes.0.extend(quantise(network)?.0);
    verified("quantise", network, watch)?;
    Ok(notes)
}

/// Paths of nodes become synapses; the network is verified after each. What was changed or rounded is noted.
///
/// # Errors
/// What stands in the way of one of them; the network is then as the pass before left it, or half changed.
pub fn canonicalise(network: &mut Network) -> Result<Diagnostics, Diagnostics> {
    canonical(network, &BTreeSet::new(), Time::Ticks, &mut |_, _| {})
}

fn canonical(
    network: &mut Network,
    keep: &BTreeSet<String>,
    time: Time,
    watch: Watch<'_>,
) -> Result<Diagnostics, Diagnostics> {
    let mut notes = dead(network, keep);
    verified("dead", network, watch)?;
    for name in ["bias", "delays", "fuse"] {
        let more = match (name, time) {
            ("bias", _) => bias(network),
            ("delays", Time::Ticks) => delays(network),
            ("delays", Time::Exact { learn_delays }) => source_delays(network, learn_delays),
            _ => fuse(network),
        };
        notes.0.extend(more?.0);
        verified(name, network, watch)?;
    }
    Ok(notes)
}

fn verified(pass: &'static str, network: &Network, watch: Watch<'_>) -> Result<(), Diagnostics> {
    verify_network(network)?;
    watch(pass, network);
    Ok(())
}

/// Names with whatever makes them unlike those that are there.
fn free_name(taken: &mut BTreeSet<String>, mut name: String) -> String {
    while !taken.insert(name.clone()) {
        name.push('\'');
    }
    name
}

/// The values as the chip has them.
///
/// # Errors
/// When one of them is beyond `f32`.
fn to_f32(
    place: &str,
    field: &str,
    wide: &[f64],
    notes: &mut Diagnostics,
) -> Result<Vec<f32>, Diagnostic> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the one rounding of a weight"
    )]
    let values: Vec<f32> = wide.iter().map(|v| *v as f32).collect();
    if let Some(index) = values.iter().position(|v| !v.is_finite()) {
        return Err(Diagnostic::error(
            codes::NODE_VALUE,
            place,
            format!(
                "expected `{field}` of finite numbers in the range of f32, found {} at index {index}",
                wide[index]
            ),
        ));
    }
    let pairs = wide.iter().zip(&values);
    #[expect(clippy::float_cmp, reason = "exactly the values that are rounded")]
    let rounded = pairs
        .filter(|(wide, value)| f64::from(**value) != **wide)
        .count();
    if rounded > 0 {
        notes.push(Diagnostic::note(
            codes::NODE_PRECISION,
            place,
            format!(
                "{rounded} of {} values of `{field}` are rounded to f32",
                wide.len()
            ),
        ));
    }
    Ok(values)
}

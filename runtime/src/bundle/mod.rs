//! Bundles with what they were made from, so that one directory is all a run needs.
//!
//! A bundle holds a program that trains ([`training`]) or one that only runs forward ([`forward`]), and the model
//! as a .nir file. How the model is read stands in a forward bundle, and in the configuration of a training one.

pub mod forward;
pub mod training;

use std::collections::BTreeMap;
use std::path::Path;

use nirc_ir::{Diagnostic, Diagnostics, codes};
use nirc_spinnaker2::bundle::Bundle;

use crate::config::Config;
use crate::model::Model;
use crate::reading::Reading;

/// Where the network lies in a bundle.
pub const MODEL: &str = "model.nir";

/// A bundle, and the model in it as it was read for compiling.
#[derive(Debug)]
pub struct Opened {
    /// The bundle.
    pub bundle: Bundle,
    /// The model.
    pub model: Model,
    /// How it is read.
    pub reading: Reading,
    /// What its program was compiled to record, as `population.quantity`; empty for what leaves the network.
    pub record: Vec<String>,
}

/// Opens a bundle and the model in it; a bundle that trains needs the configuration it was compiled with.
///
/// # Errors
/// When the directory is not a sound bundle, or was not written by `nirc compile`; when the configuration is
/// missing or of no use.
pub fn open(path: &Path, config: Option<&Config>) -> Result<Opened, Diagnostics> {
    let bundle = Bundle::open(path).map_err(Diagnostic::from)?;
    let place = path.display().to_string();
    let broken = |message: String| Diagnostic::error(codes::BUNDLE, &place, message);
    let remake = |message: String| broken(message).help("make it with nirc compile");
    let forward = bundle.attachments.get(forward::FORWARD);
    let (reading, record) = match (forward, config) {
        (Some(bytes), None) => {
            let forward = forward::Forward::from_bytes(bytes)
                .map_err(|e| remake(format!("{}: {e}", forward::FORWARD)))?;
            (forward.reading, forward.record)
        }
        (None, Some(config)) => (config.reading(), Vec::new()),
        (Some(_), Some(_)) => {
            let message = "the bundle only runs forward and says itself how; expected no --config";
            return Err(broken(message.to_owned()).help("leave --config out").into());
        }
        (None, None) => {
            let message = "the bundle trains; expected the configuration it was compiled with";
            return Err(broken(message.to_owned())
                .help("give it with --config C.toml")
                .into());
        }
    };
    let Some(bytes) = bundle.attachments.get(MODEL) else {
        return Err(remake(format!("the bundle has no {MODEL}")).into());
    };
    let model = Model::from_bytes(bytes.clone(), &bundle.origin.network, &reading)?;
    Ok(Opened {
        bundle,
        model,
        reading,
        record,
    })
}

/// The attributes of a model's convention, for the manifest.
fn convention(model: &Model) -> BTreeMap<String, String> {
    let attributes = model.network.convention.attributes().into_iter();
    attributes
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

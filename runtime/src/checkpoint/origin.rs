//! What a run was started with, to refuse going on with something else.

use nirc_ir::{Diagnostic, Diagnostics, codes};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Config, Optimiser};

/// Everything that decides the bits of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The configuration, but for what may change when a run goes on: the number of epochs unless the
    /// learning rate depends on it, the interval of checkpoints, the place of the model's file.
    pub config: Value,
    /// SHA-256 of the initial weights of every tensor.
    pub model_sha256: String,
    /// SHA-256 of the training and test samples.
    pub data_sha256: String,
    /// Replicas of the network.
    pub replicas: usize,
}

impl Origin {
    /// The origin of a run with this configuration.
    pub fn new(
        config: &Config,
        model_sha256: String,
        data_sha256: String,
        replicas: usize,
    ) -> Self {
        let mut value =
            serde_json::to_value(config).expect("a configuration has text keys and no maps else");
        if let Value::Object(keys) = &mut value {
            keys.remove("model");
            // Compared as the number that it came to.
            if let Some(Value::Object(mapping)) = keys.get_mut("mapping") {
                mapping.remove("replicas");
            }
            if let Some(Value::Object(training)) = keys.get_mut("training") {
                // A cosine is as long as the run.
                let optimiser = config.optimiser.as_ref();
                if !optimiser.is_some_and(Optimiser::depends_on_epochs) {
                    training.remove("epochs");
                }
                training.remove("checkpoint_seconds");
            }
        }
        Self {
            config: value,
            model_sha256,
            data_sha256,
            replicas,
        }
    }

    /// Whether a run of this origin may go on as `other`.
    ///
    /// # Errors
    /// Every key in which they differ, and by which values.
    pub fn check(&self, other: &Self) -> Result<(), Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut differ = |place: &str, was: &str, is: &str| {
            problems.push(
                Diagnostic::error(
                    codes::CHECKPOINT,
                    place,
                    format!("the checkpoint was made with {was}, now it is {is}"),
                )
                .help("resume with what the run began with, or start a new run with --out"),
            );
        };
        compare("", &self.config, &other.config, &mut differ);
        for (place, was, is) in [
            ("initial weights", &self.model_sha256, &other.model_sha256),
            ("samples", &self.data_sha256, &other.data_sha256),
        ] {
            if was != is {
                differ(place, &format!("SHA-256 {was}"), is);
            }
        }
        if self.replicas != other.replicas {
            differ(
                "mapping.replicas",
                &self.replicas.to_string(),
                &other.replicas.to_string(),
            );
        }
        problems.into_result(())
    }
}

/// Reports the leaves in which two trees differ.
fn compare(path: &str, was: &Value, is: &Value, differ: &mut impl FnMut(&str, &str, &str)) {
    match (was, is) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let get = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or(Value::Null)
                };
                compare(&path, &get(a), &get(b), differ);
            }
        }
        _ if was != is => differ(path, &was.to_string(), &is.to_string()),
        _ => {}
    }
}

//! The presets: what each simulator or chip makes of a NIR file.
//!
//! A preset is a base and what differs from it; some tools treat one kind of node unlike the others, which
//! is an exception of the preset for that NIR type.

use super::Convention;
use crate::convention::{
    BiasPlace, CurrentShape, Decays, Floor, Gain, Initial, Integrator, Leak, NumberFormat,
    Optional, Order, RecurrentBias, Reset, ResetTime, Resistance, Rounding, SpikeCount, SpikeShape,
    SynapseInput, SynapseIntegrator, SynapseLeak, Threshold, Update,
};

/// An attribute that a preset sets otherwise for one type of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The NIR type, such as `IF`.
    pub node: &'static str,
    /// The attribute.
    pub attribute: &'static str,
    /// Its value for these nodes.
    pub value: &'static str,
}

const fn exception(node: &'static str, attribute: &'static str, value: &'static str) -> Exception {
    Exception {
        node,
        attribute,
        value,
    }
}

impl Convention {
    /// Names of the presets.
    pub const PRESETS: [&'static str; 14] = [
        "nir",
        "euler",
        "eventprop",
        "snntorch",
        "norse",
        "spyx",
        "spyx-2023",
        "sinabs",
        "rockpool",
        "lava",
        "nengo",
        "jaxsnn",
        "spinnaker2-int8",
        "event",
    ];

    /// The preset called `name`.
    pub fn preset(name: &str) -> Option<Self> {
        let euler = || Self {
            name: name.to_owned(),
            integrator: Integrator::Euler,
            synapse_integrator: SynapseIntegrator::Same,
            order: Order::CurrentFirst,
            update: Update::Decay,
            synapse_input: SynapseInput::AfterDecay,
            spike: SpikeShape::Held,
            current: CurrentShape::Held,
            gain: Gain::Input,
            resistance: Resistance::File,
            decays: Decays::Free,
            if_decay: 1.0,
            leak: Leak::File,
            synapse_leak: SynapseLeak::Zero,
            initial: Initial::Zero,
            threshold: Threshold::Strict,
            reset: Reset::ToValue,
            reset_time: ResetTime::Same,
            floor: Floor::None,
            spikes: SpikeCount::Single,
            bias: BiasPlace::Input,
            recurrent_bias: RecurrentBias::Same,
            delay: 0,
            output_delay: 0,
            recurrent_delay: 1,
            first_tick: 0,
            time_unit: 1.0,
            dt: Optional(None),
            number_format: NumberFormat::F32,
            weight_scale: Optional(None),
            rounding: Rounding::Truncate,
        };
        let unit = || Self {
            spike: SpikeShape::Unit,
            current: CurrentShape::Unit,
            ..euler()
        };
        Some(match name {
            "euler" => euler(),
            "nir" => Self {
                integrator: Integrator::Exact,
                ..euler()
            },
            "eventprop" => Self {
                integrator: Integrator::Exponential,
                spike: SpikeShape::Impulse,
                delay: 1,
                first_tick: 1,
                ..euler()
            },
            "snntorch" => Self {
                gain: Gain::Threshold,
                decays: Decays::Clamped,
                leak: Leak::Ignored,
                reset: Reset::ToZero,
                reset_time: ResetTime::Guarded,
                dt: Optional(Some(1e-4)),
                ..euler()
            },
            "norse" => Self {
                update: Update::Increment,
                synapse_leak: SynapseLeak::VLeak,
                initial: Initial::Rest,
                reset: Reset::ToZero,
                recurrent_bias: RecurrentBias::Delayed,
                dt: Optional(Some(1e-3)),
                ..euler()
            },
            "spyx" => Self {
                decays: Decays::Clamped,
                leak: Leak::Ignored,
                reset: Reset::Subtract,
                output_delay: 1,
                recurrent_bias: RecurrentBias::Dropped,
                dt: Optional(Some(1.0)),
                ..unit()
            },
            "spyx-2023" => Self {
                gain: Gain::Weights,
                resistance: Resistance::One,
                decays: Decays::Clamped,
                leak: Leak::Ignored,
                reset: Reset::Subtract,
                output_delay: 1,
                dt: Optional(Some(1e-4)),
                ..euler()
            },
            "sinabs" => Self {
                integrator: Integrator::Exponential,
                synapse_input: SynapseInput::BeforeDecay,
                leak: Leak::Ignored,
                threshold: Threshold::Inclusive,
                spikes: SpikeCount::Multiple,
                reset: Reset::Subtract,
                dt: Optional(Some(1.0)),
                ..unit()
            },
            "rockpool" => Self {
                integrator: Integrator::Exponential,
                synapse_input: SynapseInput::BeforeDecay,
                leak: Leak::Bias,
                threshold: Threshold::Inclusive,
                spikes: SpikeCount::Multiple,
                reset: Reset::Subtract,
                recurrent_bias: RecurrentBias::Dropped,
                dt: Optional(Some(1e-3)),
                ..unit()
            },
            "lava" => Self {
                gain: Gain::Weights,
                resistance: Resistance::One,
                leak: Leak::Ignored,
                reset: Reset::ToZero,
                delay: 1,
                dt: Optional(Some(1e-4)),
                ..euler()
            },
            // Version 0.3.0 leaves `v_leak` out, later ones do not.
            "jaxsnn" => Self {
                integrator: Integrator::Exact,
                // A spike comes at its tick's beginning, so that its current decays for a tick by the end.
                synapse_input: SynapseInput::BeforeDecay,
                spike: SpikeShape::Unit,
                resistance: Resistance::One,
                time_unit: 1e-3,
                ..euler()
            },
            "event" => Self {
                integrator: Integrator::Exact,
                // With ticks, as in jaxsnn: a spike acts from the beginning of its tick.
                synapse_input: SynapseInput::BeforeDecay,
                spike: SpikeShape::Unit,
                ..euler()
            },
            "nengo" => Self {
                integrator: Integrator::Exponential,
                synapse_integrator: SynapseIntegrator::Euler,
                reset: Reset::ToZero,
                floor: Floor::Zero,
                dt: Optional(Some(1e-4)),
                ..euler()
            },
            "spinnaker2-int8" => Self {
                gain: Gain::Threshold,
                reset: Reset::ToZero,
                bias: BiasPlace::Membrane,
                delay: 1,
                number_format: NumberFormat::Int8,
                dt: Optional(Some(1e-4)),
                ..euler()
            },
            _ => return None,
        })
    }

    /// What the preset of this name does unlike its other choices for one type of node.
    pub fn exceptions(name: &str) -> &'static [Exception] {
        const SNNTORCH: &[Exception] = &[
            exception("CubaLIF", "current", "unit"),
            exception("IF", "spike", "unit"),
            exception("IF", "if_decay", "0.9"),
            exception("IF", "reset", "subtract"),
        ];
        const NIR: &[Exception] = &[
            exception("LIF", "reset_time", "exact"),
            exception("IF", "reset_time", "exact"),
        ];
        const NORSE: &[Exception] = &[
            exception("IF", "spike", "unit"),
            exception("LIF", "resistance", "one"),
        ];
        const SPYX_2023: &[Exception] = &[
            exception("LIF", "reset_time", "next"),
            exception("CubaLIF", "current", "unit"),
            exception("IF", "reset_time", "next"),
            exception("IF", "spike", "unit"),
        ];
        const NENGO: &[Exception] = &[
            exception("CubaLIF", "delay", "1"),
            exception("CubaLIF", "bias", "delayed"),
            exception("CubaLIF", "recurrent_bias", "delayed"),
            exception("IF", "spike", "unit"),
            exception("IF", "floor", "none"),
        ];
        const LAVA: &[Exception] = &[exception("IF", "spike", "unit")];
        const SPINNAKER2: &[Exception] = &[exception("IF", "spike", "jump")];
        const SPYX: &[Exception] = &[
            exception("LIF", "reset_time", "next"),
            exception("IF", "reset_time", "next"),
        ];
        const SINABS: &[Exception] = &[exception("IF", "floor", "minus_threshold")];
        match name {
            "nir" => NIR,
            "snntorch" => SNNTORCH,
            "norse" => NORSE,
            "spyx" => SPYX,
            "spyx-2023" => SPYX_2023,
            "nengo" => NENGO,
            "sinabs" => SINABS,
            "lava" => LAVA,
            "spinnaker2-int8" => SPINNAKER2,
            _ => &[],
        }
    }

    /// This convention for nodes of a NIR type, where its preset makes an exception of them. Attributes that
    /// were changed by hand stay as they are.
    pub fn for_node(&self, node: &str) -> Option<Self> {
        let preset = Self::preset(&self.name)?;
        let mut own = self.clone();
        for exception in Self::exceptions(&self.name) {
            let value = |c: &Self| {
                let mut all = c.attributes().into_iter();
                all.find(|(name, _)| *name == exception.attribute)
            };
            if exception.node == node && value(self) == value(&preset) {
                own.set(exception.attribute, exception.value).ok()?;
            }
        }
        (own != *self).then_some(own)
    }

    /// What the preset of this name is, in a sentence or two.
    pub fn story(name: &str) -> &'static str {
        match name {
            "nir" => {
                "The equations of the NIR specification, solved exactly for input that is held for a tick; with a synapse, the reset waits for the tick's end."
            }
            "euler" => {
                "Forward Euler of the equations of the NIR specification, the current before the voltage."
            }
            "eventprop" => "The published EventProp work on SpiNNaker2 and its PyTorch simulator.",
            "snntorch" => {
                "snnTorch's import_from_nir: Leaky and Synaptic, reset to zero (the file does not say which)."
            }
            "norse" => "Norse's from_nir with forward Euler.",
            "spyx" => {
                "Spyx's from_nir of today: no gains, reset by subtraction, spikes that leave a step late."
            }
            "spyx-2023" => "Spyx as the NIR paper has used it: gains multiplied into weights.",
            "sinabs" => {
                "Sinabs' from_nir: time in steps, several spikes a step, inclusive threshold."
            }
            "rockpool" => "Rockpool's from_nir: LIFTorch and LinearTorch.",
            "lava" => "Lava's process models in floating point, as the NIR paper has used them.",
            "nengo" => {
                "Nengo as the NIR paper has used it: exponential membrane, no voltage below 0."
            }
            "event" => {
                "The neurons of Wunderlich and Pehle, for exact event times: a spike is a jump of the current by its weight, at once."
            }
            "jaxsnn" => {
                "jaxsnn's from_nir: times in milliseconds, a spike is a jump of the current by its weight."
            }
            "spinnaker2-int8" => {
                "py-spinnaker2 on the SpiNNaker2 chip: forward Euler, weights of 8 bits, reset to zero."
            }
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_sound_and_has_a_story() {
        for name in Convention::PRESETS {
            let preset = Convention::preset(name).expect("it exists");
            preset.check().expect("it is sound");
            assert!(!Convention::story(name).is_empty(), "{name}");
            for exception in Convention::exceptions(name) {
                let node = preset.for_node(exception.node).expect("an exception");
                node.check().expect("it is sound");
                assert_ne!(node, preset);
            }
        }
    }

    #[test]
    fn what_was_changed_by_hand_stays() {
        let mut convention = Convention::preset("snntorch").expect("it exists");
        convention.reset = Reset::None;
        let own = convention.for_node("IF").expect("other exceptions");
        assert_eq!((own.reset, own.if_decay), (Reset::None, 0.9));
        assert_eq!(convention.for_node("LIF"), None);
    }
}

//! Conventions: what a NIR file leaves open, as named attributes with named values.
//!
//! A [`Convention`] is data. A preset ([`presets`]) says how one simulator or chip reads a file; each attribute can be
//! changed alone, by its name and value as text ([`Convention::set`]), which is how command lines,
//! configurations, metadata of files and the texts of the IR all do it.

pub mod presets;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An attribute with a few named values.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal, $meaning:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $(#[doc = $meaning] $variant,)+
        }

        impl $name {
            /// Every value with its name and meaning.
            pub const ALL: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$variant, $word, $meaning)),+];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("expected {}", [$($word),+].join(" or "))),
                }
            }
        }
    };
}

choice! {
    /// How the differential equations advance by one tick.
    Integrator {
        Exponential = "exponential", "decay by `exp(-dt/tau)`";
        Euler = "euler", "decay by `1 - dt/tau`";
        Exact = "exact", "the exact solution, in which the voltage follows the decaying current within the tick";
    }
}
choice! {
    /// How the synaptic current advances.
    SynapseIntegrator {
        Same = "same", "as the voltage does";
        Euler = "euler", "decay by `1 - dt/tau`, whatever the voltage does";
    }
}
choice! {
    /// Which synaptic current the voltage sees.
    Order {
        CurrentFirst = "current_first", "the current is updated first, the voltage sees the new one";
        Simultaneous = "simultaneous", "the voltage sees the current before the tick";
    }
}
choice! {
    /// How a step is computed: the same in exact arithmetic, but not in its roundings.
    Update {
        Decay = "decay", "`v := b v + drive`";
        Increment = "increment", "`v := v + (1-b) (drive - v)`";
    }
}
choice! {
    /// Where input enters a synapse.
    SynapseInput {
        AfterDecay = "after_decay", "`I := a I + g S`";
        BeforeDecay = "before_decay", "`I := a (I + g S)`";
    }
}
choice! {
    /// What an arriving spike of weight 1 is to the state that it drives.
    SpikeShape {
        Impulse = "impulse", "a pulse of area `dt`: a jump by `gain dt/tau`";
        Held = "held", "the value 1 held for the tick: a move by `gain (1 - decay)`";
        Jump = "jump", "a jump by `gain`, whatever the time constant";
        Unit = "unit", "a jump by 1, whatever gain and time constant";
    }
}
choice! {
    /// What a synaptic current of 1 is to the voltage.
    CurrentShape {
        Held = "held", "held for the tick: a move by `r (1 - decay)`";
        Unit = "unit", "a jump by 1, whatever resistance and time constant";
    }
}
choice! {
    /// Where the gain from a spike to the voltage is multiplied: the same in exact arithmetic.
    Gain {
        Input = "input", "what arrives is multiplied";
        Weights = "weights", "weights and biases are multiplied beforehand";
        Threshold = "threshold", "threshold, leak and reset are divided, so that voltages are counted in weights";
    }
}
choice! {
    /// Whether the membrane resistance counts.
    Resistance {
        File = "file", "`r` of the file";
        One = "one", "1, whatever `r` the file has";
    }
}
choice! {
    /// Decays of time constants shorter than a tick.
    Decays {
        Free = "free", "as the formula gives them, below 0 too";
        Clamped = "clamped", "no less than 0 and no more than 1";
    }
}
choice! {
    /// What `v_leak` does.
    Leak {
        File = "file", "the voltage relaxes towards it";
        Ignored = "ignored", "nothing: the voltage relaxes towards 0";
        Bias = "bias", "it is added to the voltage in every tick";
    }
}
choice! {
    /// What the synaptic current relaxes towards.
    SynapseLeak {
        Zero = "zero", "0";
        VLeak = "v_leak", "`v_leak`, as if it were a current";
    }
}
choice! {
    /// The state before the first tick.
    Initial {
        Zero = "zero", "voltage and current are 0";
        Rest = "rest", "they are what they relax towards without input";
    }
}
choice! {
    /// When a neuron fires.
    Threshold {
        Strict = "strict", "where `v > v_threshold`";
        Inclusive = "inclusive", "where `v >= v_threshold`";
    }
}
choice! {
    /// What a spike does to the voltage.
    Reset {
        ToValue = "to_value", "`v := v_reset`";
        ToZero = "to_zero", "`v := 0`, whatever `v_reset` the file has";
        Subtract = "subtract", "`v := v - v_threshold`";
        None = "none", "nothing";
    }
}
choice! {
    /// When a spike's reset happens.
    ResetTime {
        Same = "same", "in the tick of the spike, after it";
        Next = "next", "in the tick after it, on top of that tick's update";
        Exact = "exact", "at the crossing within the tick, which then runs on (neurons without a synapse)";
        Guarded = "guarded", "in the tick of the spike; what is still above the threshold then is reset once more in the next, before it is compared";
    }
}
choice! {
    /// Whether the voltage has a lower bound.
    Floor {
        None = "none", "it has none";
        Zero = "zero", "0";
        MinusThreshold = "minus_threshold", "`-v_threshold`";
    }
}
choice! {
    /// How often a neuron can spike in one tick.
    SpikeCount {
        Single = "single", "once";
        Multiple = "multiple", "as often as the threshold fits into the voltage";
    }
}
choice! {
    /// Where constant input (the bias of an Affine or a convolution) goes.
    BiasPlace {
        Input = "input", "beside the spikes, in every tick";
        Delayed = "delayed", "the same, but not before spikes of its projection can arrive";
        Membrane = "membrane", "into the voltage as the current that it would settle at, past the synapse";
        Dropped = "dropped", "nowhere";
    }
}
choice! {
    /// Where constant input of projections that are part of a cycle goes.
    RecurrentBias {
        Same = "same", "where that of others goes";
        Delayed = "delayed", "the same, but not before spikes of this projection can arrive";
        Dropped = "dropped", "nowhere";
    }
}
choice! {
    /// The numbers that a population computes with.
    NumberFormat {
        F32 = "f32", "IEEE single precision";
        Int8 = "int8", "weights scaled and rounded to integers of 8 bits, thresholds and currents scaled alike";
    }
}

choice! {
    /// How scaled weights become integers.
    Rounding {
        Truncate = "truncate", "towards zero";
        Nearest = "nearest", "to the nearest, ties to even";
        Floor = "floor", "downwards";
    }
}

/// A positive number that a convention may leave open.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Optional(pub Option<f64>);

impl fmt::Display for Optional {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{number}"),
            None => f.write_str("unset"),
        }
    }
}

impl FromStr for Optional {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("unset", _) => Ok(Self(None)),
            (_, Ok(number)) => Ok(Self(Some(number))),
            _ => Err("expected a number, or unset".to_owned()),
        }
    }
}

/// Every semantic choice that a NIR file leaves open, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convention {
    /// Name of the preset it started from.
    pub name: String,
    /// Integration method.
    pub integrator: Integrator,
    /// That of the synaptic current.
    pub synapse_integrator: SynapseIntegrator,
    /// Order of current and voltage.
    pub order: Order,
    /// How a step is computed.
    pub update: Update,
    /// Where input enters a synapse.
    pub synapse_input: SynapseInput,
    /// Meaning of a spike.
    pub spike: SpikeShape,
    /// Meaning of a synaptic current.
    pub current: CurrentShape,
    /// Where the gain is multiplied.
    pub gain: Gain,
    /// Whether the resistance counts.
    pub resistance: Resistance,
    /// Decays of short time constants.
    pub decays: Decays,
    /// Decay of IF and I neurons in a tick; 1 for none.
    pub if_decay: f64,
    /// What `v_leak` does.
    pub leak: Leak,
    /// What the synaptic current relaxes towards.
    pub synapse_leak: SynapseLeak,
    /// The state before the first tick.
    pub initial: Initial,
    /// Threshold comparison.
    pub threshold: Threshold,
    /// Reset kind.
    pub reset: Reset,
    /// When the reset happens.
    pub reset_time: ResetTime,
    /// Lower bound of the voltage.
    pub floor: Floor,
    /// Spikes in one tick.
    pub spikes: SpikeCount,
    /// Where the bias goes.
    pub bias: BiasPlace,
    /// Where the bias of recurrent projections goes.
    pub recurrent_bias: RecurrentBias,
    /// Delay of a projection, ticks.
    pub delay: u32,
    /// Ticks from crossing the threshold to the spike that other populations and the outside see.
    pub output_delay: u32,
    /// Delay of a projection that is part of a cycle, ticks; at least 1.
    pub recurrent_delay: u32,
    /// The first tick in which neurons advance, 0 or 1.
    pub first_tick: u32,
    /// Seconds that the file's unit of time stands for (1 when it is written in seconds).
    pub time_unit: f64,
    /// Length of a tick in seconds, where nothing else says it.
    pub dt: Optional,
    /// Numbers.
    pub number_format: NumberFormat,
    /// Factor on weights that become integers; where it is open, the largest becomes 127.
    pub weight_scale: Optional,
    /// How they become integers.
    pub rounding: Rounding,
}

/// One attribute of a convention, for those who list them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What it decides.
    pub meaning: &'static str,
    /// The values it can have, with what they mean; empty for numbers.
    pub values: Vec<(&'static str, &'static str)>,
}

macro_rules! attributes {
    ($($field:ident : $values:expr, $meaning:literal;)+) => {
        impl Convention {
            /// Names of all attributes, in the order in which they are listed.
            pub const ATTRIBUTES: &'static [&'static str] = &[$(stringify!($field)),+];

            /// All attributes with what they can be.
            pub fn describe() -> Vec<Attribute> {
                vec![$(Attribute {
                    name: stringify!($field),
                    meaning: $meaning,
                    values: $values,
                }),+]
            }

            /// All attributes and their values, as text that [`Self::set`] takes.
            pub fn attributes(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($field), text(&self.$field))),+]
            }

            /// Sets an attribute by its name.
            ///
            /// Whether the attributes fit each other is for [`Self::check`], once all are set.
            ///
            /// # Errors
            /// When there is no such attribute, or it has no such value: what it can be.
            pub fn set(&mut self, attribute: &str, value: &str) -> Result<(), String> {
                match attribute {
                    $(stringify!($field) => self.$field = parse(value)?,)+
                    _ => return Err(format!("no attribute is called `{attribute}`; there are: {}", Self::ATTRIBUTES.join(", "))),
                }
                Ok(())
            }
        }
    };
}

fn text<T: fmt::Debug + fmt::Display>(value: &T) -> String {
    value.to_string()
}

fn parse<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: fmt::Display,
{
    text.parse()
        .map_err(|e: T::Err| format!("{e}, found `{text}`"))
}

fn words<T>(all: &'static [(T, &'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    all.iter()
        .map(|(_, word, meaning)| (*word, *meaning))
        .collect()
}

attributes! {
    integrator : words(Integrator::ALL), "how the differential equations advance by a tick";
    synapse_integrator : words(SynapseIntegrator::ALL), "how the synaptic current does";
    order : words(Order::ALL), "which synaptic current the voltage sees";
    update : words(Update::ALL), "how a step is rounded";
    synapse_input : words(SynapseInput::ALL), "where input enters a synapse";
    spike : words(SpikeShape::ALL), "what an arriving spike of weight 1 is to the state that it drives";
    current : words(CurrentShape::ALL), "what a synaptic current of 1 is to the voltage";
    gain : words(Gain::ALL), "where the gain from a spike to the voltage is multiplied";
    resistance : words(Resistance::ALL), "whether the membrane resistance counts";
    decays : words(Decays::ALL), "what becomes of time constants shorter than a tick";
    if_decay : Vec::new(), "what remains of the voltage of an IF or I neuron after a tick";
    leak : words(Leak::ALL), "what `v_leak` does";
    synapse_leak : words(SynapseLeak::ALL), "what the synaptic current relaxes towards";
    initial : words(Initial::ALL), "voltage and current before the first tick";
    threshold : words(Threshold::ALL), "when a neuron fires";
    reset : words(Reset::ALL), "what a spike does to the voltage";
    reset_time : words(ResetTime::ALL), "when it does so";
    floor : words(Floor::ALL), "the least voltage";
    spikes : words(SpikeCount::ALL), "how often a neuron can spike in a tick";
    bias : words(BiasPlace::ALL), "where the bias of an Affine or convolution goes";
    recurrent_bias : words(RecurrentBias::ALL), "where that of a projection goes that is part of a cycle";
    delay : Vec::new(), "ticks from a spike to its arrival, where no cycle is closed";
    output_delay : Vec::new(), "ticks from crossing the threshold to the spike that others and the outside see";
    recurrent_delay : Vec::new(), "ticks where a cycle is closed; at least 1";
    first_tick : Vec::new(), "the first tick in which neurons advance, 0 or 1";
    time_unit : Vec::new(), "seconds that the file's unit of time stands for";
    dt : Vec::new(), "seconds of a tick, where neither the file nor the user says it";
    number_format : words(NumberFormat::ALL), "the numbers that populations compute with";
    weight_scale : Vec::new(), "factor on weights that become integers; unset, the largest becomes 127";
    rounding : words(Rounding::ALL), "how scaled weights become integers";
}

/// Most ticks of a delay, which are those of the longest sample.
const MOST_TICKS: u32 = 65_535;

impl Convention {
    /// Whether the numbers are ones that an attribute can have.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), String> {
        if self.recurrent_delay == 0 {
            return Err("recurrent_delay: expected at least 1 tick, found 0: a cycle without a delay has no order".into());
        }
        for (name, ticks) in [
            ("delay", self.delay),
            ("output_delay", self.output_delay),
            ("recurrent_delay", self.recurrent_delay),
        ] {
            if ticks > MOST_TICKS {
                return Err(format!(
                    "{name}: expected at most {MOST_TICKS} ticks, found {ticks}: no sample is longer"
                ));
            }
        }
        if self.first_tick > 1 {
            return Err(format!(
                "first_tick: expected 0 or 1, found {}",
                self.first_tick
            ));
        }
        if self.delay < self.first_tick {
            return Err(format!(
                "delay: expected at least {0} where first_tick is {0}, found {1}: the first spikes would be lost",
                self.first_tick, self.delay
            ));
        }
        let numbers = [
            ("time_unit", Some(self.time_unit)),
            ("dt", self.dt.0),
            ("weight_scale", self.weight_scale.0),
        ];
        for (name, number) in numbers {
            if let Some(found) = number.filter(|n| !(n.is_finite() && *n > 0.0)) {
                return Err(format!("{name}: expected a positive number, found {found}"));
            }
        }
        if !(0.0..=1.0).contains(&self.if_decay) {
            let found = self.if_decay;
            return Err(format!("if_decay: expected 0 to 1, found {found}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_of_every_preset_reads_back() {
        for name in Convention::PRESETS {
            let preset = Convention::preset(name).expect("it exists");
            preset.check().expect("it is sound");
            let mut copy = Convention::preset("nir").expect("it exists");
            copy.name = name.to_owned();
            for (attribute, value) in preset.attributes() {
                copy.set(attribute, &value).expect("it reads back");
            }
            assert_eq!(copy, preset);
        }
    }

    #[test]
    fn what_cannot_be_is_told_with_what_can() {
        let mut convention = Convention::preset("nir").expect("it exists");
        let problem = convention.set("reset", "soft").expect_err("no such reset");
        assert!(
            problem.contains("to_value or to_zero or subtract or none, found `soft`"),
            "{problem}"
        );
        let problem = convention
            .set("colour", "red")
            .expect_err("no such attribute");
        assert!(problem.contains("integrator, order"), "{problem}");
        for (attribute, value) in [
            ("recurrent_delay", "0"),
            ("output_delay", "65536"),
            ("time_unit", "nan"),
            ("dt", "-1"),
            ("if_decay", "2"),
            ("first_tick", "2"),
        ] {
            let mut convention = convention.clone();
            convention.set(attribute, value).expect("a number");
            let problem = convention.check().expect_err("it makes no sense");
            assert!(problem.starts_with(attribute), "{problem}");
        }
    }
}

//! Conventions: what a NIR file leaves open, as named attributes with named values.
//!
//! A [`Convention`] is data. A preset says how one simulator or chip reads a file; each attribute can be
//! changed alone, by its name and value as text ([`Convention::set`]), which is how command lines,
//! configurations, metadata of files and the texts of the IR all do it.

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
    /// Which synaptic current the voltage sees.
    Order {
        CurrentFirst = "current_first", "the current is updated first, the voltage sees the new one";
        Simultaneous = "simultaneous", "the voltage sees the current before the tick";
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
    /// What an arriving spike of weight 1 is to the state that it drives.
    SpikeShape {
        Impulse = "impulse", "a pulse of area `dt`: a jump by `gain dt/tau`";
        Held = "held", "the value 1 held for the tick: a move by `gain (1 - decay)`";
        Unit = "unit", "a jump by 1, whatever gain and time constant";
    }
}
choice! {
    /// Where constant input (the bias of an Affine) goes.
    BiasPlace {
        Input = "input", "beside the spikes, in every tick";
        Membrane = "membrane", "into the voltage as a current, past the synapse";
    }
}
choice! {
    /// The numbers that a population computes with.
    NumberFormat {
        F32 = "f32", "IEEE single precision";
        Int8 = "int8", "weights scaled to 127 and truncated to integers, thresholds and currents scaled alike";
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
    /// Order of current and voltage.
    pub order: Order,
    /// Reset kind.
    pub reset: Reset,
    /// When the reset happens.
    pub reset_time: ResetTime,
    /// Threshold comparison.
    pub threshold: Threshold,
    /// Meaning of a spike.
    pub spike: SpikeShape,
    /// Where the bias goes.
    pub bias: BiasPlace,
    /// Delay of a projection, ticks.
    pub delay: u32,
    /// Delay of a projection that is part of a cycle, ticks; at least 1.
    pub recurrent_delay: u32,
    /// The first tick in which neurons advance, 0 or 1.
    pub first_tick: u32,
    /// Seconds that the file's unit of time stands for (1 when it is written in seconds).
    pub time_unit: f64,
    /// Numbers.
    pub number_format: NumberFormat,
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
    order : words(Order::ALL), "which synaptic current the voltage sees";
    reset : words(Reset::ALL), "what a spike does to the voltage";
    reset_time : words(ResetTime::ALL), "when it does so";
    threshold : words(Threshold::ALL), "when a neuron fires";
    spike : words(SpikeShape::ALL), "what an arriving spike of weight 1 is";
    bias : words(BiasPlace::ALL), "where the bias of an Affine or convolution goes";
    delay : Vec::new(), "ticks from a spike to its arrival, where no cycle is closed";
    recurrent_delay : Vec::new(), "the same for projections that are part of a cycle; at least 1";
    first_tick : Vec::new(), "the first tick in which neurons advance, 0 or 1";
    time_unit : Vec::new(), "seconds that the file's unit of time stands for";
    number_format : words(NumberFormat::ALL), "the numbers that populations compute with";
}

impl Convention {
    /// Names of the presets.
    pub const PRESETS: [&'static str; 2] = ["eventprop", "nir"];

    /// The preset called `name`.
    pub fn preset(name: &str) -> Option<Self> {
        let nir = Self {
            name: name.to_owned(),
            integrator: Integrator::Euler,
            order: Order::Simultaneous,
            reset: Reset::ToValue,
            reset_time: ResetTime::Same,
            threshold: Threshold::Strict,
            spike: SpikeShape::Held,
            bias: BiasPlace::Input,
            delay: 1,
            recurrent_delay: 1,
            first_tick: 1,
            time_unit: 1.0,
            number_format: NumberFormat::F32,
        };
        match name {
            "eventprop" => Some(Self {
                integrator: Integrator::Exponential,
                order: Order::CurrentFirst,
                spike: SpikeShape::Impulse,
                ..nir
            }),
            "nir" => Some(nir),
            _ => None,
        }
    }

    /// Whether the numbers are ones that an attribute can have.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), String> {
        if self.recurrent_delay == 0 {
            return Err("recurrent_delay: expected at least 1 tick, found 0: a cycle without a delay has no order".into());
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
        if !(self.time_unit.is_finite() && self.time_unit > 0.0) {
            return Err(format!(
                "time_unit: expected a positive number of seconds, found {}",
                self.time_unit
            ));
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
            ("time_unit", "nan"),
            ("delay", "0"),
        ] {
            let mut convention = convention.clone();
            convention.set(attribute, value).expect("a number");
            let problem = convention.check().expect_err("it makes no sense");
            assert!(problem.starts_with(attribute), "{problem}");
        }
    }
}

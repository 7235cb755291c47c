//! A table of the configuration under reading: asks for keys, and knows afterwards which were not
//! asked for.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeBounds;

use nirc_ir::{Diagnostic, Diagnostics, codes};
use toml::{Table, Value};

use super::split::Amount;

/// One table. Every reader returns `None` after noting the problem, or where an optional key is absent.
pub(super) struct Section<'a> {
    /// File and path of the table, such as `full.toml: training.`.
    prefix: String,
    table: &'a Table,
    asked: RefCell<Vec<String>>,
    problems: &'a RefCell<Diagnostics>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(name: &str, table: &'a Table, problems: &'a RefCell<Diagnostics>) -> Self {
        Self {
            prefix: format!("{name}: "),
            table,
            asked: RefCell::default(),
            problems,
        }
    }

    /// Notes a problem with a key.
    pub(super) fn problem(&self, code: &'static str, key: &str, message: &str, help: &str) {
        let place = format!("{}{key}", self.prefix);
        let diagnostic = Diagnostic::error(code, place, message).help(help);
        self.problems.borrow_mut().push(diagnostic);
    }

    /// Notes that a key does not go with others.
    pub(super) fn contradiction(&self, key: &str, message: &str, help: &str) {
        self.problem(codes::CONFIG_CONTRADICTION, key, message, help);
    }

    /// Names of all keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.table.keys().map(String::as_str)
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.asked.borrow_mut().push(key.to_owned());
        self.table.get(key)
    }

    fn wrong_type(&self, key: &str, expected: &str, found: &Value) {
        let message = format!("expected {expected}, found {} `{found}`", found.type_str());
        self.problem(
            codes::CONFIG_VALUE,
            key,
            &message,
            &format!("write {expected}"),
        );
    }

    fn missing(&self, key: &str, expected: &str) {
        self.problem(
            codes::CONFIG_VALUE,
            key,
            &format!("missing; expected {expected}"),
            &format!("add `{key} = …` to this section"),
        );
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the key is there in a section.
    pub(super) fn has_within(&self, section: &str, key: &str) -> bool {
        let section = self.table.get(section).and_then(Value::as_table);
        section.is_some_and(|section| section.contains_key(key))
    }

    /// A section that may be absent.
    pub(super) fn section(&self, key: &str) -> Option<Section<'a>> {
        match self.get(key)? {
            Value::Table(table) => Some(Section {
                prefix: format!("{}{key}.", self.prefix),
                table,
                asked: RefCell::default(),
                problems: self.problems,
            }),
            other => {
                self.wrong_type(key, "a section", other);
                None
            }
        }
    }

    /// A section that must be there.
    pub(super) fn required_section(&self, key: &str) -> Option<Section<'a>> {
        if !self.has(key) {
            self.problem(
                codes::CONFIG_VALUE,
                key,
                "missing; expected a section",
                &format!("add a section `[{key}]`"),
            );
        }
        self.section(key)
    }

    /// A number that may be absent.
    pub(super) fn float(
        &self,
        key: &str,
        expected: &str,
        range: impl RangeBounds<f64>,
    ) -> Option<f64> {
        let value = self.get(key)?;
        let number = match value {
            Value::Float(number) => *number,
            Value::Integer(number) => whole(*number),
            other => {
                self.wrong_type(key, expected, other);
                return None;
            }
        };
        self.checked(key, expected, number, range.contains(&number))
    }

    /// A number that must be there.
    pub(super) fn required_float(
        &self,
        key: &str,
        expected: &str,
        range: impl RangeBounds<f64>,
    ) -> Option<f64> {
        self.require(key, expected);
        self.float(key, expected, range)
    }

    /// A number with a default: `None` only after a problem.
    pub(super) fn float_or(
        &self,
        key: &str,
        default: f64,
        expected: &str,
        range: impl RangeBounds<f64>,
    ) -> Option<f64> {
        if self.has(key) {
            self.float(key, expected, range)
        } else {
            self.get(key);
            Some(default)
        }
    }

    /// So many numbers in a list that may be absent.
    pub(super) fn floats<const N: usize>(
        &self,
        key: &str,
        expected: &str,
        range: impl RangeBounds<f64>,
    ) -> Option<[f64; N]> {
        let value = self.get(key)?;
        let Value::Array(items) = value else {
            self.wrong_type(key, expected, value);
            return None;
        };
        let numbers = items.iter().map(|item| match item {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(whole(*number)),
            _ => None,
        });
        let numbers: Option<Vec<f64>> = numbers.collect();
        let numbers = numbers
            .filter(|numbers| numbers.iter().all(|number| range.contains(number)))
            .and_then(|numbers| <[f64; N]>::try_from(numbers).ok());
        self.checked(key, expected, value, numbers.is_some())?;
        numbers
    }

    /// A whole number that may be absent.
    pub(super) fn integer<T: TryFrom<i64> + PartialOrd + Display + Copy>(
        &self,
        key: &str,
        expected: &str,
        range: impl RangeBounds<T>,
    ) -> Option<T> {
        let value = self.get(key)?;
        let Value::Integer(number) = value else {
            self.wrong_type(key, expected, value);
            return None;
        };
        let converted = T::try_from(*number).ok().filter(|n| range.contains(n));
        self.checked(key, expected, *number, converted.is_some())?;
        converted
    }

    /// A whole number that must be there.
    pub(super) fn required_integer<T: TryFrom<i64> + PartialOrd + Display + Copy>(
        &self,
        key: &str,
        expected: &str,
        range: impl RangeBounds<T>,
    ) -> Option<T> {
        self.require(key, expected);
        self.integer(key, expected, range)
    }

    /// A whole number with a default: `None` only after a problem.
    pub(super) fn integer_or<T: TryFrom<i64> + PartialOrd + Display + Copy>(
        &self,
        key: &str,
        default: T,
        expected: &str,
        range: impl RangeBounds<T>,
    ) -> Option<T> {
        match self.has(key) {
            true => self.integer(key, expected, range),
            false => {
                self.get(key);
                Some(default)
            }
        }
    }

    /// A number of samples, or a share of them, that may be absent.
    pub(super) fn amount(&self, key: &str) -> Option<Amount> {
        let expected = "a number of samples, or a share above 0 and below 1";
        match self.table.get(key) {
            Some(Value::Float(_)) => self
                .float(key, expected, f64::MIN_POSITIVE..1.0)
                .map(Amount::Share),
            _ => self.integer(key, expected, 1..).map(Amount::Count),
        }
    }

    /// A truth value with a default: `None` only after a problem.
    pub(super) fn boolean_or(&self, key: &str, default: bool) -> Option<bool> {
        match self.get(key) {
            None => Some(default),
            Some(Value::Boolean(value)) => Some(*value),
            Some(other) => {
                self.wrong_type(key, "true or false", other);
                None
            }
        }
    }

    /// A text that may be absent.
    pub(super) fn text(&self, key: &str, expected: &str) -> Option<&'a str> {
        match self.get(key)? {
            Value::String(text) => Some(text),
            other => {
                self.wrong_type(key, expected, other);
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn required_text(&self, key: &str, expected: &str) -> Option<&'a str> {
        self.require(key, expected);
        self.text(key, expected)
    }

    /// One of some named values, if the key is there.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let expected = format!("one of {}", names.join(", "));
        let text = self.text(key, &expected)?;
        let found = choices.iter().find(|(name, _)| *name == text);
        self.checked(key, &expected, format!("`{text}`"), found.is_some())?;
        found.map(|(_, value)| *value)
    }

    /// One of some named values, with a default: `None` only after a problem.
    pub(super) fn choice_or<T: Copy>(
        &self,
        key: &str,
        default: T,
        choices: &[(&str, T)],
    ) -> Option<T> {
        match self.has(key) {
            true => self.choice(key, choices),
            false => {
                self.get(key);
                Some(default)
            }
        }
    }

    /// One of some named values.
    pub(super) fn required_choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.require(key, &format!("one of {}", names.join(", ")));
        self.choice(key, choices)
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for key in self.table.keys().filter(|key| !asked.contains(key)) {
            let near = asked
                .iter()
                .min_by_key(|known| distance(key, known))
                .filter(|known| distance(key, known) <= 2);
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if asked.is_empty() => "remove it".to_owned(),
                None => format!("known here: {}", asked.join(", ")),
            };
            self.problem(codes::CONFIG_UNKNOWN_KEY, key, "unknown key", &help);
        }
    }

    fn require(&self, key: &str, expected: &str) {
        if !self.has(key) {
            self.missing(key, expected);
        }
    }

    fn checked<T: Display>(&self, key: &str, expected: &str, found: T, good: bool) -> Option<T> {
        if good {
            return Some(found);
        }
        self.problem(
            codes::CONFIG_VALUE,
            key,
            &format!("expected {expected}, found {found}"),
            &format!("write {expected}"),
        );
        None
    }
}

/// A whole number written for a float.
#[expect(clippy::cast_precision_loss, reason = "that is what is asked for")]
fn whole(number: i64) -> f64 {
    number as f64
}

/// Edit distance, for suggestions.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn edit_distances() {
        assert_eq!(distance("batch", "batch"), 0);
        assert_eq!(distance("bacth", "batch"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("epoch", "epochs"), 1);
    }
}

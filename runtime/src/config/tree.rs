//! The TOML tree before it is read: the file and the overrides of the command line.

use std::path::{Path, PathBuf};

use nirc_ir::{Diagnostic, codes};
use toml::{Table, Value};

use crate::file;

/// A configuration file's keys and values, with overrides applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The file's name, for messages.
    pub(super) name: String,
    /// Directory against which paths in the file are resolved.
    pub(super) directory: PathBuf,
    pub(super) table: Table,
}

impl Tree {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is not TOML.
    pub fn read(path: &Path) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        let text = String::from_utf8(file::read(path)?).map_err(|error| {
            syntax(
                &name,
                &format!("not UTF-8 after byte {}", error.utf8_error().valid_up_to()),
            )
        })?;
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&name, directory, &text)
    }

    /// Reads a text; `name` stands in messages, and relative paths start from `directory`.
    ///
    /// # Errors
    /// When it is not TOML.
    pub fn parse(name: &str, directory: PathBuf, text: &str) -> Result<Self, Diagnostic> {
        let table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| {
                1 + text.as_bytes()[..span.start.min(text.len())]
                    .iter()
                    .filter(|b| **b == b'\n')
                    .count()
            });
            syntax(&format!("{name}:{line}"), error.message())
        })?;
        Ok(Self {
            name: name.to_owned(),
            directory,
            table,
        })
    }

    /// Applies `key=value`: a dotted key, and a TOML value or a bare word.
    ///
    /// # Errors
    /// When there is no `=`, a part of the key is empty, or the path leads through a value.
    pub fn set(&mut self, assignment: &str) -> Result<(), Diagnostic> {
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(override_error(assignment, "there is no `=` in it"));
        };
        self.set_value(key.trim(), parse_value(value.trim()))
    }

    /// Sets a dotted key, creating tables on the way.
    ///
    /// # Errors
    /// When a part of the key is empty or the path leads through a value.
    pub fn set_value(&mut self, key: &str, value: Value) -> Result<(), Diagnostic> {
        let mut parts = key_parts(key);
        if parts.iter().any(String::is_empty) {
            return Err(override_error(key, "a part of the key is empty"));
        }
        let last = parts.pop().unwrap_or_default();
        let mut table = &mut self.table;
        for part in parts {
            let entry = table
                .entry(part.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = entry else {
                return Err(override_error(
                    key,
                    &format!("`{part}` is a value, not a section"),
                ));
            };
            table = inner;
        }
        table.insert(last, value);
        Ok(())
    }
}

/// The parts of a dotted key; one that has a dot itself stands in quotes, as TOML has it.
fn key_parts(key: &str) -> Vec<String> {
    let document: Result<Table, _> = format!("{key} = 0").parse();
    let Ok(mut table) = document else {
        return key.split('.').map(str::to_owned).collect();
    };
    let mut parts = Vec::new();
    while let Some(part) = table.keys().next().cloned() {
        let inner = table.remove(&part);
        parts.push(part);
        table = match inner {
            Some(Value::Table(inner)) => inner,
            _ => Table::new(),
        };
    }
    parts
}

/// A TOML value where the text is one, the text itself otherwise.
fn parse_value(text: &str) -> Value {
    let document: Result<Table, _> = format!("value = {text}").parse();
    match document {
        Ok(mut table) if table.len() == 1 => table.remove("value"),
        _ => None,
    }
    .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn syntax(place: &str, message: &str) -> Diagnostic {
    Diagnostic::error(codes::CONFIG_SYNTAX, place, message.trim())
        .help("the configuration is a TOML file, see https://toml.io")
}

fn override_error(what: &str, message: &str) -> Diagnostic {
    Diagnostic::error(codes::CONFIG_VALUE, format!("--set {what}"), message)
        .help("write --set section.key=value, such as --set training.batch=11")
}

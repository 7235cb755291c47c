//! Reading target files: every problem is noted, none ends the reading.

use toml::{Table as Toml, Value};

use super::{Conflict, Row, TargetProblem, Trust};

/// A file taken apart: entries by name, with problems noted on the way.
pub(super) struct Reader {
    sources: Vec<(String, String)>,
    entries: Vec<Entry>,
    conflicts: Vec<Conflict>,
    problems: Vec<TargetProblem>,
}

struct Entry {
    row: Row,
    value: Value,
    used: bool,
}

/// A table whose fields are read by name.
pub(super) trait Table {
    fn read(reader: &mut Reader, table: &str) -> Self;
}

/// What an entry's value, or a table of entries, can become.
pub(super) trait Read: Default {
    fn read(reader: &mut Reader, name: &str) -> Self;
}

impl<T: Table + Default> Read for T {
    fn read(reader: &mut Reader, name: &str) -> Self {
        Table::read(reader, name)
    }
}

macro_rules! scalars {
    ($($type:ty, $expected:literal, $convert:expr;)*) => {
        $(
            impl Read for $type {
                fn read(reader: &mut Reader, name: &str) -> Self {
                    let convert: fn(&Value) -> Option<$type> = $convert;
                    reader.entry(name, $expected, convert)
                }
            }
        )*
    };
}

scalars! {
    u8, "an integer from 0 to 255", small;
    u32, "an integer from 0 to 4294967295", |v| v.as_integer()?.try_into().ok();
    u64, "an integer, not negative", |v| v.as_integer()?.try_into().ok();
    f64, "a number", |v| v.as_float().filter(|f| f.is_finite());
    String, "a string", |v| Some(v.as_str()?.to_string());
    (u8, u8), "a pair of integers from 0 to 255", pair;
    Vec<u8>, "a list of integers from 0 to 255", |v| v.as_array()?.iter().map(small).collect();
    Vec<(u8, u8)>, "a list of pairs of integers from 0 to 255", |v| v.as_array()?.iter().map(pair).collect();
}

fn small(value: &Value) -> Option<u8> {
    value.as_integer()?.try_into().ok()
}

fn pair(value: &Value) -> Option<(u8, u8)> {
    match value.as_array()?.as_slice() {
        [x, y] => Some((small(x)?, small(y)?)),
        _ => None,
    }
}

impl Reader {
    /// Takes a file apart; only text that is no TOML ends it here.
    pub(super) fn new(text: &str) -> Result<Reader, Vec<TargetProblem>> {
        let mut root: Toml = text
            .parse()
            .map_err(|error: toml::de::Error| vec![TargetProblem::Toml(error.to_string())])?;
        let mut reader = Reader {
            sources: Vec::new(),
            entries: Vec::new(),
            conflicts: Vec::new(),
            problems: Vec::new(),
        };
        let sources = root.remove("sources");
        reader.read_sources(sources);
        if let Some(conflicts) = root.remove("conflict") {
            reader.read_conflicts(conflicts);
        }
        reader.read_table("", root);
        Ok(reader)
    }

    pub(super) fn get<T: Read>(&mut self, name: &str) -> T {
        T::read(self, name)
    }

    pub(super) fn sources(&self) -> Vec<(String, String)> {
        self.sources.clone()
    }

    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        self.conflicts.clone()
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        self.entries.iter().map(|entry| entry.row.clone()).collect()
    }

    /// All problems, entries that nothing asked for among them.
    pub(super) fn finish(mut self) -> Vec<TargetProblem> {
        let unknown = self.entries.iter().filter(|entry| !entry.used);
        self.problems
            .extend(unknown.map(|entry| TargetProblem::Unknown(entry.row.name.clone())));
        for conflict in &self.conflicts {
            let known = |name: &String| self.entries.iter().any(|entry| entry.row.name == *name);
            for name in conflict.used.iter().filter(|name| !known(name)) {
                let problem = TargetProblem::Missing(name.clone());
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
            }
        }
        self.problems
    }

    fn entry<T: Default>(
        &mut self,
        name: &str,
        expected: &'static str,
        convert: fn(&Value) -> Option<T>,
    ) -> T {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.row.name == name) else {
            self.problems.push(TargetProblem::Missing(name.to_string()));
            return T::default();
        };
        entry.used = true;
        convert(&entry.value).unwrap_or_else(|| {
            self.problems.push(TargetProblem::Type {
                name: name.to_string(),
                expected,
                found: entry.value.to_string(),
            });
            T::default()
        })
    }

    fn read_sources(&mut self, sources: Option<Value>) {
        let Some(Value::Table(sources)) = sources else {
            self.problems
                .push(TargetProblem::Missing("sources".to_string()));
            return;
        };
        for (key, text) in sources {
            match text {
                Value::String(text) => self.sources.push((key, text)),
                other => self.wrong(format!("sources.{key}"), "a string", &other),
            }
        }
    }

    fn read_table(&mut self, prefix: &str, table: Toml) {
        for (key, value) in table {
            let name = if prefix.is_empty() {
                key
            } else {
                format!("{prefix}.{key}")
            };
            match value {
                Value::Table(table) if table.contains_key("value") => {
                    let (row, value) = self.read_entry(name, table);
                    self.entries.push(Entry {
                        row,
                        value,
                        used: false,
                    });
                }
                Value::Table(table) => self.read_table(&name, table),
                _ => self.problems.push(TargetProblem::Bare(name)),
            }
        }
    }

    fn read_entry(&mut self, name: String, mut table: Toml) -> (Row, Value) {
        let value = table.remove("value").unwrap_or(Value::Boolean(false));
        let source = self.source(&name, table.remove("source"));
        let trust = self.trust(&name, table.remove("trust"));
        let unit = match table.remove("unit") {
            None => String::new(),
            Some(Value::String(unit)) => unit,
            Some(other) => {
                self.wrong(format!("{name}.unit"), "a string", &other);
                String::new()
            }
        };
        for (key, _) in table {
            self.problems.push(TargetProblem::Key {
                name: name.clone(),
                key,
            });
        }
        let row = Row {
            name,
            value: display(&value, &unit),
            source,
            trust,
        };
        (row, value)
    }

    fn source(&mut self, name: &str, source: Option<Value>) -> String {
        if let Some(Value::String(text)) = &source {
            let key = text.split([' ', ',', ';', ':']).next().unwrap_or_default();
            if self.sources.iter().any(|(known, _)| known == key) {
                return text.clone();
            }
        }
        self.problems.push(TargetProblem::Source {
            name: name.to_string(),
            found: found(source),
        });
        String::new()
    }

    fn trust(&mut self, name: &str, trust: Option<Value>) -> Trust {
        let known = [Trust::Production, Trust::Prototype, Trust::Assumed]
            .into_iter()
            .find(|known| trust.as_ref().and_then(Value::as_str) == Some(known.name()));
        known.unwrap_or_else(|| {
            self.problems.push(TargetProblem::Trust {
                name: name.to_string(),
                found: found(trust),
            });
            Trust::Assumed
        })
    }

    fn read_conflicts(&mut self, conflicts: Value) {
        let Value::Table(conflicts) = conflicts else {
            self.wrong("conflict".to_string(), "a table", &conflicts);
            return;
        };
        for (key, conflict) in conflicts {
            let name = format!("conflict.{key}");
            match conflict {
                Value::Table(table) => self.read_conflict(&name, table),
                other => self.wrong(name, "a table", &other),
            }
        }
    }

    fn read_conflict(&mut self, name: &str, mut table: Toml) {
        let mut text = |reader: &mut Reader, key: &str| match table.remove(key) {
            Some(Value::String(text)) => text,
            Some(other) => {
                reader.wrong(format!("{name}.{key}"), "a string", &other);
                String::new()
            }
            None => {
                reader
                    .problems
                    .push(TargetProblem::Missing(format!("{name}.{key}")));
                String::new()
            }
        };
        let topic = text(self, "topic");
        let used = Some(text(self, "used")).filter(|used| used != "none" && !used.is_empty());
        let mut answers = Vec::new();
        for (key, answer) in table {
            let name = format!("{name}.{key}");
            match answer {
                Value::Table(table) if table.contains_key("value") => {
                    answers.push(self.read_entry(name, table).0);
                }
                _ => self.problems.push(TargetProblem::Bare(name)),
            }
        }
        self.conflicts.push(Conflict {
            topic,
            used,
            answers,
        });
    }

    fn wrong(&mut self, name: String, expected: &'static str, value: &Value) {
        self.problems.push(TargetProblem::Type {
            name,
            expected,
            found: value.to_string(),
        });
    }
}

fn found(value: Option<Value>) -> String {
    value.map_or_else(|| "none".to_string(), |value| value.to_string())
}

fn display(value: &Value, unit: &str) -> String {
    let text = match (value, unit) {
        (Value::Integer(n), "address" | "bits") => return format!("0x{n:X}"),
        (Value::String(text), _) => text.clone(),
        (Value::Array(items), _) => {
            let items: Vec<String> = items.iter().map(|item| display(item, "")).collect();
            format!("({})", items.join(" "))
        }
        (value, _) => value.to_string(),
    };
    if unit.is_empty() {
        text
    } else {
        format!("{text} {unit}")
    }
}

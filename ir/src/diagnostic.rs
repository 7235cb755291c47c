//! User-facing problems: a stable code, a severity, a place, a message with numbers, and a remedy.
//!
//! Library errors are `thiserror` enums; what a person must mend is a [`Diagnostic`]. Passes collect
//! all of them in [`Diagnostics`] and only then fail, so that one run shows every problem.

use std::fmt;

use serde::Serialize;

use crate::codes;

/// How bad it is: an [`Severity::Error`] stops the stage, the others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something was repaired or assumed, and the user should know.
    Note,
    /// Legal, but probably not what was meant.
    Warning,
    /// The stage cannot produce a result.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One problem, complete enough to act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable code, such as `N0203`; see [`crate::codes`].
    pub code: &'static str,
    /// Error, warning or note.
    pub severity: Severity,
    /// Where: a node's path in the graph, a configuration key, a file, a line of text.
    pub place: String,
    /// What was expected and what was found, with the numbers.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at `place`.
    pub fn error(code: &'static str, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, place.into(), message.into())
    }

    /// A warning at `place`.
    pub fn warning(
        code: &'static str,
        place: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(code, Severity::Warning, place.into(), message.into())
    }

    /// A note at `place`.
    pub fn note(code: &'static str, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Note, place.into(), message.into())
    }

    /// With what usually helps, until the problem at hand says better; a note needs nothing done.
    fn new(code: &'static str, severity: Severity, place: String, message: String) -> Self {
        let remedy = match severity {
            Severity::Note => None,
            Severity::Warning | Severity::Error => codes::remedy(code),
        };
        Self {
            code,
            severity,
            place,
            message,
            help: remedy.map(str::to_owned),
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: ", self.severity, self.code)?;
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// All problems a stage found, in the order in which it found them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Those that concern the whole, and so have no place, get this one.
    #[must_use]
    pub fn placed_at(mut self, place: &str) -> Self {
        for problem in self.0.iter_mut().filter(|p| p.place.is_empty()) {
            place.clone_into(&mut problem.place);
        }
        self
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// `Ok` with the value if there is no error among them, all of them otherwise.
    ///
    /// # Errors
    /// `self`, when it holds at least one error.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.has_errors() {
            Err(self)
        } else {
            Ok(value)
        }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

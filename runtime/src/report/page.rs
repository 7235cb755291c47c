//! Pages from templates.

use minijinja::Environment;
use minijinja::value::Serde;
use nirc_ir::{Diagnostic, codes};
use serde::Serialize;

const TEMPLATES: [(&str, &str); 5] = [
    ("style.html", include_str!("style.html")),
    ("chip.html", include_str!("chip.html")),
    ("training.html", include_str!("training.html")),
    ("forward.html", include_str!("forward.html")),
    ("gradcheck.html", include_str!("gradcheck.html")),
];

/// A headline number.
#[derive(Serialize)]
pub(super) struct Tile {
    value: String,
    label: String,
}

impl Tile {
    /// A value, and what it is.
    pub(super) fn new(value: String, label: &str) -> Self {
        Self {
            value,
            label: label.to_owned(),
        }
    }
}

/// A template filled in.
pub(super) fn render(template: &str, page: &impl Serialize) -> Result<String, Diagnostic> {
    let render = || {
        let mut environment = Environment::new();
        for (name, text) in TEMPLATES {
            environment.add_template(name, text)?;
        }
        environment.get_template(template)?.render(Serde(page))
    };
    render().map_err(|error: minijinja::Error| {
        Diagnostic::error(codes::FILE_UNWRITABLE, template, error.to_string())
    })
}

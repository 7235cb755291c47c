//! Diagnostics and results on the terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use nirc_ir::{Diagnostic, Diagnostics, Severity, codes};

/// Shows all of them on standard error.
pub(crate) fn diagnostics(problems: &Diagnostics, json: bool) {
    for problem in &problems.0 {
        diagnostic(problem, json);
    }
}

/// Shows one on standard error: a JSON object on a line of its own, or text in colour where there is
/// a terminal.
pub(crate) fn diagnostic(problem: &Diagnostic, json: bool) {
    let text = if json {
        serde_json::to_string(problem).unwrap_or_else(|_| problem.to_string())
    } else {
        render(problem, colourful())
    };
    // Nobody reads the errors of a closed standard error.
    let _ = writeln!(io::stderr(), "{text}");
}

fn colourful() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

fn render(problem: &Diagnostic, colour: bool) -> String {
    let paint = |code: &str, text: &str| match colour {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    let severity = match problem.severity {
        Severity::Error => "31;1",
        Severity::Warning => "33;1",
        Severity::Note => "36;1",
    };
    let head = format!("{}[{}]", problem.severity, problem.code);
    let mut text = paint(severity, &head);
    if !problem.place.is_empty() {
        text.push_str(&format!(" {}", paint("1", &problem.place)));
    }
    text.push_str(&format!("\n  {}", problem.message.replace('\n', "\n  ")));
    if let Some(help) = &problem.help {
        text.push_str(&format!("\n  {} {help}", paint("32", "help:")));
    }
    text
}

/// Writes a line of result to standard output. A reader that went away, as in `nirc … | head`, is no
/// error; a result that is lost otherwise, as on a full disk, ends the command.
pub(crate) fn line(text: impl Display) {
    let Err(error) = writeln!(io::stdout().lock(), "{text}") else {
        return;
    };
    if error.kind() != io::ErrorKind::BrokenPipe {
        let message = format!("cannot be written: {error}");
        let problem = Diagnostic::error(codes::FILE_UNWRITABLE, "standard output", message);
        diagnostic(&problem, false);
        std::process::exit(1);
    }
}

/// Writes a result as a line of JSON.
pub(crate) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => line(text),
        Err(error) => line(serde_json::json!({ "error": error.to_string() })),
    }
}

/// A number of things, as in `1 error` and `2 errors`.
pub(crate) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// A table with aligned columns.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut head.iter().copied())];
    lines.extend(
        rows.iter()
            .map(|row| line(&mut row.iter().map(String::as_str))),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnostics_show_code_place_and_help() {
        let problem = Diagnostic::error("N0303", "c.toml: training.batch", "expected 1, found 0")
            .help("write 1");
        assert_eq!(
            render(&problem, false),
            "error[N0303] c.toml: training.batch\n  expected 1, found 0\n  help: write 1"
        );
        assert!(render(&problem, true).starts_with("\x1b[31;1merror[N0303]\x1b[0m"));
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [
            vec!["input".to_owned(), "5".to_owned()],
            vec!["x".to_owned(), "12".to_owned()],
        ];
        assert_eq!(
            table(&["name", "n"], &rows),
            "name   n\ninput  5\nx      12"
        );
    }
}

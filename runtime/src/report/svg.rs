//! The little SVG that the report needs.

use std::fmt::{Display, Write};

/// A drawing under construction.
pub(super) struct Svg {
    width: f64,
    height: f64,
    label: String,
    body: String,
}

impl Svg {
    /// An empty drawing of this size; `label` says to screen readers what it shows.
    pub(super) fn new(width: f64, height: f64, label: &str) -> Self {
        Self {
            width,
            height,
            label: escape(label),
            body: String::new(),
        }
    }

    /// A straight line.
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.push(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    /// Connected lines.
    pub(super) fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut text = String::new();
        for (x, y) in points {
            let _ = write!(text, "{x:.1},{y:.1} ");
        }
        let text = text.trim_end();
        self.push(format_args!(
            r#"<polyline class="{class}" points="{text}"/>"#
        ));
    }

    /// A disc, with a hint that shows under the pointer.
    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, hint: &str) {
        let title = title(hint);
        self.push(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}">{title}</circle>"#
        ));
    }

    /// Many dots at once, in one path and without hints.
    pub(super) fn dots(&mut self, class: &str, places: &[(f64, f64)]) {
        let mut text = String::new();
        for (x, y) in places {
            let _ = write!(text, "M{x:.1} {y:.1}h0");
        }
        self.push(format_args!(r#"<path class="{class}" d="{text}"/>"#));
    }

    /// A rectangle with rounded corners.
    pub(super) fn rect(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        radius: f64,
        hint: &str,
    ) {
        let title = title(hint);
        self.push(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="{radius}">{title}</rect>"#
        ));
    }

    /// Text; `anchor` is `start`, `middle` or `end`.
    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
        let text = escape(text);
        self.push(format_args!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.body, "{element}");
    }
}

impl Display for Svg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            width,
            height,
            label,
            body,
        } = self;
        write!(
            f,
            r#"<svg role="img" aria-label="{label}" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
{body}</svg>"#
        )
    }
}

fn title(hint: &str) -> String {
    if hint.is_empty() {
        String::new()
    } else {
        format!("<title>{}</title>", escape(hint))
    }
}

/// Text as XML allows it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_the_drawing() {
        let mut svg = Svg::new(10.0, 10.0, "a\"b");
        svg.text("t", (0.0, 0.0), "start", "</text><script>\u{1}");
        let text = svg.to_string();
        assert!(text.contains("aria-label=\"a&quot;b\""));
        assert!(text.contains("&lt;/text&gt;&lt;script&gt; </text>"));
    }
}

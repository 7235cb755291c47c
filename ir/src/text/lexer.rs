//! Lines and tokens of an IR text.

use super::{Element, Externals, digest};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// One token of a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name, a keyword or a number.
    Word(String),
    /// A quoted string.
    Text(String),
    /// One of `= : , ( ) [ ] { }` or `->`.
    Mark(&'static str),
}

/// The non-empty lines of a text, with a cursor.
pub(super) struct Lines {
    lines: Vec<(usize, Vec<Token>)>,
    next: usize,
    problems: Diagnostics,
}

impl Lines {
    /// Splits a text; lines that have no tokens do not count.
    pub(super) fn new(text: &str) -> Self {
        let mut lines = Vec::new();
        let mut problems = Diagnostics::new();
        for (i, line) in text.lines().enumerate() {
            match tokens(line) {
                Ok(tokens) if tokens.is_empty() => {}
                Ok(tokens) => lines.push((i + 1, tokens)),
                Err(message) => problems.push(syntax(i + 1, message)),
            }
        }
        Self {
            lines,
            next: 0,
            problems,
        }
    }

    /// The next line, if there is one.
    pub(super) fn next(&mut self) -> Option<Line> {
        let (number, tokens) = self.lines.get(self.next)?;
        self.next += 1;
        Some(Line {
            number: *number,
            tokens: tokens.clone(),
            at: 0,
        })
    }

    /// The first word of the next line.
    pub(super) fn peek(&self) -> Option<&str> {
        match self.lines.get(self.next)?.1.first()? {
            Token::Word(word) => Some(word),
            Token::Mark(mark) => Some(mark),
            Token::Text(_) => None,
        }
    }

    /// The number of the line that was read last.
    pub(super) fn number(&self) -> usize {
        let last = self.next.checked_sub(1).and_then(|at| self.lines.get(at));
        last.map_or(0, |(number, _)| *number)
    }

    /// Reads the next line whole with `f`; a problem is noted and nothing returned.
    pub(super) fn read<T>(&mut self, f: impl FnOnce(&mut Line) -> Parsed<T>) -> Option<T> {
        let mut line = self.next()?;
        match f(&mut line).and_then(|value| line.done().map(|()| value)) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(line.number, message);
                None
            }
        }
    }

    /// Notes a problem, to be reported with all others.
    pub(super) fn problem(&mut self, line: usize, message: String) {
        self.problems.push(syntax(line, message));
    }

    /// All problems, or the value.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, Diagnostics> {
        if let Some(line) = self.next() {
            self.problem(line.number, "text after the end".into());
        }
        match value {
            Some(value) => self.problems.into_result(value),
            None => {
                if !self.problems.has_errors() {
                    self.problem(0, "the text ends early".into());
                }
                Err(self.problems)
            }
        }
    }
}

fn syntax(line: usize, message: String) -> Diagnostic {
    Diagnostic::error(codes::TEXT_SYNTAX, format!("line {line}"), message)
}

/// One line and how far it is read.
pub(super) struct Line {
    /// Its number, from 1.
    pub(super) number: usize,
    tokens: Vec<Token>,
    at: usize,
}

/// What is wrong with a line.
pub(super) type Parsed<T> = Result<T, String>;

impl Line {
    /// The next token without taking it.
    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// Whether everything is read.
    pub(super) fn is_done(&self) -> bool {
        self.at == self.tokens.len()
    }

    /// Requires that everything is read.
    pub(super) fn done(&self) -> Parsed<()> {
        match self.peek() {
            None => Ok(()),
            Some(token) => Err(format!("unexpected {}", show(token))),
        }
    }

    fn take(&mut self, expected: &str) -> Parsed<Token> {
        let token = self
            .tokens
            .get(self.at)
            .cloned()
            .ok_or_else(|| format!("expected {expected}, found the end of the line"))?;
        self.at += 1;
        Ok(token)
    }

    /// Takes `word` if it comes next.
    pub(super) fn accept(&mut self, word: &str) -> bool {
        let found = match self.peek() {
            Some(Token::Word(w)) => w == word,
            Some(Token::Mark(m)) => *m == word,
            _ => false,
        };
        self.at += usize::from(found);
        found
    }

    /// Requires `word` next.
    pub(super) fn expect(&mut self, word: &str) -> Parsed<()> {
        if self.accept(word) {
            return Ok(());
        }
        match self.peek() {
            Some(token) => Err(format!("expected `{word}`, found {}", show(token))),
            None => Err(format!("expected `{word}`, found the end of the line")),
        }
    }

    /// A word.
    pub(super) fn word(&mut self) -> Parsed<String> {
        match self.take("a word")? {
            Token::Word(word) => Ok(word),
            other => Err(format!("expected a word, found {}", show(&other))),
        }
    }

    /// A name, plain or quoted.
    pub(super) fn name(&mut self) -> Parsed<String> {
        match self.take("a name")? {
            Token::Word(name) | Token::Text(name) => Ok(name),
            other => Err(format!("expected a name, found {}", show(&other))),
        }
    }

    /// A number.
    pub(super) fn number<T: std::str::FromStr>(&mut self) -> Parsed<T> {
        let word = self.word()?;
        word.parse()
            .map_err(|_| format!("expected a number, found `{word}`"))
    }

    /// An entity such as `pop3`.
    pub(super) fn entity<E: crate::entity::Entity>(&mut self, prefix: &str) -> Parsed<E> {
        let word = self.word()?;
        word.strip_prefix(prefix)
            .and_then(|digits| digits.parse::<u32>().ok())
            .map(|index| E::new(index as usize))
            .ok_or_else(|| format!("expected {prefix}N, found `{word}`"))
    }

    /// `key = number`.
    pub(super) fn field<T: std::str::FromStr>(&mut self, key: &str) -> Parsed<T> {
        self.expect(key)?;
        self.expect("=")?;
        self.number()
    }

    /// A list of numbers in brackets, `number x count` for equal ones in a row.
    pub(super) fn numbers<T: std::str::FromStr + Clone>(&mut self) -> Parsed<Vec<T>> {
        self.expect("[")?;
        let mut values = Vec::new();
        if self.accept("]") {
            return Ok(values);
        }
        loop {
            let value: T = self.number()?;
            let count: usize = match self.accept("x") {
                true => self.number()?,
                false => 1,
            };
            if count > MOST_VALUES - values.len() {
                return Err(format!("expected at most {MOST_VALUES} values in a list"));
            }
            values.resize(values.len() + count, value);
            if self.accept("]") {
                return Ok(values);
            }
            self.expect(",")?;
        }
    }

    /// A list of numbers in brackets.
    pub(super) fn list<T: std::str::FromStr>(&mut self) -> Parsed<Vec<T>> {
        self.expect("[")?;
        let mut values = Vec::new();
        if self.accept("]") {
            return Ok(values);
        }
        loop {
            values.push(self.number()?);
            if self.accept("]") {
                return Ok(values);
            }
            self.expect(",")?;
        }
    }

    /// The values of the tensor `name`: a list, or the digest of an external.
    pub(super) fn values<T: Element + std::str::FromStr>(
        &mut self,
        name: &str,
        externals: &Externals,
    ) -> Parsed<Vec<T>> {
        if !self.accept("external") {
            return self.numbers();
        }
        let hash = self.word()?;
        let values = externals
            .get(name)
            .and_then(T::of)
            .ok_or_else(|| format!("the values of `{name}` are not given"))?;
        let found = format!("{:016x}", digest(values));
        if found == hash {
            Ok(values.to_vec())
        } else {
            Err(format!(
                "the values of `{name}` have the digest {found}, not {hash}"
            ))
        }
    }
}

fn show(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("`{word}`"),
        Token::Text(text) => format!("{text:?}"),
        Token::Mark(mark) => format!("`{mark}`"),
    }
}

/// More than any text of ours has; a count in a text does not say how much memory is taken.
const MOST_VALUES: usize = 1 << 22;

const MARKS: [&str; 9] = ["=", ":", ",", "(", ")", "[", "]", "{", "}"];

fn tokens(line: &str) -> Parsed<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while let Some(c) = rest.chars().next() {
        if c == ';' {
            break;
        }
        if let Some(after) = rest.strip_prefix("->") {
            tokens.push(Token::Mark("->"));
            rest = after;
        } else if let Some(mark) = MARKS.iter().find(|m| rest.starts_with(**m)) {
            tokens.push(Token::Mark(mark));
            rest = &rest[mark.len()..];
        } else if c == '"' {
            let (text, after) = quoted(rest)?;
            tokens.push(Token::Text(text));
            rest = after;
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || "=:,()[]{};\"".contains(c))
                .unwrap_or(rest.len());
            let end = rest[..end].find("->").unwrap_or(end);
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// Undoes Rust's debug quoting.
fn quoted(text: &str) -> Parsed<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((out, &text[i + 1..])),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('0') => out.push('\0'),
                Some('u') => out.push(unicode(&mut chars)?),
                Some(c @ ('"' | '\\' | '\'')) => out.push(c),
                _ => return Err("an unknown escape in a string".into()),
            },
            c => out.push(c),
        }
    }
    Err("a string without an end".into())
}

fn unicode(chars: &mut impl Iterator<Item = (usize, char)>) -> Parsed<char> {
    let digits: String = chars
        .skip_while(|(_, c)| *c == '{')
        .map(|(_, c)| c)
        .take_while(|c| *c != '}')
        .collect();
    u32::from_str_radix(&digits, 16)
        .ok()
        .and_then(char::from_u32)
        .ok_or_else(|| format!("`\\u{{{digits}}}` is no character"))
}

#[cfg(test)]
mod tests {
    use super::super::numbers;
    use super::*;

    fn read(text: &str) -> Result<Vec<f64>, String> {
        let tokens = tokens(text)?;
        let number = 1;
        Line {
            number,
            tokens,
            at: 0,
        }
        .numbers()
    }

    #[test]
    fn equal_values_in_a_row_are_counted_and_read_again() {
        let mixed = [vec![0.5; 3], vec![-0.0; 4], vec![0.0; 5], vec![1.5]].concat();
        let text = numbers(&mixed);
        assert_eq!(text, "[0.5, 0.5, 0.5, -0.0 x 4, 0.0 x 5, 1.5]");
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read(&text).expect("a list")), bits(&mixed));
        assert_eq!(read("[]"), Ok(vec![]));
    }

    #[test]
    fn a_count_without_bounds_is_refused() {
        let problem = read("[0.0 x 18446744073709551615, 1.0]").expect_err("too many");
        assert!(problem.contains("at most"), "{problem}");
        assert!(read("[0.0 x -1]").is_err());
    }
}

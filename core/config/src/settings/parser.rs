//! The grammar of strongswan.conf.

use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Error, Section, Value};
use crate::{include, octets};

/// Files may include others this deep, and sections be nested so; a loop ends here.
const MAX_DEPTH: usize = 20;

/// What one file and those that it includes have come to.
#[derive(Debug, Default)]
pub(super) struct Progress {
    files: usize,
    /// What may be a mistake, with file and line.
    pub(super) notes: Vec<String>,
}

/// Reads a file into a section.
pub(super) fn file(path: &Path, into: &mut Section, progress: &mut Progress) -> Result<(), Error> {
    included(path, into, 0, progress)
}

/// Reads text into a section; `path` is for messages and for relative includes.
pub(super) fn text(
    text: &str,
    path: &Path,
    into: &mut Section,
    progress: &mut Progress,
) -> Result<(), Error> {
    Parser::new(text, path, 0, progress).whole(into)
}

fn included(path: &Path, into: &mut Section, depth: usize, progress: &mut Progress) -> Result<(), Error> {
    let content = fs::read(path).map_err(|error| Error::Open {
        file: path.display().to_string(),
        reason: include::reason(&error),
    })?;
    // There may be secrets in it.
    let content = Zeroizing::new(content);
    if let Some(line) = octets::lone_return(&content) {
        return Err(Error::Syntax {
            file: path.display().to_string(),
            line,
            expected: octets::LONE_RETURN.into(),
        });
    }
    let text = Zeroizing::new(octets::hold(&content));
    Parser::new(&text, path, depth, progress).whole(into)
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    path: &'a Path,
    /// How many files include this one.
    depth: usize,
    progress: &'a mut Progress,
    /// The last line with a value that has a `{` outside quotes.
    brace: Option<usize>,
}

/// Characters that no name has.
fn ends_name(c: char) -> bool {
    c.is_whitespace() || matches!(c, '.' | ',' | ':' | '{' | '}' | '=' | '"' | '#')
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, path: &'a Path, depth: usize, progress: &'a mut Progress) -> Self {
        Self {
            rest: text,
            line: 1,
            path,
            depth,
            progress,
            brace: None,
        }
    }

    fn whole(&mut self, into: &mut Section) -> Result<(), Error> {
        match self.peek() {
            Some('\u{feff}') => {
                Err(self.error("the file begins with a byte order mark, save it as UTF-8 without one"))
            }
            _ => self.section(into, 0),
        }
    }

    /// An error about braces that do not match, which a value may be the reason of.
    fn unmatched(&self, what: String) -> Error {
        match self.brace {
            Some(line) => self.error(format!("{what}; the value in line {line} has a '{{', quote it")),
            None => self.error(what),
        }
    }

    fn error(&self, expected: impl Into<String>) -> Error {
        Error::Syntax {
            file: self.path.display().to_string(),
            line: self.line,
            expected: expected.into(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    /// Skips blanks and comments; with `lines` ends of lines too.
    fn skip(&mut self, lines: bool) {
        while let Some(c) = self.peek() {
            if c == '#' {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
            } else if c.is_whitespace() && (lines || c != '\n') {
                self.next();
            } else {
                return;
            }
        }
    }

    fn name(&mut self) -> &'a str {
        let end = self.rest.find(ends_name).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name
    }

    /// Everything up to the closing brace, or the end of the text at the top.
    fn section(&mut self, into: &mut Section, nesting: usize) -> Result<(), Error> {
        if nesting > MAX_DEPTH {
            return Err(self.error(format!("sections are nested more than {MAX_DEPTH} deep")));
        }
        loop {
            self.skip(true);
            match self.peek() {
                None if nesting == 0 => return Ok(()),
                None => return Err(self.unmatched("section is not closed, expected '}'".into())),
                Some('}') if nesting > 0 => {
                    self.next();
                    return Ok(());
                }
                Some(c) if ends_name(c) => {
                    let what = format!("unexpected '{}', expected a name", c.escape_debug());
                    return Err(self.unmatched(what));
                }
                Some(_) => self.statement(into, nesting)?,
            }
        }
    }

    fn statement(&mut self, into: &mut Section, nesting: usize) -> Result<(), Error> {
        let line = self.line;
        let name = self.name();
        if name == "include" {
            self.skip(false);
            if self.peek() != Some('=') {
                let pattern = self.value()?;
                return self.include(&pattern, into);
            }
        }
        let after = self.line;
        self.skip(true);
        match self.peek() {
            Some('=') => {
                self.next();
                let text = self.value()?;
                let place = format!("{}:{line}", self.path.display());
                into.set(name.to_owned(), Value { text, place });
                Ok(())
            }
            Some(':') => {
                self.next();
                let references = self.references()?;
                let path = self.path;
                let section = into.section_mut(name, || format!("{}:{line}", path.display()));
                section.references.extend(references);
                self.section(section, nesting + 1)
            }
            Some('{') => {
                self.next();
                let path = self.path;
                let section = into.section_mut(name, || format!("{}:{line}", path.display()));
                self.section(section, nesting + 1)
            }
            found => {
                // The mistake is where nothing follows, not where the next thing comes.
                if self.line > after {
                    self.line = line;
                    return Err(self.error(format!(
                        "unexpected end of line after '{name}', expected '=' or '{{'"
                    )));
                }
                let found =
                    found.map_or_else(|| "end of file".to_owned(), |c| format!("'{}'", c.escape_debug()));
                Err(self.error(format!("unexpected {found} after '{name}', expected '=' or '{{'")))
            }
        }
    }

    /// `ref1, a.b.ref2 {`
    fn references(&mut self) -> Result<Vec<String>, Error> {
        let mut references = Vec::new();
        loop {
            self.skip(true);
            let end = self
                .rest
                .find(|c| c != '.' && ends_name(c))
                .unwrap_or(self.rest.len());
            let (reference, rest) = self.rest.split_at(end);
            if reference.is_empty() {
                return Err(self.error("expected the name of a section to refer to"));
            }
            references.push(reference.to_owned());
            self.rest = rest;
            self.skip(true);
            match self.next() {
                Some(',') => {}
                Some('{') => return Ok(references),
                _ => return Err(self.error("expected ',' or '{' after a reference")),
            }
        }
    }

    /// Words and quoted strings up to the end of the line, joined by one blank.
    fn value(&mut self) -> Result<Zeroizing<String>, Error> {
        let mut parts: Zeroizing<Vec<String>> = Zeroizing::default();
        loop {
            while self.peek().is_some_and(|c| c.is_whitespace() && c != '\n') {
                self.next();
            }
            match self.peek() {
                None | Some('\n' | '}' | '#') => return Ok(Zeroizing::new(parts.join(" "))),
                Some('"') => parts.push(self.quoted()?),
                Some(_) => {
                    let end = self
                        .rest
                        .find(|c: char| c.is_whitespace() || matches!(c, '}' | '#' | '"'))
                        .unwrap_or(self.rest.len());
                    let (word, rest) = self.rest.split_at(end);
                    if word.contains('{') {
                        self.brace = Some(self.line);
                    }
                    parts.push(word.to_owned());
                    self.rest = rest;
                }
            }
        }
    }

    fn quoted(&mut self) -> Result<String, Error> {
        let opening = self.error("quoted string is not closed, expected '\"'");
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(opening),
                Some('"') => return Ok(text),
                Some('\\') => match self.next() {
                    None => return Err(opening),
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('\n') => {}
                    Some(other) => text.push(other),
                },
                Some(c) => text.push(c),
            }
        }
    }

    /// Includes every file that matches. That none does is no error, but may be a mistake.
    fn include(&mut self, pattern: &str, into: &mut Section) -> Result<(), Error> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(format!("files are included more than {MAX_DEPTH} deep")));
        }
        if pattern.is_empty() {
            return Err(self.error("expected a file after 'include'"));
        }
        let paths = include::matching(pattern, self.path).map_err(|hidden| self.error(hidden.to_string()))?;
        if paths.is_empty() {
            let place = format!("{}:{}", self.path.display(), self.line);
            self.progress.notes.push(include::nothing(pattern, &place));
        }
        for path in paths {
            self.progress.files += 1;
            if self.progress.files > include::MAX_FILES {
                return Err(self.error(format!("more than {} files are included", include::MAX_FILES)));
            }
            included(&path, into, self.depth + 1, self.progress)?;
        }
        Ok(())
    }
}

//! A manual page in the making.

use clap_mangen::roff::{Roff, bold, roman};

/// See the module.
pub(super) struct Page(Roff);

impl Page {
    /// A page of section 5 or 8, with a line on what it is about.
    pub(super) fn new(name: &str, section: &str, about: &str) -> Self {
        let mut page = Self(Roff::new());
        page.0.control("TH", [name, section]);
        page.heading("NAME").text(&format!("{name} - {about}"));
        page
    }

    /// The end of a page that something else begins.
    pub(super) fn part() -> Self {
        Self(Roff::new())
    }

    pub(super) fn heading(&mut self, text: &str) -> &mut Self {
        self.0.control("SH", [text]);
        self
    }

    /// A paragraph.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.0.control("PP", []).text([roman(text)]);
        self
    }

    /// A term and what it means.
    pub(super) fn term(&mut self, term: &str, meaning: &str) -> &mut Self {
        self.0.control("TP", []).text([bold(term)]).text([roman(meaning)]);
        self
    }

    /// Lines as they are.
    pub(super) fn lines(&mut self, text: &str) -> &mut Self {
        self.0.control("PP", []).control("nf", []);
        for line in text.lines() {
            self.0.text([roman(line)]);
        }
        self.0.control("fi", []);
        self
    }

    /// The source of the page.
    pub(super) fn rendered(&self) -> Vec<u8> {
        self.0.render().into_bytes()
    }

    /// Other pages.
    pub(super) fn see_also(&mut self, pages: &str) -> &mut Self {
        self.heading("SEE ALSO").text(pages)
    }
}

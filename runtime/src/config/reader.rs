//! Reads a TOML document key by key and collects all that is wrong with it,
//! each with its line, key, value and mend.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Origin, Problem};
use super::schema::{self, Key};

/// A document that is read, and the problems found so far.
pub(super) struct Document<'a> {
    /// The file's name, for messages.
    name: &'a str,
    text: &'a str,
    /// Where each line ends, in bytes.
    ends: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
}

/// A table of the document, with its place in it: `tenant[2].limits`.
#[derive(Clone)]
pub(super) struct Section<'a> {
    document: &'a Document<'a>,
    place: String,
    table: &'a DeTable<'a>,
    line: usize,
}

/// A value with its place.
#[derive(Clone)]
pub(super) struct Item<'a> {
    document: &'a Document<'a>,
    pub(super) place: String,
    value: &'a Spanned<DeValue<'a>>,
}

/// Whether a mistake of syntax is only that a key is there twice.
pub(super) fn is_twice(error: &toml::de::Error) -> bool {
    error.message() == "duplicate key"
}

impl<'a> Document<'a> {
    pub(super) fn new(name: &'a str, text: &'a str) -> Document<'a> {
        let ends = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
        Document { name, text, ends, problems: RefCell::default() }
    }

    /// Notes a mistake of syntax.
    pub(super) fn syntax(&self, error: &toml::de::Error) {
        let line = error.span().map_or(1, |span| self.line(&span));
        let said = error.message().replace('\n', ", ");
        let key = error.span().and_then(|span| self.text.get(span));
        match key.filter(|_| is_twice(error)) {
            Some(key) => self.note(line, format!("{key} is there twice; leave one of them out")),
            None => self.note(line, said),
        }
    }

    pub(super) fn root(&'a self, table: &'a DeTable<'a>) -> Section<'a> {
        Section { document: self, place: String::new(), table, line: 1 }
    }

    fn note(&self, line: usize, what: impl std::fmt::Display) {
        let origin = Origin::new(self.name, line, String::new());
        self.problems.borrow_mut().push(origin.problem(what));
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.ends.partition_point(|end| *end < span.start) + 1
    }

    /// All problems that were found.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

impl<'a> Section<'a> {
    /// Notes keys that are none of these, each with the nearest that is.
    pub(super) fn only(&self, keys: &[Key]) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if keys.iter().any(|known| known.name == name) {
                continue;
            }
            let near = keys
                .iter()
                .map(|known| (strsim::damerau_levenshtein(known.name, name), known.name));
            let mend = match (schema::home(name), near.min()) {
                (Some(home), _) => format!("it belongs {home}"),
                (None, Some((distance, near)))
                    if distance <= 3 && distance < name.chars().count() =>
                {
                    format!("did you mean {near}?")
                }
                (None, _) => {
                    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
                    format!("known are {}", names.join(", "))
                }
            };
            let line = self.document.line(&key.span());
            self.document.note(line, format!("{}: an unknown key; {mend}", self.at(name)));
        }
    }

    pub(super) fn item(&self, key: &str) -> Option<Item<'a>> {
        let value = self.table.get(key)?;
        Some(Item { document: self.document, place: self.at(key), value })
    }

    /// A text, read further by `read`; what is wrong is noted.
    pub(super) fn text<T>(
        &self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.item(key)?.text(read)
    }

    pub(super) fn section(&self, key: &str) -> Option<Section<'a>> {
        self.item(key)?.section()
    }

    /// The tables of an array of tables, or nothing.
    pub(super) fn sections(&self, key: &str) -> Vec<Section<'a>> {
        let Some(item) = self.item(key) else { return Vec::new() };
        if item.value.get_ref().as_table().is_some() {
            let header = item.header();
            let _: Option<()> =
                item.wrong(format!("there may be several: write [[{header}]], in double brackets"));
            return Vec::new();
        }
        item.list().into_iter().filter_map(|item| item.section()).collect()
    }

    /// The items of a table whose keys are anything, with their keys.
    pub(super) fn items(&self, key: &str) -> Vec<(&'a str, Item<'a>)> {
        let section = self.section(key);
        let items = section
            .iter()
            .flat_map(|section| section.keys().filter_map(|key| Some((key, section.item(key)?))));
        items.collect()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.table.keys().map(|key| key.get_ref().as_ref())
    }

    /// Notes what is wrong with the section as a whole.
    pub(super) fn wrong(&self, why: impl std::fmt::Display) {
        if self.place.is_empty() {
            return self.document.note(self.line, why);
        }
        self.document.note(self.line, format!("{}: {why}", self.place));
    }

    /// Where the section starts.
    pub(super) fn origin(&self) -> Origin {
        Origin::new(self.document.name, self.line, self.place.clone())
    }

    /// Where the value of a key stands, or the section if it has none.
    pub(super) fn origin_of(&self, key: &str) -> Origin {
        self.item(key).map_or_else(|| self.origin(), |item| item.origin())
    }

    fn at(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }
}

impl<'a> Item<'a> {
    pub(super) fn text<T>(&self, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let Some(text) = self.as_text() else {
            return self.wrong("text in quotes is expected");
        };
        read(text).map_or_else(|why| self.wrong(why), Some)
    }

    /// The value, if it is a text.
    pub(super) fn as_text(&self) -> Option<&'a str> {
        self.value.get_ref().as_str()
    }

    /// A whole number, as text.
    pub(super) fn number<T>(&self, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let Some(number) = self.value.get_ref().as_integer() else {
            return self.wrong("a whole number without quotes is expected");
        };
        // Also `0x40` and `1_000` are whole numbers of TOML.
        let decimal = i128::from_str_radix(number.as_str(), number.radix());
        let text = decimal.map_or_else(|_| number.as_str().to_owned(), |n| n.to_string());
        read(&text).map_or_else(|why| self.wrong(why), Some)
    }

    /// True or false; what is wrong is noted.
    pub(super) fn flag(&self) -> Option<bool> {
        let flag = self.value.get_ref().as_bool();
        flag.or_else(|| self.wrong("true or false, without quotes, is expected"))
    }

    pub(super) fn is_empty_list(&self) -> bool {
        self.value.get_ref().as_array().is_some_and(|list| list.is_empty())
    }

    pub(super) fn list(&self) -> Vec<Item<'a>> {
        let Some(list) = self.value.get_ref().as_array() else {
            self.wrong::<()>("a list in brackets is expected");
            return Vec::new();
        };
        let item = |(index, value)| Item {
            document: self.document,
            place: format!("{}[{index}]", self.place),
            value,
        };
        list.iter().enumerate().map(item).collect()
    }

    fn section(&self) -> Option<Section<'a>> {
        self.as_section().or_else(|| match self.value.get_ref().as_array() {
            Some(_) => self.wrong(format!("there is one: write [{}]", self.header())),
            None => self.wrong("a table is expected"),
        })
    }

    /// The value, if it is a table.
    pub(super) fn as_section(&self) -> Option<Section<'a>> {
        let table = self.value.get_ref().as_table()?;
        let (document, place) = (self.document, self.place.clone());
        Some(Section { document, place, table, line: self.line() })
    }

    /// Notes what is wrong with a value that nobody may see.
    pub(super) fn wrong_secret<T>(&self, why: impl std::fmt::Display) -> Option<T> {
        self.document.note(self.line(), format!("{}: {why}", self.place));
        None
    }

    /// Notes what is wrong with the value.
    pub(super) fn wrong<T>(&self, why: impl std::fmt::Display) -> Option<T> {
        let span = self.value.span();
        let written = self.document.text.get(span).unwrap_or_default();
        let line = self.line();
        // The value of a table with a header is its header.
        let what = match self.is_under_a_header(written) {
            true => short(written),
            false => format!("{} = {}", self.place, short(written)),
        };
        self.document.note(line, format!("{what}: {why}"));
        None
    }

    fn is_under_a_header(&self, written: &str) -> bool {
        self.value.get_ref().as_table().is_some() && written.starts_with('[')
    }

    /// Its place as the header of a table has it: `tenant.route`.
    fn header(&self) -> String {
        let parts = self.place.split('.').map(|part| part.split('[').next().unwrap_or(part));
        parts.collect::<Vec<_>>().join(".")
    }

    /// Where the value stands.
    pub(super) fn origin(&self) -> Origin {
        let written = self.document.text.get(self.value.span()).unwrap_or_default();
        let what = format!("{} = {}", self.place, short(written));
        Origin::new(self.document.name, self.line(), what)
    }

    fn line(&self) -> usize {
        self.document.line(&self.value.span())
    }
}

/// A value as it is written, on one line and not too long.
fn short(written: &str) -> String {
    const MOST: usize = 80;
    let mut text: String = written.lines().next().unwrap_or_default().chars().take(MOST).collect();
    if text.len() < written.len() {
        text.push_str("...");
    }
    text
}

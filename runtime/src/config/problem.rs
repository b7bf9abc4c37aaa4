//! What is wrong with what is written down, each with its place, so that all of
//! it can be told in order, whichever step found it. Pure.

use std::fmt;

/// Where something is written: `myweb.toml:12: tenant[0].log = "a.log"`, or a flag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    line: usize,
    /// The file and the line; empty for a flag.
    at: String,
    /// The key and the value, or the name of the flag.
    what: String,
}

/// Something that is wrong. In order: by lines, first what has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    line: usize,
    text: String,
}

impl Origin {
    /// In a file.
    pub(super) fn new(file: &str, line: usize, what: String) -> Origin {
        Origin { line, at: format!("{file}:{line}"), what }
    }

    /// What a flag says.
    pub(super) fn flag(name: &str) -> Origin {
        Origin { line: 0, at: String::new(), what: name.to_owned() }
    }

    /// The file and the line, or the flag.
    pub(crate) fn at(&self) -> &str {
        if self.at.is_empty() { &self.what } else { &self.at }
    }

    /// Whether its message has to name it.
    pub(super) fn is_flag(&self) -> bool {
        self.at.is_empty()
    }

    /// A problem with it.
    pub(crate) fn problem(&self, why: impl fmt::Display) -> Problem {
        let Origin { line, at, what } = self;
        let text = match (at.is_empty(), what.is_empty()) {
            (true, true) => why.to_string(),
            // What a flag names is at the beginning of the message.
            (true, false) => format!("{what} {why}"),
            (false, true) => format!("{at}: {why}"),
            (false, false) => format!("{at}: {what}: {why}"),
        };
        Problem { line: *line, text }
    }
}

impl Problem {
    /// One of nothing that is written down in a line.
    pub(crate) fn of_all(text: String) -> Problem {
        Problem { line: 0, text }
    }

    /// The problem's place, and a sentence about it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The texts of all, in order, each once.
    pub(crate) fn in_order(mut problems: Vec<Problem>) -> Vec<String> {
        problems.sort();
        problems.dedup();
        problems.into_iter().map(|problem| problem.text).collect()
    }
}

//! A broken file of one tenant, and what its requests get instead.

use crate::capability::log::escape;
use crate::config::Problem;

/// A broken file of one tenant.
pub(super) struct Fault {
    /// What is served instead: `tenant a, route /*, responds 500`.
    effect: String,
    problem: Problem,
}

impl Fault {
    pub(super) fn new(effect: String, problem: Problem) -> Fault {
        Fault { effect, problem }
    }

    /// The problem alone, for a configuration that is refused as a whole.
    pub(super) fn into_problem(self) -> Problem {
        self.problem
    }

    /// One line for each fault, in the order of the file. A component may have chosen
    /// parts of a reason, so control characters are escaped.
    pub(super) fn in_order(mut faults: Vec<Fault>) -> Vec<String> {
        faults.sort_by(|a, b| a.problem.cmp(&b.problem));
        faults.iter().map(Fault::line).collect()
    }

    pub(super) fn line(&self) -> String {
        escape(format!("{}: {}", self.effect, self.problem.text()).as_bytes())
    }
}

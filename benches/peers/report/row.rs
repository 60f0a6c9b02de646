//! What is reported of one subject in one case.

use super::statistics::quantile;
use crate::latency::Quantiles;
use crate::measure::{Measured, Results};

/// One line of the table and of the CSV file.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) subject: String,
    /// Nanoseconds per operation, over the turns: the median, and the quartiles around it.
    pub(crate) median: f64,
    pub(crate) quartiles: [f64; 2],
    pub(crate) turns: usize,
    pub(crate) failures: u64,
    /// The failures that were SQLite's "database is locked".
    pub(crate) locked: u64,
    /// Of single operations, in the cases that keep them.
    pub(crate) latency: Option<Quantiles>,
    /// The database and its version.
    pub(crate) database: String,
    /// The day, as in `2026-01-31`.
    pub(crate) taken: String,
}

impl Row {
    /// The rows of a case.
    pub(crate) fn of(results: &Results, database: &str, taken: &str) -> Vec<Self> {
        let row = |subject: &Measured| Self {
            case: results.case.to_owned(),
            subject: subject.name.to_owned(),
            median: quantile(&subject.turns, 0.5),
            quartiles: [0.25, 0.75].map(|share| quantile(&subject.turns, share)),
            turns: subject.turns.len(),
            failures: subject.failures,
            locked: subject.locked,
            latency: subject.latency,
            database: database.to_owned(),
            taken: taken.to_owned(),
        };
        results.subjects.iter().map(row).collect()
    }

    /// Whether the middle half of the turns is spread so widely that the median says little.
    pub(crate) fn is_unsteady(&self) -> bool {
        self.quartiles[1] - self.quartiles[0] > 0.25 * self.median
    }
}

/// The rows of a run, or of several.
pub(crate) trait Rows {
    fn row(&self, case: &str, subject: &str) -> Option<&Row>;

    /// The median of a subject, in nanoseconds.
    fn median(&self, case: &str, subject: &str) -> Option<f64> {
        Some(self.row(case, subject)?.median)
    }

    /// The cases with a subject that is unsteady, in their order.
    fn unsteady(&self) -> Vec<&str>;
}

impl Rows for [Row] {
    fn row(&self, case: &str, subject: &str) -> Option<&Row> {
        self.iter().find(|row| row.case == case && row.subject == subject)
    }

    fn unsteady(&self) -> Vec<&str> {
        let mut cases: Vec<&str> =
            self.iter().filter(|row| row.is_unsteady()).map(|row| row.case.as_str()).collect();
        cases.dedup();
        cases
    }
}

//! Which page is asked for.

use std::fmt;

use diesel::result::Error as DieselError;

use crate::error::Error;

/// Which page of a query is asked for: its number, from 1, and the number of rows on a page.
///
/// It has been checked, so every `PageRequest` is a page that a database can be asked for. With the feature `axum` it
/// is an extractor as well, which reads `?page=2&per_page=50` and has an upper limit for `per_page`.
///
/// ```
/// use registry_core::query::paginate::PageRequest;
///
/// let second = PageRequest::new(2, 50)?;
/// assert_eq!((second.page(), second.per_page()), (2, 50));
/// assert_eq!(PageRequest::default(), PageRequest::new(1, 20)?);
///
/// let error = PageRequest::new(0, 50).unwrap_err();
/// assert_eq!(error.to_string(), "there is no page 0: pages are counted from 1");
/// # Ok::<(), registry_core::query::paginate::InvalidPage>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    page: i64,
    per_page: i64,
}

impl PageRequest {
    /// The number of rows on a page, if nothing else is asked for. Flask-SQLAlchemy's `per_page` is 20 as well.
    pub const PER_PAGE: i64 = 20;

    /// The page with the number `page`, counted from 1, with `per_page` rows on each page.
    ///
    /// # Errors
    ///
    /// If `page` or `per_page` is below 1, or if the page is so far back that its first row has no number in 64 bits.
    pub const fn new(page: i64, per_page: i64) -> Result<Self, InvalidPage> {
        if page < 1 {
            return Err(InvalidPage(Reason::Page(page)));
        }
        if per_page < 1 {
            return Err(InvalidPage(Reason::PerPage(per_page)));
        }
        // The number of the last row of the page, so that `per_page` rows after the offset have a number as well.
        if page.checked_mul(per_page).is_none() {
            return Err(InvalidPage(Reason::TooFar { page, per_page }));
        }
        Ok(Self { page, per_page })
    }

    /// The number of the page, from 1.
    #[must_use]
    pub const fn page(self) -> i64 {
        self.page
    }

    /// The number of rows on a page, from 1.
    #[must_use]
    pub const fn per_page(self) -> i64 {
        self.per_page
    }

    /// The number of rows before this page.
    #[must_use]
    pub const fn offset(self) -> i64 {
        (self.page - 1) * self.per_page
    }
}

/// The first page, with [20](PageRequest::PER_PAGE) rows.
impl Default for PageRequest {
    fn default() -> Self {
        Self { page: 1, per_page: Self::PER_PAGE }
    }
}

/// There is no such page: its number or the number of its rows is below 1 or too large.
///
/// It converts into [`Error`] and into Diesel's error. With the feature `axum`, the response is `404 Not Found`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPage(Reason);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Page(i64),
    PerPage(i64),
    TooFar {
        page: i64,
        per_page: i64,
    },
    #[cfg(feature = "axum")]
    NoNumber(&'static str),
}

impl InvalidPage {
    /// The value of the parameter `name` is no number in 64 bits.
    #[cfg(feature = "axum")]
    pub(crate) const fn no_number(name: &'static str) -> Self {
        Self(Reason::NoNumber(name))
    }
}

impl fmt::Display for InvalidPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reason::Page(page) => write!(f, "there is no page {page}: pages are counted from 1"),
            Reason::PerPage(rows) => write!(f, "a page cannot have {rows} rows: it has at least 1"),
            Reason::TooFar { page, per_page } => write!(
                f,
                "page {page} with {per_page} rows on each page ends after row {}",
                i64::MAX
            ),
            #[cfg(feature = "axum")]
            Reason::NoNumber(name) => write!(f, "the parameter `{name}` is not a number"),
        }
    }
}

impl std::error::Error for InvalidPage {}

impl From<InvalidPage> for DieselError {
    fn from(error: InvalidPage) -> Self {
        Self::QueryBuilderError(Box::new(error))
    }
}

impl From<InvalidPage> for Error {
    fn from(error: InvalidPage) -> Self {
        DieselError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_that_has_numbers_is_a_page() {
        let last = PageRequest::new(i64::MAX, 1).expect("a page");
        assert_eq!(last.offset(), i64::MAX - 1);
        assert_eq!(PageRequest::new(1, i64::MAX).expect("a page").offset(), 0);
        let error = PageRequest::new(2, i64::MAX).expect_err("it is too far").to_string();
        assert_eq!(
            error,
            "page 2 with 9223372036854775807 rows on each page ends after row 9223372036854775807"
        );
    }

    #[test]
    fn numbers_below_one_are_refused() {
        for (page, per_page) in [(0, 1), (-1, 1), (i64::MIN, 1), (1, 0), (1, -1), (1, i64::MIN)] {
            assert!(PageRequest::new(page, per_page).is_err(), "{page} {per_page}");
        }
        let error = PageRequest::new(1, 0).expect_err("no rows").to_string();
        assert_eq!(error, "a page cannot have 0 rows: it has at least 1");
    }
}

//! A page, with the total.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::request::PageRequest;

/// A page of rows, and the number of all rows.
///
/// Serialized, it has the members `items`, `page`, `per_page`, `total`, `pages`, `has_next`, `has_prev`, `next_page`
/// and `prev_page`.
///
/// The total is exact at the moment when it was counted. See [`Paginated::load`](super::Paginated::load).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The rows of this page. Empty if the page is beyond the last one.
    pub items: Vec<T>,
    /// The number of this page, from 1.
    pub page: i64,
    /// The largest number of rows on a page.
    pub per_page: i64,
    /// The number of rows on all pages.
    pub total: i64,
}

impl<T> Page<T> {
    pub(super) fn new(request: PageRequest, items: Vec<T>, total: i64) -> Self {
        Self { items, page: request.page(), per_page: request.per_page(), total }
    }

    /// The number of pages. 0 if there are no rows.
    #[must_use]
    pub fn pages(&self) -> i64 {
        self.total / self.per_page + i64::from(self.total % self.per_page > 0)
    }

    /// Whether there is a page after this one.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.page < self.pages()
    }

    /// Whether there is a page before this one. This holds for a page beyond the last one as well.
    #[must_use]
    pub fn has_prev(&self) -> bool {
        self.page > 1
    }

    /// The number of the next page, if there is one.
    #[must_use]
    pub fn next_page(&self) -> Option<i64> {
        self.has_next().then_some(self.page + 1)
    }

    /// The number of the previous page. After a page beyond the last one, this is the last one. `None` if no page comes
    /// before this one.
    #[must_use]
    pub fn prev_page(&self) -> Option<i64> {
        self.has_prev().then(|| (self.page - 1).min(self.pages()).max(1))
    }

    /// This page with other items, for example with what a client may see of them.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        let Self { items, page, per_page, total } = self;
        Page { items: items.into_iter().map(change).collect(), page, per_page, total }
    }
}

impl<T> IntoIterator for Page<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<T: Serialize> Serialize for Page<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut page = serializer.serialize_struct("Page", 9)?;
        page.serialize_field("items", &self.items)?;
        page.serialize_field("page", &self.page)?;
        page.serialize_field("per_page", &self.per_page)?;
        page.serialize_field("total", &self.total)?;
        page.serialize_field("pages", &self.pages())?;
        page.serialize_field("has_next", &self.has_next())?;
        page.serialize_field("has_prev", &self.has_prev())?;
        page.serialize_field("next_page", &self.next_page())?;
        page.serialize_field("prev_page", &self.prev_page())?;
        page.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(page: i64, per_page: i64, total: i64) -> Page<()> {
        Page::new(PageRequest::new(page, per_page).expect("a page"), Vec::new(), total)
    }

    #[test]
    fn pages_are_counted_from_the_total() {
        let pages = |total| page(1, 10, total).pages();
        assert_eq!([pages(0), pages(1), pages(10), pages(11)], [0, 1, 1, 2]);
        assert_eq!(page(1, i64::MAX, i64::MAX).pages(), 1);
        assert_eq!(page(1, 1, i64::MAX).pages(), i64::MAX);
    }

    #[test]
    fn neighbours_are_pages_that_exist() {
        let neighbours = |number, total| {
            let page = page(number, 10, total);
            (page.prev_page(), page.next_page())
        };
        assert_eq!(neighbours(1, 0), (None, None));
        assert_eq!(neighbours(1, 10), (None, None));
        assert_eq!(neighbours(1, 11), (None, Some(2)));
        assert_eq!(neighbours(2, 21), (Some(1), Some(3)));
        assert_eq!(neighbours(9, 21), (Some(3), None));
        assert_eq!(neighbours(9, 0), (Some(1), None));
    }
}

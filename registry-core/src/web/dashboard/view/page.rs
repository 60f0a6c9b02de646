//! The page around the sections.

use askama::Template;

use super::Frame;

#[derive(Template)]
#[template(path = "dashboard/page.html")]
pub(in crate::web::dashboard) struct Page<'a> {
    pub(in crate::web::dashboard) title: &'a str,
    pub(in crate::web::dashboard) nonce: &'a str,
    /// Whether nothing tells who reads the page.
    pub(in crate::web::dashboard) is_reader_unknown: bool,
    pub(in crate::web::dashboard) frame: &'a Frame,
}

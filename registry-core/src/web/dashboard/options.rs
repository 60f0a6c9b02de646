//! What a program says about its page.

/// What a program says about its page: whether it has a guard of its own, and the page's title.
///
/// ```
/// use axum::Router;
/// use registry_core::Registry;
/// use registry_core::web::{DashboardOptions, dashboard_with};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::SettingsError> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// let options = DashboardOptions::new().guarded(true).title("Databases of the shop");
/// let app: Router = Router::new().nest("/databases", dashboard_with(registry, options));
/// # let _ = app;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct DashboardOptions {
    pub(super) guarded: bool,
    pub(super) title: Option<String>,
}

impl DashboardOptions {
    /// The page of a program that says nothing about it: titled `Databases`, and served to this machine alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a guard of the program, such as a log-in, stands before the page. `false` by default.
    ///
    /// With `true`, every request that reaches the page is answered. With `false`, the page itself refuses those that
    /// may come from another machine, as [`dashboard`](super::dashboard) says.
    #[must_use]
    pub fn guarded(self, guarded: bool) -> Self {
        Self { guarded, ..self }
    }

    /// The title and the first heading of the page. `Databases` by default.
    #[must_use]
    pub fn title(self, title: impl Into<String>) -> Self {
        Self { title: Some(title.into()), ..self }
    }

    pub(super) fn shown_title(&self) -> &str {
        self.title.as_deref().unwrap_or("Databases")
    }
}

//! Credentials from a closure, which is called whenever a connection is opened.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use secrecy::SecretString;

use crate::cause::DriverError;
use crate::settings::url::DatabaseUrl;

/// A password, and its user if that is not the user in the URL. The closure of
/// [`RegistryBuilder::credentials`](crate::RegistryBuilder::credentials) returns this each time that a connection is
/// opened.
///
/// `Debug` does not show the password.
///
/// ```
/// use registry_core::Credentials;
///
/// let credentials = Credentials::password("zauber").user("app");
/// assert!(!format!("{credentials:?}").contains("zauber"));
/// ```
#[derive(Debug, Clone)]
pub struct Credentials {
    user: Option<String>,
    password: SecretString,
}

impl Credentials {
    /// The password of the URL's user, in plain characters: nothing needs to be percent-encoded.
    #[must_use]
    pub fn password(password: impl Into<String>) -> Self {
        Self { user: None, password: SecretString::from(password.into()) }
    }

    /// The user, if it is not the one in the URL.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// `url` with this user and password.
    fn applied_to(&self, url: &DatabaseUrl) -> DatabaseUrl {
        match &self.user {
            Some(user) => url.with_user(user).with_password(&self.password),
            None => url.with_password(&self.password),
        }
    }
}

/// The closure that returns the credentials of a bind. It is called each time that a connection is opened.
#[derive(Clone)]
pub(crate) struct CredentialSource(Arc<AskFn>);

type AskFn =
    dyn Fn(&DatabaseUrl) -> BoxFuture<'static, Result<Credentials, DriverError>> + Send + Sync;

impl CredentialSource {
    pub(crate) fn new<F, R, E>(ask: F) -> Self
    where
        F: Fn(&DatabaseUrl) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<DriverError>,
    {
        Self(Arc::new(move |url| {
            let asked = ask(url);
            Box::pin(async move { asked.await.map_err(Into::into) })
        }))
    }

    /// `url` with the credentials for one connection.
    pub(crate) async fn url_with_credentials(
        &self,
        url: &DatabaseUrl,
    ) -> Result<DatabaseUrl, DriverError> {
        Ok((self.0)(url).await?.applied_to(url))
    }

    /// Whether both are the same closure.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialSource")
    }
}

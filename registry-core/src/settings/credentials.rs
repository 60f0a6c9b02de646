use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use secrecy::SecretString;

use crate::cause::DriverError;
use crate::settings::url::DatabaseUrl;

/// A password, and the user that it is for if that is not the one in the URL.
///
/// It shows itself without the password.
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

    /// Another user than the one in the URL.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The URL with these in it.
    fn put_in(&self, url: &DatabaseUrl) -> DatabaseUrl {
        match &self.user {
            Some(user) => url.with_user(user).with_password(&self.password),
            None => url.with_password(&self.password),
        }
    }
}

/// Whom to ask for credentials each time that a connection is opened.
#[derive(Clone)]
pub(crate) struct CredentialSource(Arc<Ask>);

type Ask =
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

    /// The URL as it is to be used for one connection.
    pub(crate) async fn url_with_credentials(
        &self,
        url: &DatabaseUrl,
    ) -> Result<DatabaseUrl, DriverError> {
        Ok((self.0)(url).await?.put_in(url))
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialSource")
    }
}

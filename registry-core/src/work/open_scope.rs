//! Opening a scope: the methods of a registry and of a tenant.

use std::future::Future;
use std::panic::Location;

use super::scope::Scope;
use super::session_factory::SessionFactory;
use super::unit_of_work::CallSite;
use crate::error::Error;
use crate::registry::{Registry, Tenant};
use crate::settings::WorkOptions;

impl Registry {
    /// Runs `future` in a scope of its own, and rolls back what it leaves open.
    ///
    /// Dropping it rolls back too, in the background.
    #[track_caller]
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        self.new_scope().run(future)
    }

    /// As [`scope`](Self::scope), with these options for its units of work.
    #[track_caller]
    pub fn scope_with<F: Future>(
        &self,
        options: WorkOptions,
        future: F,
    ) -> impl Future<Output = F::Output> {
        self.new_scope_with(options).run(future)
    }

    /// Runs `future` in a scope of its own; commits what it leaves open if it returns `Ok`, and
    /// rolls that back if it returns an error.
    ///
    /// # Errors
    ///
    /// What `future` returns, or the [`CommitError`](super::CommitError) as [`Error::Commit`]; [`WorkError::InUse`]
    /// if something that `future` has left behind, or returns, still has the unit of work.
    #[track_caller]
    pub fn try_scope<T, E: From<Error>>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.new_scope().try_run(future)
    }

    /// As [`try_scope`](Self::try_scope), with these options for its units of work.
    ///
    /// # Errors
    ///
    /// As those of [`try_scope`](Self::try_scope).
    #[track_caller]
    pub fn try_scope_with<T, E: From<Error>>(
        &self,
        options: WorkOptions,
        future: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.new_scope_with(options).try_run(future)
    }

    /// A scope that nobody has entered yet, for those who enter it themselves.
    #[must_use]
    #[track_caller]
    pub fn new_scope(&self) -> Scope {
        self.new_scope_at(None, Location::caller())
    }

    /// As [`new_scope`](Self::new_scope), with these options for its units of work.
    ///
    /// If the options name keys that no bind has, what is first done with a unit of work is an error:
    /// [`WorkError::Keys`].
    #[must_use]
    #[track_caller]
    pub fn new_scope_with(&self, options: WorkOptions) -> Scope {
        self.new_scope_at(Some(options), Location::caller())
    }

    /// A scope that was asked for at that place, with those options or the registry's.
    pub(crate) fn new_scope_at(&self, options: Option<WorkOptions>, made_at: CallSite) -> Scope {
        let options = options.unwrap_or_else(|| self.work_options().clone());
        Scope::new(SessionFactory::Registry(self.clone()), options, made_at)
    }
}

impl Tenant {
    /// Runs `future` in a scope whose unit of work is on the databases of this tenant: see
    /// [`Registry::scope`].
    #[track_caller]
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        self.new_scope().run(future)
    }

    /// As [`scope`](Self::scope), with these options for its units of work.
    #[track_caller]
    pub fn scope_with<F: Future>(
        &self,
        options: WorkOptions,
        future: F,
    ) -> impl Future<Output = F::Output> {
        self.new_scope_with(options).run(future)
    }

    /// Runs `future` in a scope whose unit of work is on the databases of this tenant: see
    /// [`Registry::try_scope`].
    ///
    /// # Errors
    ///
    /// As those of [`Registry::try_scope`].
    #[track_caller]
    pub fn try_scope<T, E: From<Error>>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.new_scope().try_run(future)
    }

    /// As [`try_scope`](Self::try_scope), with these options for its units of work.
    ///
    /// # Errors
    ///
    /// As those of [`Registry::try_scope`].
    #[track_caller]
    pub fn try_scope_with<T, E: From<Error>>(
        &self,
        options: WorkOptions,
        future: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.new_scope_with(options).try_run(future)
    }

    /// A scope on the databases of this tenant that nobody has entered yet.
    #[must_use]
    #[track_caller]
    pub fn new_scope(&self) -> Scope {
        self.new_scope_at(None, Location::caller())
    }

    /// As [`new_scope`](Self::new_scope), with these options for its units of work: see
    /// [`Registry::new_scope_with`].
    #[must_use]
    #[track_caller]
    pub fn new_scope_with(&self, options: WorkOptions) -> Scope {
        self.new_scope_at(Some(options), Location::caller())
    }

    /// A scope that was asked for at that place, with those options or the registry's.
    pub(crate) fn new_scope_at(&self, options: Option<WorkOptions>, made_at: CallSite) -> Scope {
        let options = options.unwrap_or_else(|| self.registry().work_options().clone());
        Scope::new(SessionFactory::Tenant(self.clone()), options, made_at)
    }
}

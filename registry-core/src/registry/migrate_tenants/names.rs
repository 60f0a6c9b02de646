//! The names of tenants as a stream.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::{Stream, StreamExt, stream};

use super::report::{TenantFailure, TenantOutcome, TenantResult};
use crate::cause::DriverError;
use crate::panicked::panic_message;
use crate::settings::TenantName;

/// How many of the last names are remembered, to recognise a name that is repeated.
pub(super) const REMEMBERED: usize = 10_000;

/// A stream of names of tenants.
pub(crate) type NameStream = Pin<Box<dyn Stream<Item = Result<Box<str>, DriverError>> + Send>>;

/// Names of tenants, for [`Registry::migrate_tenants`](crate::Registry::migrate_tenants): every
/// [`Stream`](futures_util::Stream) of [`TenantNameItem`]s.
///
/// The stream is polled only as far as names are needed, so that their number is not limited by memory. For a list of
/// names there is [`tenant_names`].
///
/// ```
/// use futures_util::stream;
/// use registry_core::tenant::{TenantNames, tenant_names};
///
/// fn takes_names(_: impl TenantNames) {}
///
/// takes_names(tenant_names(["acme", "globex"]));
/// takes_names(stream::iter(1..=5_000).map(|number| format!("customer-{number}")));
/// # use futures_util::StreamExt;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a stream of names of tenants",
    label = "not a stream of names",
    note = "for a list of names, write `registry_core::tenant::tenant_names(list)`",
    note = "a stream has to be `Send + 'static`, and its items are `String`, `&'static str`, `Box<str>`, `Arc<str>`, or \
            a `Result` with one of these"
)]
pub trait TenantNames: Send + 'static {
    /// The stream, with items of one type.
    #[doc(hidden)]
    fn into_names(self) -> NameStream;
}

impl<S> TenantNames for S
where
    S: Stream<Item: TenantNameItem> + Send + 'static,
{
    fn into_names(self) -> NameStream {
        Box::pin(self.map(TenantNameItem::into_name))
    }
}

/// An item of a stream of names of tenants: a text, or a `Result` with a text, as the rows of a query are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the name of a tenant",
    note = "the items of a stream of names are `String`, `&'static str`, `Box<str>`, `Arc<str>`, or a `Result` with one \
            of these"
)]
pub trait TenantNameItem {
    /// The name, or the error that stands in its place.
    #[doc(hidden)]
    fn into_name(self) -> Result<Box<str>, DriverError>;
}

impl TenantNameItem for String {
    fn into_name(self) -> Result<Box<str>, DriverError> {
        Ok(self.into())
    }
}

impl TenantNameItem for &'static str {
    fn into_name(self) -> Result<Box<str>, DriverError> {
        Ok(self.into())
    }
}

impl TenantNameItem for Box<str> {
    fn into_name(self) -> Result<Box<str>, DriverError> {
        Ok(self)
    }
}

impl TenantNameItem for Arc<str> {
    fn into_name(self) -> Result<Box<str>, DriverError> {
        Ok((&*self).into())
    }
}

impl<N: TenantNameItem, E: Into<DriverError>> TenantNameItem for Result<N, E> {
    fn into_name(self) -> Result<Box<str>, DriverError> {
        self.map_err(Into::into).and_then(TenantNameItem::into_name)
    }
}

/// A stream of the names in a list, for [`Registry::migrate_tenants`](crate::Registry::migrate_tenants).
///
/// ```
/// use registry_core::tenant::tenant_names;
///
/// let names = tenant_names(["acme", "globex"]);
/// let read: Vec<String> = "acme\nglobex".lines().map(str::to_owned).collect();
/// let names = tenant_names(read);
/// # let _ = names;
/// ```
pub fn tenant_names<I>(names: I) -> stream::Iter<I::IntoIter>
where
    I: IntoIterator<Item: TenantNameItem, IntoIter: Send + 'static>,
{
    stream::iter(names)
}

/// What the stream gave next.
pub(super) enum NextName {
    Name(Arc<str>),
    /// It is not looked at: the name is none, or was given before.
    Refused(TenantOutcome),
    /// An error in place of a name.
    Error(DriverError),
    /// The stream panicked, with that message.
    Panicked(String),
    End,
}

/// The stream of names, up to its end or its first error.
pub(super) struct Intake {
    /// `None` when it has ended.
    stream: Option<NameStream>,
    recent: RecentNames,
}

impl Intake {
    pub(super) fn new(stream: NameStream) -> Self {
        Self { stream: Some(stream), recent: RecentNames::default() }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.stream.is_none()
    }

    /// Reads no further.
    pub(super) fn end(&mut self) {
        let stream = self.stream.take();
        // The stream is the program's, and may panic when it is dropped.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| drop(stream)));
    }

    /// Polls for the next name. `End` after the end, and after an error.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<NextName> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(NextName::End) };
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| stream.poll_next_unpin(cx)));
        let next = match polled {
            Ok(polled) => ready!(polled),
            Err(payload) => {
                let message = panic_message(&*payload).to_owned();
                self.end();
                return Poll::Ready(NextName::Panicked(message));
            }
        };
        Poll::Ready(match next {
            Some(Ok(name)) => self.checked(name),
            Some(Err(error)) => {
                self.end();
                NextName::Error(error)
            }
            None => {
                self.end();
                NextName::End
            }
        })
    }

    fn checked(&mut self, name: Box<str>) -> NextName {
        let name: Arc<str> = name.into();
        let refused =
            |result| NextName::Refused(TenantOutcome { tenant: name.to_string(), result });
        if let Err(error) = TenantName::new(&name) {
            return refused(TenantResult::Failed(TenantFailure::InvalidName(error)));
        }
        match self.recent.insert(&name) {
            true => NextName::Name(name),
            false => refused(TenantResult::Repeated),
        }
    }
}

/// The last names, up to [`REMEMBERED`] of them.
#[derive(Default)]
struct RecentNames {
    in_order: VecDeque<Arc<str>>,
    names: HashSet<Arc<str>>,
}

impl RecentNames {
    /// Returns whether the name is new.
    fn insert(&mut self, name: &Arc<str>) -> bool {
        if !self.names.insert(Arc::clone(name)) {
            return false;
        }
        if self.in_order.len() == REMEMBERED
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.names.remove(&oldest);
        }
        self.in_order.push_back(Arc::clone(name));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_names_are_remembered() {
        let mut recent = RecentNames::default();
        let name = |number: usize| Arc::<str>::from(format!("t{number}"));
        for number in 0..=REMEMBERED {
            assert!(recent.insert(&name(number)));
        }
        assert!(!recent.insert(&name(1)));
        assert!(recent.insert(&name(0)), "it is too long ago");
        assert!(recent.insert(&name(1)), "the oldest one made room");
        assert_eq!((recent.names.len(), recent.in_order.len()), (REMEMBERED, REMEMBERED));
    }
}

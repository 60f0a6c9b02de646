//! Sessions of several binds at once.

use std::future::Future;

use super::error::WorkError;
use super::participants::session_of;
use super::unit_of_work::UnitOfWork;
use crate::bind::Bound;
use crate::session::Session;

impl UnitOfWork {
    /// The sessions of two, three or four models of different binds at once, for concurrent use.
    ///
    /// The sessions are acquired one after another, in the order of the tuple; otherwise as
    /// [`session_for`](Self::session_for).
    ///
    /// # Errors
    ///
    /// The errors of [`session_for`](Self::session_for), and [`WorkError::Twice`] if two models belong to one bind.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # diesel::table! { events (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # bind_tables!(db = "analytics", backend = Sqlite; events);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder()
    /// #     .bind("default", "sqlite::memory:").bind("analytics", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let mut work = registry.begin();
    /// let (users, events) = work.sessions_for::<(users::table, events::table)>().await?;
    /// let (users, events) = tokio::try_join!(
    ///     users::table.count().get_result::<i64>(users),
    ///     events::table.count().get_result::<i64>(events),
    /// )?;
    /// assert_eq!((users, events), (0, 0));
    /// work.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn sessions_for<S: Several>(&mut self) -> Result<S::Sessions<'_>, WorkError> {
        S::sessions(self).await
    }
}

/// Two, three or four models of different binds, as a tuple: see [`UnitOfWork::sessions_for`].
pub trait Several {
    /// Their sessions, as a tuple.
    type Sessions<'w>;

    /// Acquires the missing sessions, and begins their transactions.
    fn sessions(
        work: &mut UnitOfWork,
    ) -> impl Future<Output = Result<Self::Sessions<'_>, WorkError>> + Send;
}

macro_rules! several {
    ($($model:ident $index:ident),+) => {
        impl<$($model: Bound),+> Several for ($($model,)+) {
            type Sessions<'w> = ($(&'w mut Session<$model::Bind>,)+);

            async fn sessions(work: &mut UnitOfWork) -> Result<Self::Sessions<'_>, WorkError> {
                $(let $index = work.touch::<$model::Bind>().await?;)+
                let indices = [$($index),+];
                if let Some(key) = work.participants.repeated(&indices) {
                    return Err(WorkError::Twice { key });
                }
                let Ok(participants) = work.participants.get_disjoint_mut(indices) else {
                    unreachable!("`touch` returns indices of participants, and none is there twice")
                };
                let [$($index),+] = participants;
                Ok(($(session_of::<$model::Bind>(&mut **$index)?,)+))
            }
        }
    };
}

several!(A a, B b);
several!(A a, B b, C c);
several!(A a, B b, C c, D d);

//! Sessions of several binds at once.

use std::future::Future;

use super::error::WorkError;
use super::participants::session_of;
use super::unit_of_work::UnitOfWork;
use crate::bind::Bound;
use crate::session::Session;

/// Two, three or four models of different binds, as a tuple: see [`UnitOfWork::sessions_for`].
pub trait Several {
    /// Their sessions, as a tuple.
    type Sessions<'w>;

    /// Acquires the sessions and begins the transactions that are not there yet.
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

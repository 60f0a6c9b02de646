//! Sessions of several binds at once.

use std::any::Any;
use std::future::Future;

use super::{UnitOfWork, WorkError};
use crate::bind::{Bind, Bound, key_of};
use crate::session::Session;
use crate::settings::BindKey;

/// Two, three or four models of different binds, as a tuple: see
/// [`UnitOfWork::sessions_for`](super::UnitOfWork::sessions_for).
pub trait Several {
    /// Their sessions, as a tuple.
    type Sessions<'w>;

    /// Acquires and begins what is not begun yet.
    fn sessions(
        work: &mut UnitOfWork,
    ) -> impl Future<Output = Result<Self::Sessions<'_>, WorkError>> + Send;
}

macro_rules! several {
    ($($model:ident $at:ident),+) => {
        impl<$($model: Bound),+> Several for ($($model,)+) {
            type Sessions<'w> = ($(&'w mut Session<$model::Bind>,)+);

            async fn sessions(work: &mut UnitOfWork) -> Result<Self::Sessions<'_>, WorkError> {
                $(let $at = work.touch::<$model::Bind>().await?;)+
                let parts = match work.parts.get_disjoint_mut([$($at),+]) {
                    Ok(parts) => parts,
                    Err(_) => return Err(twice(&[$(key_of::<$model::Bind>()),+])),
                };
                let [$($at),+] = parts;
                Ok(($(session::<$model::Bind>($at.session())?,)+))
            }
        }
    };
}

several!(A a, B b);
several!(A a, B b, C c);
several!(A a, B b, C c, D d);

fn session<B: Bind>(session: &mut dyn Any) -> Result<&mut Session<B>, WorkError> {
    session.downcast_mut().ok_or_else(|| twice(&[key_of::<B>(); 2]))
}

/// The first key that is there twice.
fn twice(keys: &[BindKey]) -> WorkError {
    let again = keys.iter().enumerate().find(|(at, key)| keys[..*at].contains(key));
    let key = again.map_or(keys[0], |(_, key)| *key);
    WorkError::Twice { key }
}

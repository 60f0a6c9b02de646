//! How a read is kept from writing on a connection on which others write.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::super::checkout::Checkout;
use super::super::error::AcquireError;
use super::super::observe::read_transaction::{ReadPlace, ReadTransaction};
use super::super::typed::TypedEngine;
use super::acquire::Read;
use crate::attribution::own;
use crate::backend::{Backend, ConnectError};

impl<C: Backend> Read<'_, C> {
    /// Whether the connections of the engine may write, unless they are kept from it.
    pub(super) fn may_write_on(&self, engine: &Arc<TypedEngine<C>>) -> bool {
        let shared = self.engine.engine();
        Arc::ptr_eq(engine, shared) && shared.is_shared_with_reads()
            || engine.reads_in_transactions()
    }

    /// As [`keep_from_writing`](Self::keep_from_writing), for a connection to the primary.
    pub(super) async fn keep_from_writing_on_primary(
        &self,
        checkout: &mut Checkout<C>,
    ) -> Result<(), AcquireError> {
        // Without replicas, or if nobody writes here, the URL may lead to any server.
        let may_be_anywhere =
            self.reading.replicas.is_none() || self.engine.settings.options.read_only;
        let place = if may_be_anywhere { ReadPlace::Anywhere } else { ReadPlace::Primary };
        let kept = self.keep_from_writing(checkout, place, self.remaining()).await;
        if let (Err(_), Some(replicas)) = (&kept, &self.reading.replicas) {
            // The pooler may lead to a server that is no primary any more.
            replicas.hurry.notify_waiters();
        }
        kept
    }

    /// Makes the database refuse writes on a connection that others may write on, until it is returned. Behind a transaction
    /// pooler, the transaction that does so has to be at `place`.
    pub(super) async fn keep_from_writing(
        &self,
        checkout: &mut Checkout<C>,
        place: ReadPlace,
        limit: Duration,
    ) -> Result<(), AcquireError> {
        let engine = Arc::clone(checkout.engine());
        if engine.settings.is_isolated {
            // The connection is in the transaction of the test, with the test's uncommitted rows.
            return Ok(());
        }
        let limit = limit.min(self.remaining());
        let begin = match place {
            ReadPlace::Primary => C::BEGIN_READ_ONLY_ON_PRIMARY,
            ReadPlace::Anywhere | ReadPlace::Replica(_) => C::BEGIN_READ_ONLY,
        };
        let begin = begin.filter(|_| engine.reads_in_transactions());
        let effects = checkout.session_effects();
        let refusing = async {
            match begin {
                Some(begin) => checkout.connection_mut().batch_execute(begin).await,
                None => checkout.connection_mut().enter_work(true).await.map(drop),
            }
        };
        let refused = timeout(limit, own(refusing)).await;
        checkout.restore_session_effects(effects);
        let error = match refused {
            Ok(Ok(())) => {
                checkout.note_kept_from_writing();
                if let Some(begin) = begin {
                    checkout.set_read_transaction(ReadTransaction { begin, place });
                }
                return Ok(());
            }
            Ok(Err(error)) => ConnectError::Setup {
                statement: "a read-only transaction".to_owned(),
                source: error.into(),
            },
            Err(_) => ConnectError::TimedOut { after: limit },
        };
        checkout.discard();
        Err(engine.could_not_connect(error))
    }
}

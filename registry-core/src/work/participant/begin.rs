//! Beginning the transaction of a participant.

use diesel::QueryResult;
use diesel_async::{SimpleAsyncConnection, TransactionManager};

use super::bind::{BindParticipant, TransactionManagerOf, depth};
use crate::attribution::own;
use crate::backend::Backend;
use crate::backend::driver::Driver;
use crate::bind::Bind;
use crate::session::Session;
use crate::settings::WorkOptions;
use crate::work::error::WorkError;

impl<B: Bind> BindParticipant<B> {
    /// Begins a transaction, and sets as many savepoints in it as are open on the other participants.
    ///
    /// If the future is dropped, its session is dropped, and the connection is closed: a connection with a partly begun
    /// transaction is never reused.
    ///
    /// # Errors
    ///
    /// [`WorkError::Unsupported`] before a statement is sent, or [`WorkError::Begin`]: then the connection is closed.
    pub(crate) async fn begin(
        mut session: Session<B>,
        options: &WorkOptions,
        savepoints: u32,
    ) -> Result<Self, WorkError> {
        let (key, backend) = (session.bind_key(), B::Connection::KIND);
        let sql = B::Connection::begin_sql(options).map_err(|what| WorkError::Unsupported {
            key,
            backend,
            what,
        })?;
        let set_tenant = set_tenant_sql(&session);
        let mark = session.checkout().transaction_mark();
        let sql = [Some(&*sql), set_tenant.as_deref(), mark].into_iter().flatten();
        let sql = sql.collect::<Vec<_>>().join("; ");
        let read_only = options.is_read_only() && !session.options().read_only;
        session.checkout().forget_transient_failures();
        session.checkout().mark_in_work();
        let effects = session.checkout().session_effects();
        let connection = &mut *session;
        let base_depth = depth::<B>(connection);
        let begun = async {
            let mut has_entered_work = false;
            if base_depth == 0 {
                has_entered_work = own(B::Connection::enter_work(connection, read_only)).await?;
                B::Connection::begin(connection, &sql).await?;
            } else {
                TransactionManagerOf::<B>::begin_transaction(connection).await?;
                if let Some(set_tenant) = &set_tenant {
                    own(connection.batch_execute(set_tenant)).await?;
                }
            }
            for _ in 0..savepoints {
                TransactionManagerOf::<B>::begin_transaction(connection).await?;
            }
            // The mark must be newer than the savepoints. Without test isolation and savepoints, the mark was set with the
            // BEGIN above.
            if let Some(mark) = mark.filter(|_| base_depth > 0 || savepoints > 0) {
                own(connection.batch_execute(mark)).await?;
            }
            QueryResult::Ok(has_entered_work)
        };
        match begun.await {
            Ok(has_entered_work) => {
                // `leave_work` undoes the effects of this begin, so the reset on return need not undo them.
                session.checkout().restore_session_effects(effects);
                session.checkout().note_no_writes();
                let state = session.checkout().track_transaction();
                let tells_position =
                    base_depth == 0 && session.checkout().has_replicas() && !options.is_read_only();
                Ok(Self { session, base_depth, has_entered_work, state, tells_position })
            }
            Err(source) => {
                let source = session.checkout().with_server_message(source);
                session.checkout_mut().discard();
                Err(WorkError::Begin { key, source })
            }
        }
    }
}

/// The statement that sets the tenant for the duration of a transaction, if the bind has a `tenant_setting`.
fn set_tenant_sql<B: Bind>(session: &Session<B>) -> Option<String> {
    let (setting, tenant) =
        (session.options().tenant_setting.as_ref()?, session.checkout().tenant()?);
    // Neither value can contain a quote: the parser of the settings checks the setting's name, and the parser of tenant
    // names checks the tenant.
    Some(format!("SELECT set_config('{setting}', '{tenant}', true)"))
}

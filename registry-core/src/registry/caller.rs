//! Facts about the calling task that the engines know: whether it holds a session or a unit of work, whose uncommitted
//! data a query on another session would not see, and whether a task is executing a statement of a unit of work.

use std::panic::Location;
use std::sync::PoisonError;

use super::bind_entry::BindEntry;
use super::handle::Registry;
use crate::bind::Bind;
use crate::engine;

impl Registry {
    /// Warns if the calling task holds a session of the bind `B`, or a unit of work with any session, and is about to
    /// run a query of `B` on another session.
    pub(crate) fn warn_if_caller_holds_session<B: Bind>(&self, place: &'static Location<'static>) {
        if let Some(engine) = self.0.binds.bind::<B>().and_then(BindEntry::engine)
            && engine.is_held_by_caller()
        {
            engine::warn_query_beside_session(engine.settings().key, place);
            return;
        }
        let mut engines = self.engines();
        engines.extend(self.0.on_demand.engines());
        if engines.iter().any(|engine| engine.has_unit_of_work_of_caller())
            && self.is_first_warning_at(B::KEY, place)
        {
            engine::warn_query_beside_work(B::KEY, place);
        }
    }

    /// Whether a task is executing a statement of a unit of work. `task` is the number of a
    /// [`Caller`](crate::engine::Caller).
    pub(crate) fn is_executing_in_work(&self, task: u64) -> bool {
        let mut engines = self.engines();
        engines.extend(self.replaced());
        engines.extend(self.0.on_demand.engines());
        engines.iter().any(|engine| engine.runs_work_statement(task))
    }

    /// Whether this is the first warning for this place in the program and this bind key. The warning is given once for
    /// each such pair.
    pub(crate) fn is_first_warning_at(
        &self,
        key: &'static str,
        at: &'static Location<'static>,
    ) -> bool {
        self.0.warned_at.lock().unwrap_or_else(PoisonError::into_inner).insert((key, at))
    }
}

//! An engine in somebody's hands.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use super::handle::AnyEngine;
use super::typed::TypedEngine;
use crate::backend::Backend;

/// An engine that somebody uses, until this is dropped: one that was opened on demand is not closed for
/// want of use meanwhile.
pub(crate) struct EngineUse<E: AnyEngine + ?Sized>(
    /// Empty only while it is dropped, or becomes one of another type.
    Option<Arc<E>>,
);

impl<E: AnyEngine + ?Sized> EngineUse<E> {
    pub(crate) fn new(engine: Arc<E>) -> Self {
        engine.use_count().begin();
        Self(Some(engine))
    }

    pub(crate) fn engine(&self) -> &Arc<E> {
        match &self.0 {
            Some(engine) => engine,
            None => unreachable!("it is only emptied at its end"),
        }
    }
}

impl EngineUse<dyn AnyEngine> {
    /// The engine as one of connection type `C`, if it is.
    pub(crate) fn downcast<C: Backend>(mut self) -> Option<EngineUse<TypedEngine<C>>> {
        let engine: &dyn Any = &**self.engine();
        if !engine.is::<TypedEngine<C>>() {
            return None;
        }
        let engine: Arc<dyn Any + Send + Sync> = self.0.take()?;
        // The use goes on with the new value.
        engine.downcast().ok().map(|engine| EngineUse(Some(engine)))
    }
}

impl<E: AnyEngine + ?Sized> Deref for EngineUse<E> {
    type Target = E;

    fn deref(&self) -> &E {
        self.engine()
    }
}

impl<E: AnyEngine + ?Sized> Drop for EngineUse<E> {
    fn drop(&mut self) {
        if let Some(engine) = self.0.take() {
            engine.use_count().end();
        }
    }
}

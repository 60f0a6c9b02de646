//! A guard that counts one use of an engine.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use super::handle::AnyEngine;
use super::typed::TypedEngine;
use crate::backend::Backend;

/// One use of an engine. An engine that was opened on demand is not evicted before all uses of it are dropped.
pub(crate) struct EngineUse<E: AnyEngine + ?Sized>(
    /// Empty only while it is dropped or downcast.
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
            None => unreachable!("it is emptied only while it is dropped or downcast"),
        }
    }
}

impl EngineUse<dyn AnyEngine> {
    /// The same use, with the engine downcast to connection type `C`. `None` if the engine has another connection type.
    pub(crate) fn downcast<C: Backend>(mut self) -> Option<EngineUse<TypedEngine<C>>> {
        let engine: &dyn Any = &**self.engine();
        if !engine.is::<TypedEngine<C>>() {
            return None;
        }
        let engine: Arc<dyn Any + Send + Sync> = self.0.take()?;
        // The count stays as it is: `self` is empty, and its drop does not end the use.
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

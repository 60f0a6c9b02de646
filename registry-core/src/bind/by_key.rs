//! The bind of a key that is known only at run time, and the key of any bind as a value.

use std::marker::PhantomData;

use super::bound::Bind;
use crate::backend::Backend;
use crate::bind_key::BindKey;

/// The bind of a session whose key is known only at run time, see
/// [`Registry::session_by_key`](crate::Registry::session_by_key).
///
/// Its `KEY` is empty. A key in settings is never empty, so no engine is ever found by it.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct ByKey<Connection>(PhantomData<fn() -> Connection>);

impl<C: Backend> Bind for ByKey<C> {
    type Connection = C;
    const KEY: &'static str = NO_KEY;
}

/// The `KEY` of [`ByKey`].
const NO_KEY: &str = "";

/// Whether the key of `B` is known at compile time. It is for every bind except [`ByKey`].
pub(crate) const fn has_key<B: Bind>() -> bool {
    !B::KEY.is_empty()
}

/// The key of a bind type as a constant, so that a key which is none does not compile. With [`Db`] that is impossible.
struct CheckedKey<B>(PhantomData<B>);

impl<B: Bind> CheckedKey<B> {
    const KEY: BindKey = match BindKey::new(B::KEY) {
        Ok(key) => key,
        Err(_) if !has_key::<B>() => BindKey::UNNAMED,
        Err(_) => panic!("the KEY of a bind must be a bind key"),
    };
}

/// The key of `B`. For [`ByKey`], whose key is known only at run time, it is [`BindKey::UNNAMED`].
pub(crate) const fn key_of<B: Bind>() -> BindKey {
    CheckedKey::<B>::KEY
}

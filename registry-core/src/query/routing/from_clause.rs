//! The binds of the tables in a `FROM` clause.

use diesel::internal::table_macro::{Join, JoinOn};
use diesel::query_source::{Alias, AliasSource, QuerySource};

use super::one_database::OneDatabase;
use crate::bind::{Bind, Bound};

/// An item of a `FROM` clause: a table, a join or an alias.
pub trait BoundSource {
    /// The bind of its first table. An item with tables of two binds has this type as well, so that the compiler can name
    /// both binds in its message.
    type Bind: Bind;

    /// The binds of all its tables: [`OneTable`], or a pair of two such types.
    type Binds;
}

/// The bind of a single table.
#[derive(Debug)]
pub struct OneTable<B>(std::marker::PhantomData<B>);

/// A set of binds that are all `B`.
pub trait AllEqual<B> {}

impl<A: OneDatabase<B>, B> AllEqual<B> for OneTable<A> {}

impl<L: AllEqual<B>, R: AllEqual<B>, B> AllEqual<B> for (L, R) {}

impl<T: Bound> BoundSource for T {
    type Bind = T::Bind;
    type Binds = OneTable<T::Bind>;
}

impl<L: QuerySource + BoundSource, R: QuerySource + BoundSource, K> BoundSource for Join<L, R, K> {
    type Bind = L::Bind;
    type Binds = (L::Binds, R::Binds);
}

impl<J: BoundSource, On> BoundSource for JoinOn<J, On> {
    type Bind = J::Bind;
    type Binds = J::Binds;
}

impl<S: AliasSource<Target: BoundSource>> BoundSource for Alias<S> {
    type Bind = <S::Target as BoundSource>::Bind;
    type Binds = <S::Target as BoundSource>::Binds;
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::query_builder::{Only, Tablesample, TablesampleMethod};

    use super::BoundSource;

    impl<S: BoundSource> BoundSource for Only<S> {
        type Bind = S::Bind;
        type Binds = S::Binds;
    }

    impl<S: BoundSource, M: TablesampleMethod> BoundSource for Tablesample<S, M> {
        type Bind = S::Bind;
        type Binds = S::Binds;
    }
}

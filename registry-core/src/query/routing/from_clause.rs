//! What stands in a FROM clause, and which databases it is in.

use diesel::internal::table_macro::{Join, JoinOn};
use diesel::query_source::{Alias, AliasSource, QuerySource};

use super::one_database::OneDatabase;
use crate::bind::{Bind, Bound};

/// Something in a FROM clause.
pub trait Source {
    /// The bind of its first table: a query that is wrong has one too, so that the compiler can say what
    /// the rest is at odds with.
    type Bind: Bind;

    /// The binds of all its tables: [`One`], or a pair of such.
    type All;
}

/// One table's bind.
#[derive(Debug)]
pub struct One<B>(std::marker::PhantomData<B>);

/// Binds which are all `B`.
pub trait AllIn<B> {}

impl<A: OneDatabase<B>, B> AllIn<B> for One<A> {}

impl<L: AllIn<B>, R: AllIn<B>, B> AllIn<B> for (L, R) {}

impl<T: Bound> Source for T {
    type Bind = T::Bind;
    type All = One<T::Bind>;
}

impl<L: QuerySource + Source, R: QuerySource + Source, K> Source for Join<L, R, K> {
    type Bind = L::Bind;
    type All = (L::All, R::All);
}

impl<J: Source, On> Source for JoinOn<J, On> {
    type Bind = J::Bind;
    type All = J::All;
}

impl<S: AliasSource<Target: Source>> Source for Alias<S> {
    type Bind = <S::Target as Source>::Bind;
    type All = <S::Target as Source>::All;
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::query_builder::{Only, Tablesample, TablesampleMethod};

    use super::Source;

    impl<S: Source> Source for Only<S> {
        type Bind = S::Bind;
        type All = S::All;
    }

    impl<S: Source, M: TablesampleMethod> Source for Tablesample<S, M> {
        type Bind = S::Bind;
        type All = S::All;
    }
}

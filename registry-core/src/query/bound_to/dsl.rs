//! Diesel's methods for building a query, after `.bound_to::<Model>()` or `.reads::<Model>()`: each is passed on to the query inside.

use diesel::QueryDsl;
use diesel::backend::Backend;
use diesel::expression::Expression;
use diesel::query_builder::BoxedSqlQuery;
use diesel::query_dsl::methods::{
    DistinctDsl, FilterDsl, FindDsl, GroupByDsl, HavingDsl, LimitDsl, LockingDsl, ModifyLockDsl,
    OffsetDsl, OrFilterDsl, OrderDsl, SelectDsl, ThenOrderDsl,
};
use diesel::serialize::ToSql;
use diesel::sql_types::HasSqlType;

use super::BoundTo;

impl<Q, B, Claim> QueryDsl for BoundTo<Q, B, Claim> {}

macro_rules! pass_on {
    ($($trait:ident::$method:ident($($argument:ident: $type:ty)?) $(<$parameter:ident $(: $bound:ident)?>)?;)*) => {$(
        impl<Q: $trait$(<$parameter>)?, B, Claim, $($parameter $(: $bound)?)?> $trait$(<$parameter>)?
            for BoundTo<Q, B, Claim>
        {
            type Output = BoundTo<Q::Output, B, Claim>;

            fn $method(self, $($argument: $type)?) -> Self::Output {
                self.map(|query| query.$method($($argument)?))
            }
        }
    )*};
}

pass_on! {
    FilterDsl::filter(predicate: P) <P>;
    OrFilterDsl::or_filter(predicate: P) <P>;
    FindDsl::find(id: K) <K>;
    OrderDsl::order(expression: E) <E: Expression>;
    ThenOrderDsl::then_order_by(expression: E) <E>;
    SelectDsl::select(selection: S) <S: Expression>;
    DistinctDsl::distinct();
    GroupByDsl::group_by(expression: E) <E: Expression>;
    HavingDsl::having(predicate: P) <P>;
    LimitDsl::limit(limit: i64);
    OffsetDsl::offset(offset: i64);
    LockingDsl::with_lock(lock: L) <L>;
    ModifyLockDsl::modify_lock(modifier: M) <M>;
}

/// As on Diesel's `sql_query(..).into_boxed()`.
impl<'f, DB: Backend, Q, B, Claim> BoundTo<BoxedSqlQuery<'f, DB, Q>, B, Claim> {
    /// Binds the value of the next placeholder.
    pub fn bind<ST, V>(self, value: V) -> Self
    where
        DB: HasSqlType<ST>,
        V: ToSql<ST, DB> + Send + 'f,
        ST: Send + 'f,
    {
        self.map(|query| query.bind::<ST, V>(value))
    }

    /// Appends text to the SQL.
    pub fn sql(self, sql: impl AsRef<str>) -> Self {
        self.map(|query| query.sql(sql))
    }
}

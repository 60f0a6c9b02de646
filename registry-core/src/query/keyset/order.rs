//! The columns that rows are ordered by, and the condition for the rows after a key.

use std::fmt;

use diesel::backend::Backend;
use diesel::dsl::{Asc, Desc};
use diesel::expression::{AppearsOnTable, Expression, ValidGrouping, is_aggregate};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::Error as DieselError;
use diesel::serialize::ToSql;
use diesel::sql_types::{Bool, HasSqlType, SingleValue, SqlType, is_nullable};
use diesel::{Column, QueryResult};

use super::cursor::InvalidCursor;

/// A column of a keyset, with its direction: `column.asc()` or `column.desc()`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no column of a keyset",
    label = "expected a column with its direction: `column.asc()` or `column.desc()`",
    note = "an expression, or a column of an alias, cannot be a key"
)]
pub trait SortKey {
    /// The column.
    type Column: Column + Default;

    /// Whether the largest value comes first.
    const IS_DESCENDING: bool;
}

impl<C: Column + Default> SortKey for Asc<C> {
    type Column = C;

    const IS_DESCENDING: bool = false;
}

impl<C: Column + Default> SortKey for Desc<C> {
    type Column = C;

    const IS_DESCENDING: bool = true;
}

/// An SQL type of which no value is `NULL`.
pub trait NotNullKey: SingleValue {}

impl<T: SingleValue + SqlType<IsNull: NeverNull>> NotNullKey for T {}

/// What Diesel says of an SQL type without `NULL`. It is a trait of its own because of the compiler's message.
#[diagnostic::on_unimplemented(
    message = "a column that can be `NULL` cannot be a key of a page",
    label = "one of the keys is `Nullable`",
    note = "the databases disagree on where `NULL` stands in an order, and no comparison finds it: order by a column that is `NOT NULL`"
)]
pub trait NeverNull {}

impl NeverNull for is_nullable::NotNull {}

/// The order of a keyset: a [`SortKey`], or a tuple of up to four of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the order of a keyset",
    label = "expected columns with their direction, such as `(events::at.desc(), events::id.desc())`",
    note = "up to four columns of tables: no expressions, no columns of an alias"
)]
pub trait KeysetOrder: Expression {
    /// The columns, without their directions.
    type Columns: Default + Send;
}

/// An order whose keys have values of the type `K`, a value or a tuple, in a database of the backend `DB`.
#[diagnostic::on_unimplemented(
    message = "values of the type `{K}` are not the keys of `{Self}`",
    label = "expected a value for each column, in a tuple if there are several"
)]
pub trait ComparesTo<K, DB: Backend>: KeysetOrder {
    /// Writes the condition for the rows after `key`.
    ///
    /// # Errors
    ///
    /// If a key value cannot be serialized.
    fn walk_after<'b>(
        columns: &'b Self::Columns,
        key: &'b K,
        out: AstPass<'_, 'b, DB>,
    ) -> QueryResult<()>;
}

macro_rules! single_columns {
    ($($direction:ident)*) => {$(
        impl<C: Column + Default + Send> KeysetOrder for $direction<C> {
            type Columns = C;
        }

        impl<C, K, DB> ComparesTo<K, DB> for $direction<C>
        where
            C: Column<SqlType: NotNullKey> + Default + Send + QueryFragment<DB>,
            DB: Backend + HasSqlType<C::SqlType>,
            K: ToSql<C::SqlType, DB>,
        {
            fn walk_after<'b>(
                column: &'b C,
                key: &'b K,
                mut out: AstPass<'_, 'b, DB>,
            ) -> QueryResult<()> {
                compare::<Self, K, DB>(column, key, "", &mut out)
            }
        }
    )*};
}

single_columns!(Asc Desc);

/// Writes `column > value`, or `column < value` in a descending order. `or_equal` is `"="` or empty.
fn compare<'b, S, V, DB>(
    column: &'b S::Column,
    value: &'b V,
    or_equal: &str,
    out: &mut AstPass<'_, 'b, DB>,
) -> QueryResult<()>
where
    S: SortKey<Column: QueryFragment<DB>>,
    DB: Backend + HasSqlType<<S::Column as Expression>::SqlType>,
    V: ToSql<<S::Column as Expression>::SqlType, DB>,
{
    column.walk_ast(out.reborrow())?;
    out.push_sql(if S::IS_DESCENDING { " <" } else { " >" });
    out.push_sql(or_equal);
    out.push_sql(" ");
    out.push_bind_param::<<S::Column as Expression>::SqlType, V>(value)
}

/// Writes `a >= x AND (a > x OR (b >= y AND (b > y OR c > z)))`.
///
/// The first comparison is what an index on the columns is used for. `(a, b) > (x, y)` would be shorter, but cannot mix
/// directions.
macro_rules! walk_columns {
    ($out:ident; $key:ident $column:ident $value:ident) => {
        compare::<$key, _, DB>($column, $value, "", &mut $out)?;
    };
    ($out:ident; $key:ident $column:ident $value:ident, $($rest:tt)+) => {
        compare::<$key, _, DB>($column, $value, "=", &mut $out)?;
        $out.push_sql(" AND (");
        compare::<$key, _, DB>($column, $value, "", &mut $out)?;
        $out.push_sql(" OR (");
        walk_columns!($out; $($rest)+);
        $out.push_sql("))");
    };
}

macro_rules! tuples {
    ($(($($key:ident $value_type:ident $column:ident $value:ident),+))*) => {$(
        impl<$($key: SortKey<Column: Send>),+> KeysetOrder for ($($key,)+)
        where
            Self: Expression,
        {
            type Columns = ($($key::Column,)+);
        }

        impl<$($key, $value_type,)+ DB> ComparesTo<($($value_type,)+), DB> for ($($key,)+)
        where
            Self: Expression,
            DB: Backend $(+ HasSqlType<<$key::Column as Expression>::SqlType>)+,
            $(
                $key: SortKey<Column: Send + QueryFragment<DB>>,
                <$key::Column as Expression>::SqlType: NotNullKey,
                $value_type: ToSql<<$key::Column as Expression>::SqlType, DB>,
            )+
        {
            fn walk_after<'b>(
                ($($column,)+): &'b Self::Columns,
                ($($value,)+): &'b ($($value_type,)+),
                mut out: AstPass<'_, 'b, DB>,
            ) -> QueryResult<()> {
                walk_columns!(out; $($key $column $value),+);
                Ok(())
            }
        }
    )*};
}

tuples! {
    (A VA a va)
    (A VA a va, B VB b vb)
    (A VA a va, B VB b vb, C VC c vc)
    (A VA a va, B VB b vb, C VC c vc, D VD d vd)
}

/// The condition that a row comes after a key. Without a key it holds for every row.
pub struct AfterKey<O: KeysetOrder, K> {
    columns: O::Columns,
    key: Option<K>,
}

impl<O: KeysetOrder, K> AfterKey<O, K> {
    pub(super) fn new(key: Option<K>) -> Self {
        Self { columns: O::Columns::default(), key }
    }
}

impl<O: KeysetOrder, K> fmt::Debug for AfterKey<O, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AfterKey")
    }
}

impl<O: KeysetOrder, K> Expression for AfterKey<O, K> {
    type SqlType = Bool;
}

impl<O, K, QS> AppearsOnTable<QS> for AfterKey<O, K> where
    O: KeysetOrder<Columns: AppearsOnTable<QS>>
{
}

impl<O, K, GB> ValidGrouping<GB> for AfterKey<O, K>
where
    O: KeysetOrder<Columns: ValidGrouping<GB>>,
{
    type IsAggregate = is_aggregate::No;
}

impl<O: KeysetOrder, K> QueryId for AfterKey<O, K> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<O: ComparesTo<K, DB>, K, DB: Backend> QueryFragment<DB> for AfterKey<O, K> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("(");
        match &self.key {
            Some(key) => O::walk_after(&self.columns, key, out.reborrow()).map_err(refused)?,
            None => out.push_sql("1 = 1"),
        }
        out.push_sql(")");
        Ok(())
    }
}

/// The key comes from a cursor of a client, so a value that the database cannot have is a fault of the cursor.
fn refused(error: DieselError) -> DieselError {
    match error {
        DieselError::SerializationError(_) => InvalidCursor(()).into(),
        error => error,
    }
}

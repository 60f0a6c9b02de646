//! Queries of any type, with `.bound_to::<Model>()`, on each backend.

use std::error::Error as StdError;

use diesel::prelude::*;
use diesel::query_builder::{AsQuery, AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error as DieselError;
use diesel::sql_types::{BigInt, Integer, Text};
use diesel_async::methods::LoadQuery;
use diesel_async::{AsyncConnection, AsyncConnectionCore, SimpleAsyncConnection};
use foreign_tables::{jobs, versions, workers};
use futures_util::TryStreamExt;
use registry_core::query::HiddenTable;
use registry_core::{
    BindDsl, Bound, Db as Database, Error, InsertBatchedDsl, Name, Registry, RunQueryDsl,
    bind_foreign, bind_tables,
};

use super::{Backend, NAME, database};

diesel::table! { readers (id) { id -> Integer, name -> Text, } }
diesel::table! { loans (id) { id -> Integer, reader_id -> Integer, } }
diesel::allow_tables_to_appear_in_same_query!(readers, loans);
bind_tables!(db = "default", connection = super::Backend; readers);
bind_tables!(db = "far", connection = super::Backend; loans);
bind_foreign!(db = "far", connection = super::Backend; jobs);
bind_foreign!(Main; workers, versions);
bind_foreign!(Far; versions);

// `allow_tables_to_appear_in_same_query!` needs one table of this crate at each place, and PostgreSQL's `Only` is of Diesel.
impl diesel::query_source::TableNotEqual<jobs::table> for readers::table {}
impl diesel::query_source::TableNotEqual<readers::table> for jobs::table {}

type Main = <readers::table as Bound>::Bind;
type Far = Database<Backend, Name<'f', 'a', 'r'>>;
type Db = <Backend as AsyncConnectionCore>::Backend;

/// The page of a query, as in Diesel's guide on pagination.
#[derive(Debug, Clone, Copy, QueryId)]
struct Paginated<T> {
    query: T,
    per_page: i64,
    offset: i64,
}

impl<T: Query> Query for Paginated<T> {
    type SqlType = (T::SqlType, BigInt);
}

impl<T: QueryFragment<Db>> QueryFragment<Db> for Paginated<T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        out.push_sql("SELECT *, COUNT(*) OVER () FROM (");
        self.query.walk_ast(out.reborrow())?;
        out.push_sql(") t LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.per_page)?;
        out.push_sql(" OFFSET ");
        out.push_bind_param::<BigInt, _>(&self.offset)?;
        Ok(())
    }
}

impl<T> Paginated<T> {
    /// As in Diesel's guide, on the connection itself.
    async fn load_and_count_pages<'q, U, C>(self, connection: &mut C) -> QueryResult<(Vec<U>, i64)>
    where
        T: Send + 'q,
        U: Send,
        C: AsyncConnection,
        Self: LoadQuery<'q, C, (U, i64)>,
    {
        let per_page = self.per_page;
        let rows = diesel_async::RunQueryDsl::load::<(U, i64)>(self, connection).await?;
        let total = rows.iter().map(|row| row.1).max().unwrap_or(0);
        Ok((rows.into_iter().map(|row| row.0).collect(), (total + per_page - 1) / per_page))
    }
}

type PageRow = ((i32, String), i64);

/// A keyset, as crates for pagination have it: it becomes a query only by `AsQuery`, and borrows its cursor.
struct Keyset<'c, T> {
    query: T,
    after: &'c i32,
}

impl<'c, T: Query> AsQuery for Keyset<'c, T> {
    type SqlType = T::SqlType;
    type Query = KeysetQuery<'c, T>;

    fn as_query(self) -> KeysetQuery<'c, T> {
        KeysetQuery(self)
    }
}

struct KeysetQuery<'c, T>(Keyset<'c, T>);

impl<T: Query> Query for KeysetQuery<'_, T> {
    type SqlType = T::SqlType;
}

impl<T: QueryFragment<Db>> QueryFragment<Db> for KeysetQuery<'_, T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        out.push_sql("SELECT * FROM (");
        self.0.query.walk_ast(out.reborrow())?;
        out.push_sql(") AS loans WHERE loans.id > ");
        out.push_bind_param::<Integer, _>(self.0.after)
    }
}

/// An update in a way of its own, which is no query, and cannot be cloned. It names its table without quotes.
struct Rename(&'static str, String);

impl QueryFragment<Db> for Rename {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        out.push_sql("UPDATE ");
        out.push_sql(self.0);
        out.push_sql(" SET name = ");
        out.push_bind_param::<Text, _>(&self.1)?;
        out.push_sql(" WHERE id IN (SELECT max_id FROM (SELECT max(id) AS max_id FROM ");
        out.push_identifier(self.0)?;
        out.push_sql(") AS newest)");
        Ok(())
    }
}

#[derive(Debug, PartialEq, QueryableByName)]
struct Reader {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Two databases. Each has its own tables alone.
async fn registry() -> Registry {
    let registry = Registry::builder()
        .bind("default", database())
        .bind("far", database())
        .build()
        .expect("good settings");
    let id = "id INTEGER PRIMARY KEY NOT NULL";
    let main = [
        format!("CREATE TABLE readers ({id}, name VARCHAR(50) NOT NULL)"),
        "INSERT INTO readers VALUES (1, 'ada'), (2, 'bob'), (3, 'eve')".to_owned(),
        format!("CREATE TABLE workers ({id})"),
        format!("CREATE TABLE versions ({id})"),
    ];
    let far = [
        format!("CREATE TABLE loans ({id}, reader_id INTEGER NOT NULL)"),
        format!("CREATE TABLE jobs ({id}, what VARCHAR(50) NOT NULL)"),
        format!("CREATE TABLE versions ({id})"),
    ];
    // Each statement names one database, and makes a table there.
    for statement in main {
        diesel::sql_query(statement).bound_to::<Main>().execute(&registry).await.expect("a table");
    }
    for statement in far {
        diesel::sql_query(statement).bound_to::<Far>().execute(&registry).await.expect("a table");
    }
    registry
}

/// The refusal inside an error, and the table that it names.
fn hidden(error: &(dyn StdError + 'static)) -> HiddenTable {
    let mut cause = error;
    loop {
        if let Some(DieselError::QueryBuilderError(inner)) = cause.downcast_ref() {
            let found = inner.downcast_ref::<HiddenTable>();
            return found.unwrap_or_else(|| panic!("not refused, but {error:?}")).clone();
        }
        cause = cause.source().unwrap_or_else(|| panic!("not refused, but {error:?}"));
    }
}

fn placeholder() -> &'static str {
    if NAME == "postgres" { "$1" } else { "?" }
}

#[tokio::test]
async fn every_executor_runs_queries_of_any_type() {
    let registry = registry().await;
    let page = || Paginated { query: readers::table.order(readers::id), per_page: 2, offset: 0 };
    let by_name = format!("SELECT name FROM readers WHERE id = {}", placeholder());
    let boxed_sql = || diesel::sql_query(&by_name).into_boxed::<Db>();
    let union = || {
        readers::table
            .select(readers::id)
            .union_all(diesel::dsl::sql::<Integer>("SELECT 41"))
            .bound_to::<Main>()
    };
    let after = 1;

    macro_rules! on {
        ($executor:expr) => {
            let rows: Vec<PageRow> = page().bound_to::<Main>().load($executor).await.expect("rows");
            assert_eq!(rows.len(), 2);
            assert_eq!(rows[0], ((1, "ada".to_owned()), 3));
            let by_reference = page();
            let row: PageRow =
                (&by_reference).bound_to::<Main>().get_result($executor).await.expect("a row");
            assert_eq!(row.1, 3);
            let rows =
                page().bound_to::<Main>().load_stream::<PageRow>($executor).await.expect("rows");
            assert_eq!(rows.try_collect::<Vec<_>>().await.expect("rows").len(), 2);

            let keyset =
                Keyset { query: readers::table.select(readers::all_columns), after: &after };
            let rows: Vec<(i32, String)> =
                keyset.bound_to::<Main>().load($executor).await.expect("rows");
            assert_eq!(rows.len(), 2);

            let renamed = Rename("readers", "eva".to_owned()).bound_to::<Main>();
            assert_eq!(renamed.execute($executor).await.expect("a row"), 1);

            let query = boxed_sql().bind::<Integer, _>(2).bound_to::<Main>();
            assert_eq!(query.load::<Reader>($executor).await.expect("a row")[0].name, "bob");
            let query = boxed_sql().bound_to::<Main>().bind::<Integer, _>(3).sql(" AND 1 = 1");
            assert_eq!(query.load::<Reader>($executor).await.expect("a row")[0].name, "eva");
            let query = diesel::sql_query(&by_name).bind::<Integer, _>(2).bound_to::<Main>();
            assert_eq!(query.get_result::<Reader>($executor).await.expect("a row").name, "bob");

            let mut ids: Vec<i32> = union().load($executor).await.expect("rows");
            ids.sort_unstable();
            assert_eq!(ids, [1, 2, 3, 41]);

            let count: i64 = workers::table
                .count()
                .bound_to::<Main>()
                .get_result($executor)
                .await
                .expect("a row");
            assert_eq!(count, 0);
        };
    }
    on!(&registry);
    let tenant = registry.tenant("acme").expect("a good name");
    on!(&tenant);
    let mut session = registry.session_for::<readers::table>().await.expect("a session");
    on!(&mut session);
    let (rows, pages): (Vec<(i32, String)>, i64) =
        page().load_and_count_pages(&mut session).await.expect("rows");
    assert_eq!((rows.len(), pages), (2, 2));
    drop(session);
    let mut work = registry.begin();
    on!(&mut work);
    work.commit().await.expect("a commit");
}

#[tokio::test]
async fn methods_of_diesel_work_after_it() {
    let registry = registry().await;
    let first: String = readers::table
        .bound_to::<Main>()
        .filter(readers::id.gt(1))
        .or_filter(readers::name.eq("ada"))
        .order(readers::name.desc())
        .then_order_by(readers::id)
        .select(readers::name)
        .offset(1)
        .first(&registry)
        .await
        .expect("a row");
    assert_eq!(first, "bob");
    let found = readers::table.bound_to::<Main>().find(3).get_result::<(i32, String)>(&registry);
    assert_eq!(found.await.expect("a row").1, "eve");
    let few = readers::table.bound_to::<Main>().select(readers::id).distinct().limit(2);
    assert_eq!(few.load::<i32>(&registry).await.expect("rows").len(), 2);
    let count: i64 =
        readers::table.bound_to::<Main>().count().get_result(&registry).await.expect("a row");
    assert_eq!(count, 3);
    let boxed = readers::table.into_boxed::<Db>().bound_to::<Main>().filter(readers::id.eq(2));
    assert_eq!(boxed.first::<(i32, String)>(&registry).await.expect("a row").1, "bob");
    // What is added is checked.
    let by_job =
        readers::table.bound_to::<Main>().filter(readers::id.eq_any(jobs::table.select(jobs::id)));
    let error = by_job.load::<(i32, String)>(&registry).await.expect_err("another database");
    assert_eq!(hidden(&error).name, "jobs");
}

#[tokio::test]
async fn tables_of_other_binds_are_found_in_sql_text() {
    let registry = registry().await;
    let quoted =
        |name: &str| if NAME == "mysql" { format!("`{name}`") } else { format!("\"{name}\"") };
    // Twice, as statements that have passed are cached.
    for _ in 0..2 {
        for text in [
            "SELECT id FROM loans".to_owned(),
            "select 1 from readers r join loans l on l.reader_id = r.id".to_owned(),
            format!("SELECT id FROM {}", quoted("loans")),
            "SELECT name FROM readers WHERE id IN (SELECT reader_id FROM loans)".to_owned(),
            "WITH x AS (SELECT 1 FROM loans) SELECT 1 FROM x".to_owned(),
            "DELETE FROM loans".to_owned(),
            "UPDATE loans SET id = 1".to_owned(),
            "INSERT INTO loans(id, reader_id) VALUES (1, 1)".to_owned(),
            "INSERT INTO readers SELECT id, 'x' FROM loans".to_owned(),
            "SELECT 1 -- from readers\n FROM /* it's */ loans".to_owned(),
            if NAME == "postgres" { "SELECT 1 FROM public.LOANS" } else { "SELECT 1 FROM LOANS" }
                .to_owned(),
            "SELECT 1 FROM jobs".to_owned(),
        ] {
            let name = if text.ends_with("jobs") { "jobs" } else { "loans" };
            let plain = diesel::sql_query(&text).bound_to::<Main>();
            let error = plain.execute(&registry).await.expect_err("another database");
            let found = hidden(&error);
            assert_eq!(
                (&*found.key, &*found.name, found.other.as_str()),
                ("default", name, "far"),
                "{text}"
            );
            let boxed = diesel::sql_query(&text).into_boxed::<Db>().bound_to::<Main>();
            let error = boxed.load::<Reader>(&registry).await.expect_err("another database");
            assert_eq!(hidden(&error).name, name, "{text}");
            let mut session = registry.session::<Main>().await.expect("a session");
            let plain = diesel::sql_query(&text).bound_to::<Main>();
            assert_eq!(
                hidden(&plain.execute(&mut session).await.expect_err("another database")).name,
                name
            );
        }
    }
    // In `sql`, in a query type of the program, and in the rows of an insert.
    let condition =
        || diesel::dsl::sql::<diesel::sql_types::Bool>("id IN (SELECT reader_id FROM loans)");
    let filtered = readers::table.filter(condition()).bound_to::<Main>();
    let error = filtered.load::<(i32, String)>(&registry).await.expect_err("another database");
    assert_eq!(hidden(&error).name, "loans");
    let page = Paginated { query: readers::table.filter(condition()), per_page: 1, offset: 0 };
    let page = page.bound_to::<Main>().load::<((i32, String), i64)>(&registry);
    assert_eq!(hidden(&page.await.expect_err("another database")).name, "loans");
    let renamed = Rename("loans", String::new()).bound_to::<Main>();
    let error = renamed.execute(&registry).await.expect_err("another database");
    assert_eq!(hidden(&error).name, "loans");
    let id = || diesel::dsl::sql::<Integer>("(SELECT max(id) FROM loans)");
    let rows = vec![(readers::id.eq(id()), readers::name.eq("x")); 2];
    let insert = diesel::insert_into(readers::table).values(rows).bound_to::<Main>();
    let error = insert.execute(&registry).await.expect_err("another database");
    assert_eq!(hidden(&error).name, "loans");

    let text = "a query for bind `default` has the table `loans`, which belongs to bind `far`. If bind \
                `default` has a table of that name too, bind it, or run the query without `bound_to`, on a session";
    let loans = diesel::sql_query("SELECT 1 FROM loans").bound_to::<Main>();
    let error = loans.execute(&registry).await.expect_err("another database");
    assert_eq!(hidden(&error).to_string(), text);
}

#[tokio::test]
async fn other_names_in_sql_text_are_no_tables() {
    let registry = registry().await;
    for text in [
        "SELECT name, 1 AS loans FROM readers ORDER BY loans",
        "SELECT loans.name FROM readers loans",
        "SELECT loans.name FROM readers AS loans",
        "WITH loans AS (SELECT name FROM readers) SELECT name FROM loans",
        "SELECT name FROM readers WHERE name <> 'FROM loans'",
        "SELECT name FROM readers -- FROM loans",
        "SELECT r.name FROM readers r, readers s WHERE r.id = s.id AND r.id IN (SELECT id FROM readers)",
    ] {
        let query = diesel::sql_query(text).bound_to::<Main>();
        let rows: Vec<Reader> = query.load(&registry).await.expect(text);
        assert_eq!(rows.len(), 3, "{text}");
    }
    // A statement that defines something, such as a table that moves from one database to another.
    for text in
        ["CREATE TABLE loans (id INTEGER)", "ALTER TABLE loans ADD x INTEGER", "DROP TABLE loans"]
    {
        diesel::sql_query(text).bound_to::<Main>().execute(&registry).await.expect(text);
    }
    // Without `bound_to`, the text is the program's own matter.
    let mut session = registry.session::<Far>().await.expect("a session");
    session.batch_execute("CREATE TABLE readers (name VARCHAR(50))").await.expect("a table");
    let rows: Vec<Reader> =
        diesel::sql_query("SELECT name FROM readers").load(&mut session).await.expect("no rows");
    assert_eq!(rows, []);
}

#[tokio::test]
async fn tables_of_another_crate_belong_to_the_bind_they_are_declared_for() {
    let registry = registry().await;
    let new_job = || (jobs::id.eq(1), jobs::what.eq("post"));
    let insert = || diesel::insert_into(jobs::table).values(new_job());
    assert_eq!(insert().bound_to::<Far>().execute(&registry).await.expect("a row"), 1);
    let more = [(jobs::id.eq(2), jobs::what.eq("sort")), (jobs::id.eq(3), jobs::what.eq("file"))];
    let more = || jobs::table.insert_batched(&more);
    assert_eq!(more().bound_to::<Far>().execute(&registry).await.expect("two rows"), 2);
    let what: String =
        jobs::table.select(jobs::what).bound_to::<Far>().first(&registry).await.expect("a row");
    assert_eq!(what, "post");

    let refused = |error: Error| {
        let found = hidden(&error);
        assert_eq!((&*found.key, &*found.name, found.other.as_str()), ("default", "jobs", "far"));
    };
    refused(insert().bound_to::<Main>().execute(&registry).await.expect_err("another database"));
    refused(more().bound_to::<Main>().execute(&registry).await.expect_err("another database"));
    let rows = jobs::table.bound_to::<Main>().load::<(i32, String)>(&registry).await;
    refused(rows.expect_err("another database"));
    // In a query that finds its own database.
    let last = || jobs::table.select(jobs::id).limit(1).single_value();
    let rows = readers::table.select((readers::id, last())).load::<(i32, Option<i32>)>(&registry);
    refused(rows.await.expect_err("another database"));
    let rows = readers::table.into_boxed::<Db>().select((readers::id, last()));
    refused(rows.load::<(i32, Option<i32>)>(&registry).await.expect_err("another database"));

    // A table that is declared for both.
    let count = versions::table.count();
    assert_eq!(count.bound_to::<Main>().get_result::<i64>(&registry).await.expect("a row"), 0);
    assert_eq!(count.bound_to::<Far>().get_result::<i64>(&registry).await.expect("a row"), 0);

    let without_far =
        Registry::builder().bind("default", database()).build().expect("good settings");
    let failures = without_far.verify().await.expect_err("a bind is missing").to_string();
    assert!(failures.contains("table `"), "{failures}");
    assert!(failures.contains("::jobs`"), "{failures}");
}

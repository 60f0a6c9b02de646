//! Parts of queries as functions: conditions, joins, and whole queries, with their types written, inferred or boxed.

use diesel::dsl::{self, auto_type};
use diesel::sql_types::{Bool, Text};

use super::prelude::*;

diesel::table! {
    crates (id) { id -> Integer, name -> VarChar, downloads -> Integer, }
}
diesel::table! {
    versions (id) { id -> Integer, crate_id -> Integer, number -> VarChar, yanked -> Bool, }
}
diesel::joinable!(versions -> crates (crate_id));
diesel::allow_tables_to_appear_in_same_query!(crates, versions);

pub(super) const TABLES: &[&str] = &[
    "CREATE TABLE crates (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL, downloads INTEGER NOT NULL)",
    "INSERT INTO crates VALUES (1, 'Serde', 900), (2, 'rand', 800), (3, 'left_pad', 7)",
    "CREATE TABLE versions (id INTEGER PRIMARY KEY NOT NULL, crate_id INTEGER NOT NULL, number VARCHAR(50) NOT NULL, \
        yanked BOOLEAN NOT NULL)",
    "INSERT INTO versions VALUES (1, 1, '0.9', TRUE), (2, 1, '1.0', FALSE), (3, 2, '0.8', FALSE)",
];

diesel::define_sql_function! {
    /// How crates are compared by name.
    #[sql_name = "LOWER"]
    fn canon_crate_name(name: Text) -> Text;
}

#[derive(Debug, PartialEq, Identifiable, HasQuery)]
#[diesel(table_name = crates, check_for_backend(Db))]
struct Crate {
    id: i32,
    name: String,
}

#[derive(Debug, PartialEq, Queryable, Selectable, Identifiable, Associations)]
#[diesel(belongs_to(Crate), check_for_backend(Db))]
struct Version {
    id: i32,
    crate_id: i32,
    number: String,
}

type WithName<'a> = dsl::Eq<canon_crate_name<crates::name>, canon_crate_name<&'a str>>;
type ByName<'a> = dsl::Filter<crates::table, WithName<'a>>;

fn with_name(name: &str) -> WithName<'_> {
    canon_crate_name(crates::name).eq(canon_crate_name(name))
}

fn by_name(name: &str) -> ByName<'_> {
    crates::table.filter(with_name(name))
}

#[auto_type(no_type_alias)]
fn popular(at_least: i32) -> _ {
    crates::table.filter(crates::downloads.ge(at_least))
}

#[auto_type(no_type_alias)]
fn with_versions() -> _ {
    crates::table.inner_join(versions::table)
}

fn not_yanked() -> Box<dyn BoxableExpression<versions::table, Db, SqlType = Bool>> {
    Box::new(versions::yanked.eq(false))
}

impl Crate {
    fn search(part: Option<&str>, at_least: Option<i32>) -> crates::BoxedQuery<'_, Db> {
        let mut query = crates::table.into_boxed();
        if let Some(part) = part {
            query = query.filter(crates::name.like(format!("%{part}%")));
        }
        if let Some(at_least) = at_least {
            query = query.filter(crates::downloads.ge(at_least));
        }
        query.order(crates::name)
    }

    async fn find_by_name(connection: &mut Connection, name: &str) -> QueryResult<Option<Self>> {
        by_name(name).select(Self::as_select()).first(connection).await.optional()
    }

    async fn all(connection: &mut Connection) -> QueryResult<Vec<Self>> {
        Self::query().order(crates::id).load(connection).await
    }

    async fn versions(&self, connection: &mut Connection) -> QueryResult<Vec<Version>> {
        Version::belonging_to(self)
            .filter(not_yanked())
            .order(versions::id.desc())
            .select(Version::as_select())
            .load(connection)
            .await
    }
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    let serde = Crate::find_by_name(connection, "SERDE").await?.expect("it is there");
    assert_eq!(serde.name, "Serde");
    assert_eq!(Crate::find_by_name(connection, "tokio").await?, None);
    assert_eq!(Crate::all(connection).await?[0], serde);
    let versions = serde.versions(connection).await?;
    assert_eq!(versions.iter().map(|version| &*version.number).collect::<Vec<_>>(), ["1.0"]);

    let names = popular(100).select(crates::name).order(crates::id);
    assert_eq!(names.load::<String>(&mut *connection).await?, ["Serde", "rand"]);
    let found = Crate::search(Some("r"), Some(850)).select(crates::name);
    assert_eq!(found.load::<String>(&mut *connection).await?, ["Serde"]);
    let all = Crate::search(None, None).select(crates::id);
    assert_eq!(all.load::<i32>(&mut *connection).await?.len(), 3);

    let counts: Vec<(String, i64)> = with_versions()
        .group_by(crates::name)
        .having(dsl::count(versions::id).gt(1))
        .select((crates::name, dsl::count(versions::id)))
        .load(&mut *connection)
        .await?;
    assert_eq!(counts, [("Serde".to_owned(), 2)]);
    let yanked = versions::table.filter(versions::crate_id.eq(crates::id)).filter(versions::yanked);
    let with_yanked = crates::table.filter(dsl::exists(yanked)).select(crates::id);
    assert_eq!(with_yanked.load::<i32>(&mut *connection).await?, [1]);
    let without = crates::table
        .filter(crates::id.ne_all(versions::table.select(versions::crate_id)))
        .select(crates::name);
    assert_eq!(without.load::<String>(&mut *connection).await?, ["left_pad"]);
    let there = dsl::select(dsl::exists(by_name("rand")));
    assert!(there.get_result::<bool>(&mut *connection).await?);

    let other = diesel::alias!(crates as other);
    let more_popular = crates::table
        .inner_join(other.on(other.field(crates::downloads).gt(crates::downloads)))
        .filter(crates::name.eq("rand"))
        .select(other.field(crates::name));
    assert_eq!(more_popular.load::<String>(&mut *connection).await?, ["Serde"]);
    let copied = versions::table.filter(versions::id.eq(3)).select((
        versions::id + 10,
        versions::crate_id,
        versions::number,
        versions::yanked,
    ));
    let inserted = diesel::insert_into(versions::table)
        .values(copied)
        .into_columns((versions::id, versions::crate_id, versions::number, versions::yanked))
        .execute(&mut *connection)
        .await?;
    assert_eq!(inserted, 1);
    let both = popular(850).select(crates::id).union(versions::table.select(versions::crate_id));
    assert_eq!(both.load::<i32>(connection).await?.len(), 2);
    Ok(())
}

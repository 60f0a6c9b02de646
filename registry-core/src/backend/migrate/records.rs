//! The registry's table with the name and the bind of each migration version.
//!
//! Diesel's table has the versions that were run, but not their names. Two programs, or two binds, that share a database
//! can both have a migration of one version, and the second migration would count as run. So the registry has a table of
//! its own for the names, in the same schema as Diesel's table. Diesel's command-line tool ignores the registry's table,
//! because its name begins with `__`.
//!
//! A record belongs to one run of a version: it has the same time as the row in Diesel's table. A version that was
//! reverted and run again by Diesel's tool has another time, and its old record no longer counts.

use diesel::QueryResult;

diesel::table! {
    __diesel_schema_migrations (version) {
        version -> VarChar,
        run_on -> Timestamp,
    }
}

diesel::table! {
    __registry_schema_migrations (version) {
        version -> VarChar,
        name -> Text,
        bind -> Text,
        run_on -> Timestamp,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    __diesel_schema_migrations,
    __registry_schema_migrations
);

/// Like Diesel's table, with two more columns.
pub(crate) const CREATE: &str = "CREATE TABLE IF NOT EXISTS __registry_schema_migrations (\
     version VARCHAR(50) PRIMARY KEY NOT NULL, \
     name TEXT NOT NULL, \
     bind VARCHAR(64) NOT NULL, \
     run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)";

/// The version of the mark, see [`Records::mark`]. No migration has it, and Diesel's table does not know it.
pub(crate) const MARK: &str = "-";

/// A version that was run, with the name of its migration and its bind.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) version: String,
    /// The name of the migration.
    pub(crate) name: String,
    /// The key of the bind that ran it.
    pub(crate) bind: String,
}

/// Diesel's table of versions and the registry's table of records, on a blocking connection.
pub(crate) trait Records {
    /// Creates the registry's table unless it exists.
    fn create_records(&mut self) -> QueryResult<()>;

    /// The records of the versions that are in Diesel's table.
    fn records(&mut self) -> QueryResult<Vec<Record>>;

    /// The versions in Diesel's table, with the time at which each was run, as this SQL expression gives it.
    fn versions(&mut self, run_on: &str) -> QueryResult<Vec<(String, Option<String>)>>;

    /// Removes a version from both tables.
    fn forget_version(&mut self, version: &str) -> QueryResult<()>;

    /// Adds a version to Diesel's table.
    fn note_version(&mut self, version: &str) -> QueryResult<()>;

    /// Adds or replaces the record of a version that is in Diesel's table.
    fn record(&mut self, record: &Record) -> QueryResult<()>;

    /// Adds the mark, a row that exists until the transaction is rolled back. If the row is missing later, the transaction
    /// was rolled back.
    fn mark(&mut self) -> QueryResult<()>;

    /// Whether the row of the mark exists.
    fn is_marked_as_run(&mut self) -> QueryResult<bool>;

    /// Removes the row of the mark if it exists.
    fn unmark(&mut self) -> QueryResult<()>;

    /// Whether Diesel's table has a version.
    fn has_version(&mut self, version: &str) -> QueryResult<bool>;
}

/// Implements [`Records`] for a type of connection. Each backend calls it once.
macro_rules! records_by_diesel {
    ($connection:ty) => {
        // A module of its own: the Diesel traits imported in it would be ambiguous beside the traits of diesel-async.
        mod migration_records {
            impl $crate::backend::migrate::records::Records
                for diesel_async::async_connection_wrapper::AsyncConnectionWrapper<$connection>
            {
                fn create_records(&mut self) -> diesel::QueryResult<()> {
                    let create = $crate::backend::migrate::records::CREATE;
                    diesel::connection::SimpleConnection::batch_execute(self, create)
                }

                fn records(
                    &mut self,
                ) -> diesel::QueryResult<Vec<$crate::backend::migrate::records::Record>> {
                    use diesel::prelude::*;
                    use $crate::backend::migrate::records::__diesel_schema_migrations as known;
                    use $crate::backend::migrate::records::__registry_schema_migrations as records;

                    let is_of_run =
                        known::version.eq(records::version).and(known::run_on.eq(records::run_on));
                    let rows = records::table
                        .inner_join(known::table.on(is_of_run))
                        .select((records::version, records::name, records::bind))
                        .load::<(String, String, String)>(self)?;
                    let record = |(version, name, bind)| {
                        $crate::backend::migrate::records::Record { version, name, bind }
                    };
                    Ok(rows.into_iter().map(record).collect())
                }

                fn versions(
                    &mut self,
                    run_on: &str,
                ) -> diesel::QueryResult<Vec<(String, Option<String>)>> {
                    use diesel::dsl::sql;
                    use diesel::prelude::*;
                    use diesel::sql_types::{Nullable, Text};
                    use $crate::backend::migrate::records::__diesel_schema_migrations as known;

                    known::table
                        .select((known::version, sql::<Nullable<Text>>(run_on)))
                        .order(known::version)
                        .load(self)
                }

                fn forget_version(&mut self, version: &str) -> diesel::QueryResult<()> {
                    use diesel::prelude::*;
                    use $crate::backend::migrate::records::__diesel_schema_migrations as known;
                    use $crate::backend::migrate::records::__registry_schema_migrations as records;

                    diesel::delete(records::table.find(version)).execute(self)?;
                    diesel::delete(known::table.find(version)).execute(self).map(drop)
                }

                fn note_version(&mut self, version: &str) -> diesel::QueryResult<()> {
                    use diesel::prelude::*;
                    use $crate::backend::migrate::records::__diesel_schema_migrations as known;

                    let noted =
                        diesel::insert_into(known::table).values(known::version.eq(version));
                    noted.execute(self).map(drop)
                }

                fn record(
                    &mut self,
                    record: &$crate::backend::migrate::records::Record,
                ) -> diesel::QueryResult<()> {
                    use diesel::prelude::*;
                    use diesel::sql_types::Text;
                    use $crate::backend::migrate::records::__diesel_schema_migrations as known;
                    use $crate::backend::migrate::records::__registry_schema_migrations as records;

                    diesel::delete(records::table.find(&record.version)).execute(self)?;
                    let columns = (
                        known::version,
                        record.name.as_str().into_sql::<Text>(),
                        record.bind.as_str().into_sql::<Text>(),
                        known::run_on,
                    );
                    diesel::insert_into(records::table)
                        .values(known::table.find(&record.version).select(columns))
                        .into_columns((
                            records::version,
                            records::name,
                            records::bind,
                            records::run_on,
                        ))
                        .execute(self)
                        .map(drop)
                }

                fn mark(&mut self) -> diesel::QueryResult<()> {
                    use diesel::prelude::*;
                    use $crate::backend::migrate::records::__registry_schema_migrations as records;

                    let mark = (
                        records::version.eq($crate::backend::migrate::records::MARK),
                        records::name.eq("a migration that has not come to its end"),
                        records::bind.eq(""),
                    );
                    diesel::insert_into(records::table).values(mark).execute(self).map(drop)
                }

                fn is_marked_as_run(&mut self) -> diesel::QueryResult<bool> {
                    use diesel::prelude::*;
                    use $crate::backend::migrate::records::__registry_schema_migrations as records;

                    let mark = records::table
                        .find($crate::backend::migrate::records::MARK)
                        .select(records::version);
                    Ok(mark.first::<String>(self).optional()?.is_some())
                }

                fn unmark(&mut self) -> diesel::QueryResult<()> {
                    use diesel::prelude::*;
                    use $crate::backend::migrate::records::__registry_schema_migrations as records;

                    diesel::delete(records::table.find($crate::backend::migrate::records::MARK))
                        .execute(self)
                        .map(drop)
                }

                fn has_version(&mut self, version: &str) -> diesel::QueryResult<bool> {
                    use diesel::prelude::*;
                    use $crate::backend::migrate::records::__diesel_schema_migrations as known;

                    let found = known::table.find(version).select(known::version);
                    Ok(found.first::<String>(self).optional()?.is_some())
                }
            }
        }
    };
}
pub(crate) use records_by_diesel;

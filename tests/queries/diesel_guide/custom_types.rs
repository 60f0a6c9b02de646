//! A column of an enum type of the database.

use std::io::Write;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};

use super::prelude::*;

mod sql_types {
    #[derive(Debug, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "language"))]
    pub struct Language;
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Language;

    translations (word_id, translation_id) {
        word_id -> Integer,
        translation_id -> Integer,
        language -> Language,
    }
}

pub(super) const TABLES: &[&str] = &[
    "CREATE TYPE language AS ENUM ('en', 'ru', 'de')",
    "CREATE TABLE translations (word_id INTEGER NOT NULL, translation_id INTEGER NOT NULL, \
        language language NOT NULL, PRIMARY KEY (word_id, translation_id))",
];

#[derive(Debug, PartialEq, AsExpression, FromSqlRow)]
#[diesel(sql_type = sql_types::Language)]
enum Language {
    English,
    German,
}

impl ToSql<sql_types::Language, Pg> for Language {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(match self {
            Self::English => b"en",
            Self::German => b"de",
        })?;
        Ok(IsNull::No)
    }
}

impl FromSql<sql_types::Language, Pg> for Language {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        match bytes.as_bytes() {
            b"en" => Ok(Self::English),
            b"de" => Ok(Self::German),
            _ => Err("a language that is not known".into()),
        }
    }
}

#[derive(Debug, PartialEq, Queryable, Insertable)]
struct Translation {
    word_id: i32,
    translation_id: i32,
    language: Language,
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    diesel::insert_into(translations::table)
        .values(&Translation { word_id: 1, translation_id: 1, language: Language::English })
        .execute(&mut *connection)
        .await?;
    diesel::insert_into(translations::table)
        .values(Translation { word_id: 1, translation_id: 2, language: Language::German })
        .execute(&mut *connection)
        .await?;
    let found = translations::table
        .filter(translations::language.eq(Language::German))
        .select((translations::word_id, translations::translation_id, translations::language))
        .get_results::<Translation>(connection)
        .await?;
    assert_eq!(found, [Translation { word_id: 1, translation_id: 2, language: Language::German }]);
    Ok(())
}

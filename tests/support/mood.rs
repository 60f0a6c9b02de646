//! A PostgreSQL enum type with its Rust counterpart, as an application defines them.

use std::io::Write;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::SqlType;

/// The statement that creates the type.
pub(crate) const CREATE_MOOD: &str = "CREATE TYPE mood AS ENUM ('sad', 'happy', 'calm')";

#[derive(Debug, SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(name = "mood"))]
pub struct MoodType;

#[derive(Clone, Copy, Debug, PartialEq, AsExpression, FromSqlRow)]
#[diesel(sql_type = MoodType)]
pub(crate) enum Mood {
    Sad,
    Happy,
    Calm,
}

impl Mood {
    const ALL: [(Self, &'static [u8]); 3] =
        [(Self::Sad, b"sad"), (Self::Happy, b"happy"), (Self::Calm, b"calm")];

    /// The value for a number, in rotation.
    pub(crate) fn of(number: u64) -> Self {
        Self::ALL[(number % 3) as usize].0
    }
}

impl ToSql<MoodType, Pg> for Mood {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let (_, label) = Self::ALL.iter().find(|(mood, _)| mood == self).expect("one of them");
        out.write_all(label)?;
        Ok(IsNull::No)
    }
}

impl FromSql<MoodType, Pg> for Mood {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let found = Self::ALL.iter().find(|(_, label)| *label == value.as_bytes());
        found.map(|(mood, _)| *mood).ok_or_else(|| "another label".into())
    }
}

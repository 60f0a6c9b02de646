//! Functions of the database that return composite types, of columns and without a table.

use diesel::declare_sql_function;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::{Float, Integer, Record, Text};

use super::prelude::*;

diesel::table! {
    colors (id) { id -> Integer, red -> Integer, green -> Integer, name -> Nullable<Text>, }
}
diesel::table! {
    coordinates (id) { id -> Integer, x -> Integer, y -> Integer, }
}

pub(super) const TABLES: &[&str] = &[
    "CREATE TABLE colors (id SERIAL PRIMARY KEY, red INTEGER NOT NULL, green INTEGER NOT NULL, name TEXT)",
    "INSERT INTO colors (red, green, name) VALUES (100, 50, 'rust'), (0, 200, NULL)",
    "CREATE TYPE shade AS (intensity FLOAT4, suggestion TEXT)",
    "CREATE FUNCTION shade_of(red INTEGER, green INTEGER) RETURNS shade AS \
        $$ SELECT ROW((red + green)::FLOAT4 / 2, 'grey' || (red + green) / 2)::shade $$ LANGUAGE SQL",
    "CREATE TABLE coordinates (id SERIAL PRIMARY KEY, x INTEGER NOT NULL, y INTEGER NOT NULL)",
    "INSERT INTO coordinates (x, y) VALUES (0, 1), (3, 4)",
    "CREATE FUNCTION distance(x INTEGER, y INTEGER) RETURNS FLOAT4 AS \
        $$ SELECT SQRT(x * x + y * y)::FLOAT4 $$ LANGUAGE SQL",
    "CREATE FUNCTION nearest(OUT id INTEGER, OUT distance FLOAT4) AS \
        $$ SELECT id, distance(x, y) FROM coordinates ORDER BY 2 LIMIT 1 $$ LANGUAGE SQL",
];

/// How Diesel calls the composite type.
type PgShade = Record<(Float, Text)>;

#[derive(Debug, PartialEq, FromSqlRow)]
struct Shade {
    intensity: f32,
    suggestion: String,
}

impl FromSql<PgShade, Pg> for Shade {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        let (intensity, suggestion) = FromSql::<PgShade, Pg>::from_sql(bytes)?;
        Ok(Self { intensity, suggestion })
    }
}

#[declare_sql_function]
extern "SQL" {
    fn shade_of(red: Integer, green: Integer) -> Record<(Float, Text)>;
    #[sql_name = "shade_of"]
    fn named_shade_of(red: Integer, green: Integer) -> PgShade;
    fn distance(x: Integer, y: Integer) -> Float;
    fn nearest() -> Record<(Integer, Float)>;
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    let plain: Vec<(i32, i32, i32, Option<String>)> = colors::table
        .select((colors::id, colors::red, colors::green, colors::name))
        .load(&mut *connection)
        .await?;
    assert_eq!(plain.len(), 2);
    let grey = |intensity: f32| Shade { intensity, suggestion: format!("grey{intensity}") };
    let shades: Vec<(i32, Shade)> = colors::table
        .select((colors::id, shade_of(colors::red, colors::green)))
        .load(&mut *connection)
        .await?;
    assert_eq!(shades, [(1, grey(75.0)), (2, grey(100.0))]);
    let shades: Vec<(i32, Shade)> = colors::table
        .select((colors::id, named_shade_of(colors::red, colors::green)))
        .load(&mut *connection)
        .await?;
    assert_eq!(shades[0].1, grey(75.0));
    let distances: Vec<(i32, f32)> = coordinates::table
        .select((coordinates::id, distance(coordinates::x, coordinates::y)))
        .load(&mut *connection)
        .await?;
    assert_eq!(distances, [(1, 1.0), (2, 5.0)]);
    let nearest: (i32, f32) = diesel::select(nearest()).get_result(connection).await?;
    assert_eq!(nearest, (1, 1.0));
    Ok(())
}

//! What the data say, with figures of one database and names of the other.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;

use diesel::dsl::sum;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_core::{Bind, Registry};

use super::{Airport, Analytics, Main, Route, airports, routes};

const TOP: i64 = 10;

pub(super) struct Report {
    airports: i64,
    routes: i64,
    flights: i64,
    busiest: Vec<Route>,
    departures: Vec<(String, i64)>,
    /// Those that the report speaks of, by their code.
    names: HashMap<String, Airport>,
}

impl Report {
    pub(super) async fn of(registry: &Registry) -> Result<Self, Box<dyn Error>> {
        let mut analytics = registry.session_for::<Route>().await?;
        let busiest = routes::table
            .order((routes::flights.desc(), routes::origin, routes::destination))
            .limit(TOP)
            .select(Route::as_select())
            .load(&mut analytics)
            .await?;
        // A sum over no rows is NULL.
        let departures: Vec<(String, Option<i64>)> = routes::table
            .group_by(routes::origin)
            .select((routes::origin, sum(routes::flights)))
            .order((sum(routes::flights).desc(), routes::origin))
            .limit(TOP)
            .load(&mut analytics)
            .await?;
        let flights: Option<i64> =
            routes::table.select(sum(routes::flights)).get_result(&mut analytics).await?;
        let routes = routes::table.count().get_result(&mut analytics).await?;

        let codes = busiest
            .iter()
            .flat_map(|route| [&route.origin, &route.destination])
            .chain(departures.iter().map(|(code, _)| code));
        let mut main = registry.session_for::<Airport>().await?;
        let named: Vec<Airport> = airports::table
            .filter(airports::iata.eq_any(codes))
            .select(Airport::as_select())
            .load(&mut main)
            .await?;

        Ok(Self {
            airports: airports::table.count().get_result(&mut main).await?,
            routes,
            flights: flights.unwrap_or(0),
            busiest,
            departures: departures
                .into_iter()
                .map(|(code, flights)| (code, flights.unwrap_or(0)))
                .collect(),
            names: named.into_iter().map(|airport| (airport.iata.clone(), airport)).collect(),
        })
    }

    /// The code alone, if the other database does not know it.
    fn name(&self, code: &str) -> String {
        match self.names.get(code) {
            Some(Airport { name, city, .. }) => format!("{code} {name}, {city}"),
            None => code.to_owned(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} airports", Main::KEY, grouped(self.airports))?;
        writeln!(f, "{}: {} routes", Analytics::KEY, grouped(self.routes))?;
        writeln!(f, "\n{} flights in 2008", grouped(self.flights))?;
        writeln!(f, "\nThe busiest routes:")?;
        for Route { origin, destination, flights } in &self.busiest {
            let (origin, destination) = (self.name(origin), self.name(destination));
            writeln!(f, "{:>9}  {origin} -> {destination}", grouped((*flights).into()))?;
        }
        writeln!(f, "\nThe airports with the most departures:")?;
        for (code, flights) in &self.departures {
            writeln!(f, "{:>9}  {}", grouped(*flights), self.name(code))?;
        }
        Ok(())
    }
}

/// `7009728` as `7,009,728`.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

//! The busiest routes and airports: figures from one database, names from the other.

use std::collections::HashMap;
use std::fmt;

use diesel::dsl::sum;
use diesel::prelude::*;
use registry_core::{Error, Registry, RunQueryDsl};

use super::numbers::grouped;
use crate::{Airport, Route, airports, routes};

const TOP: i64 = 10;

/// What the report shows, loaded from both databases.
pub(crate) struct Report {
    busiest: Vec<Route>,
    departures: Vec<(String, i64)>,
    /// The airports in the lists above, by their code.
    names: HashMap<String, Airport>,
}

impl Report {
    pub(crate) async fn of(registry: &Registry) -> Result<Self, Error> {
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

        // Two databases cannot be joined, so the names are a second query.
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
            busiest,
            departures: departures
                .into_iter()
                .map(|(code, flights)| (code, flights.unwrap_or(0)))
                .collect(),
            names: named.into_iter().map(|airport| (airport.iata.clone(), airport)).collect(),
        })
    }

    /// The code with the name of its airport, or alone where the other database does not have it.
    fn name(&self, code: &str) -> String {
        match self.names.get(code) {
            Some(Airport { name, city, .. }) => format!("{code} {name}, {city}"),
            None => code.to_owned(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The busiest routes:")?;
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

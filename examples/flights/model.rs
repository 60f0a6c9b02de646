//! The tables and models of the quickstart, bound to the `Main` and `Analytics` of the example that mounts this
//! module. The quickstart declares its own, so that it can be read alone.

use diesel::prelude::*;
use registry_core::{bind, bind_tables};
use serde::Deserialize;

use crate::{Analytics, Main};

diesel::table! {
    airports (iata) {
        iata -> Text,
        name -> Text,
        city -> Text,
        state -> Text,
        country -> Text,
        latitude -> Double,
        longitude -> Double,
    }
}

diesel::table! {
    routes (origin, destination) {
        origin -> Text,
        destination -> Text,
        flights -> Integer,
    }
}

bind_tables!(Main; airports);
bind_tables!(Analytics; routes);

#[bind(Main)]
#[derive(Debug, Deserialize, Queryable, Selectable, Insertable)]
#[diesel(table_name = airports)]
pub(crate) struct Airport {
    pub(crate) iata: String,
    pub(crate) name: String,
    pub(crate) city: String,
    pub(crate) state: String,
    country: String,
    latitude: f64,
    longitude: f64,
}

#[bind(Analytics)]
#[derive(Debug, Deserialize, Queryable, Selectable, Insertable)]
#[diesel(table_name = routes)]
pub(crate) struct Route {
    pub(crate) origin: String,
    pub(crate) destination: String,
    #[serde(rename = "count")]
    pub(crate) flights: i32,
}

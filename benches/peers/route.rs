//! Finding the engine of a bind, by `engine_for`: what `session_for` begins with.
//!
//! It looks the engine up, and increments and decrements its reference count. Nothing connects.

use std::hint::black_box;

use registry_core::{Bound, Registry, binds};

use crate::case::{Case, Outcome, Subject, Worker};
use crate::places::Place;

binds! {
    B0: Postgres = "b0"; B1: Postgres = "b1"; B2: Postgres = "b2"; B3: Postgres = "b3";
    B4: Postgres = "b4"; B5: Postgres = "b5"; B6: Postgres = "b6"; B7: Postgres = "b7";
    B8: Postgres = "b8"; B9: Postgres = "b9"; B111: Postgres = "b111"; B222: Postgres = "b222";
    B333: Postgres = "b333"; B444: Postgres = "b444"; B555: Postgres = "b555";
    B666: Postgres = "b666"; B777: Postgres = "b777"; B888: Postgres = "b888";
    B999: Postgres = "b999";
}

pub(crate) fn case() -> Case {
    let routes =
        |name, routes: fn() -> Routes| Subject::new(name, move |_| async move { routes() });
    let subjects = [
        routes("ours-1-bind", one),
        routes("ours-10-binds", ten),
        routes("ours-1000-binds", thousand),
    ];
    Case::new("route", 1, Place::Nowhere, subjects)
}

#[derive(Clone)]
struct Routes {
    registry: Registry,
    hundred: fn(&Registry),
}

/// A hundred lookups of ten binds in turn, as some keys are found faster than others.
macro_rules! hundred {
    ($($bind:ident)+) => {
        |registry: &Registry| for _ in 0..100 / const { [$(stringify!($bind)),+].len() } {
            $(route::<$bind>(registry);)+
        }
    };
}

fn one() -> Routes {
    Routes { registry: registry(1), hundred: hundred!(B0 B0 B0 B0 B0 B0 B0 B0 B0 B0) }
}

fn ten() -> Routes {
    Routes { registry: registry(10), hundred: hundred!(B0 B1 B2 B3 B4 B5 B6 B7 B8 B9) }
}

fn thousand() -> Routes {
    let hundred = hundred!(B0 B111 B222 B333 B444 B555 B666 B777 B888 B999);
    Routes { registry: registry(1000), hundred }
}

fn registry(binds: u32) -> Registry {
    let keys = (0..binds).map(|number| format!("b{number}"));
    keys.fold(Registry::builder(), |builder, key| builder.bind(key, "postgres://localhost/none"))
        .build()
        .expect("a registry")
}

fn route<B: Bound>(registry: &Registry) {
    // By reference, so that moving the value is not measured.
    black_box(&black_box(registry).engine_for::<B>());
}

impl Worker for Routes {
    const OPERATIONS: u64 = 100;

    async fn work(&mut self, _: u64) -> Outcome {
        (self.hundred)(&self.registry);
        Ok(())
    }
}

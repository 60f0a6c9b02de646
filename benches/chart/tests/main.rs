//! The tests of the pictures. They are not beside what they test, as a bench without a test harness would compile them
//! without their functions.
//!
//! ```sh
//! cargo test --manifest-path benches/Cargo.toml --profile bench --test chart   # with what the benches have built
//! ```

mod bars;
#[path = "../mod.rs"]
mod chart;
mod lines;
mod scale;
mod style;
mod svg;

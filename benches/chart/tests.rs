//! The tests of the pictures, which stand beside what they test.

#[path = "mod.rs"]
mod chart;

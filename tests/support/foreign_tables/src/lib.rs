//! Tables of a crate that does not know registry-core, as the tests use them.

diesel::table! {
    /// Jobs that wait.
    jobs (id) {
        /// The number.
        id -> Integer,
        /// What is to be done.
        what -> Text,
    }
}

diesel::table! {
    /// Workers.
    workers (id) {
        /// The number.
        id -> Integer,
    }
}

diesel::table! {
    /// A table that each database has.
    versions (id) {
        /// The number.
        id -> Integer,
    }
}

//! One test body, every backend. Apart from the rest, as not every test binary has bodies to mount:
//!
//! ```ignore
//! #[path = "../support/mod.rs"]
//! mod support;
//! #[path = "../support/mount.rs"]
//! mod mount;
//! mount::mount!(sessions, migrations); // tests/bodies/{sessions,migrations}.rs, on every backend
//! ```

/// Mounts test bodies once for each backend: `mount!(sessions)` makes the modules
/// `postgres::sessions`, `mysql::sessions` and `sqlite::sessions` of `tests/bodies/sessions.rs`.
///
/// A body is compiled three times, so it can declare models: it takes `Backend` (the connection type),
/// `database()` (the URL of a fresh database) and whatever else [`backends`] has from `super`.
///
/// `mount!(in_faults: outages)` is for what needs a server: bodies of `tests/faults/bodies`, on PostgreSQL
/// and MariaDB.
macro_rules! mount {
    (in_faults: $($body:ident),+ $(,)?) => {
        $crate::mount::mount! { @@ postgres $($body)+ }
        $crate::mount::mount! { @@ mysql $($body)+ }
    };
    (@@ $backend:ident $($body:ident)+) => {
        #[path = "bodies"]
        mod $backend {
            pub(crate) use $crate::servers::$backend::*;
            $(
                #[expect(clippy::duplicate_mod, reason = "the point: one body, both servers")]
                pub(crate) mod $body;
            )+
        }
    };
    ($($body:ident),+ $(,)?) => {
        $crate::mount::mount! { @ postgres $($body)+ }
        $crate::mount::mount! { @ mysql $($body)+ }
        $crate::mount::mount! { @ sqlite $($body)+ }
    };
    (@ $backend:ident $($body:ident)+) => {
        // `path` on an inline module is the folder of the modules in it.
        #[path = "../bodies"]
        mod $backend {
            pub(crate) use $crate::support::backends::$backend::*;
            $(
                #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
                mod $body;
            )+
        }
    };
}
pub(crate) use mount;

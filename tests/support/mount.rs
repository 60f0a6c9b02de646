//! Compiles one test body for every backend. Separate from `support`, as not every test binary mounts bodies:
//!
//! ```ignore
//! #[path = "../support/mod.rs"]
//! mod support;
//! #[path = "../support/mount.rs"]
//! mod mount;
//! mount::mount!(sessions, migrations); // bodies of tests/bodies/, on every backend
//! ```

/// Mounts test bodies once for each backend: `mount!(sessions)` makes the modules
/// `postgres::sessions`, `mysql::sessions` and `sqlite::sessions` of `tests/bodies/sessions/`.
///
/// A body is compiled once per backend, so it can declare models. From `super` it takes `Backend` (the connection
/// type), `database()` (the URL of a new database) and whatever else [`backends`] has.
///
/// `mount!(on_servers: outages)` mounts bodies in the folder `bodies` of the test binary, which need a server, on
/// PostgreSQL and MariaDB. From `super` they take what the binary's module `servers` has for each.
macro_rules! mount {
    (on_servers: $($body:ident),+ $(,)?) => {
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
        // On an inline module, `path` is the folder of the modules in it.
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

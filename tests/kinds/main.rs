//! Every kind of query that diesel-async accepts is accepted by this crate. Those that all backends have are run by
//! diesel-async on the connection of a session, and by this crate on that session and on the registry. Those of one
//! backend are only compiled.

mod everywhere;
mod mysql;
mod postgres;
mod sqlite;
#[path = "../support/mod.rs"]
mod support;

/// Loads each query with diesel-async, and on a session and the registry.
macro_rules! loads {
    ($name:ident; $($row:ty: $query:expr;)*) => {
        #[expect(dead_code, reason = "that it compiles is enough")]
        async fn $name(registry: &Registry, session: &mut Session<Main>) -> Result<(), Error> {
            $({
                async fn find(registry: &Registry, session: &mut Session<Main>) -> Result<(), Error> {
                    let _: Vec<$row> =
                        diesel_async::RunQueryDsl::load($query, &mut **session).await?;
                    let _: Vec<$row> = RunQueryDsl::load($query, &mut *session).await?;
                    let _: Vec<$row> = RunQueryDsl::load($query, registry).await?;
                    Ok(())
                }
                find(registry, session).await?;
            })*
            Ok(())
        }
    };
}

/// Runs each command with diesel-async, and on a session and the registry.
macro_rules! executes {
    ($name:ident; $($query:expr;)*) => {
        #[expect(dead_code, reason = "that it compiles is enough")]
        async fn $name(registry: &Registry, session: &mut Session<Main>) -> Result<(), Error> {
            $({
                async fn run(registry: &Registry, session: &mut Session<Main>) -> Result<(), Error> {
                    diesel_async::RunQueryDsl::execute($query, &mut **session).await?;
                    RunQueryDsl::execute($query, &mut *session).await?;
                    RunQueryDsl::execute($query, registry).await?;
                    Ok(())
                }
                run(registry, session).await?;
            })*
            Ok(())
        }
    };
}
pub(crate) use {executes, loads};

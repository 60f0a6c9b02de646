//! A `HashMap` of pools of bb8's or deadpool's, with diesel-async's connections.

use diesel::result::{ConnectionError, ConnectionResult};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};

use crate::schema::SQLITE_SETTINGS;

/// The pools of a connection type. They are not generic, as the bounds of diesel-async's pools would have to be repeated.
macro_rules! pools {
    ($module:ident, $connection:ty, $open:path) => {
        pub(crate) mod $module {
            use std::hint::black_box;
            use std::sync::Arc;

            use diesel::prelude::*;
            use diesel_async::RunQueryDsl;
            use diesel_async::pooled_connection::{
                AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, bb8, deadpool,
            };

            use crate::plan::{CONNECTIONS, Checks};
            use crate::schema::$module::{Item, items};
            use crate::subjects::{Pools, Subject, Urls};

            type Manager = AsyncDieselConnectionManager<$connection>;

            fn manager(url: &str, checks: Checks) -> Manager {
                let mut config = ManagerConfig::default();
                if checks == Checks::Never {
                    config.recycling_method = RecyclingMethod::Fast;
                }
                config.custom_setup = Box::new(|url| {
                    let url = url.to_owned();
                    Box::pin(async move { $open(&url).await })
                });
                Manager::new_with_config(url, config)
            }

            async fn load(connection: &mut $connection, id: i64) {
                let query = items::table.find(id).select(Item::as_select());
                black_box::<Item>(query.get_result(connection).await.expect("a row"));
            }

            #[derive(Clone)]
            pub(crate) struct Bb8(Arc<Pools<bb8::Pool<$connection>>>);

            impl Bb8 {
                pub(crate) fn new(urls: &Urls, checks: Checks) -> Self {
                    let pool = |url: &str| {
                        let builder = bb8::Pool::builder().max_size(CONNECTIONS);
                        let builder = builder.test_on_check_out(checks == Checks::Default);
                        builder.build_unchecked(manager(url, checks))
                    };
                    Self(Arc::new(Pools::new(urls, pool)))
                }
            }

            impl Subject for Bb8 {
                type Held = ::bb8::PooledConnection<'static, Manager>;

                async fn hold(&self, bind: usize) -> Self::Held {
                    self.0.of(bind).get_owned().await.expect("a connection")
                }

                async fn read(&self, bind: usize, id: i64) {
                    load(&mut *self.0.of(bind).get().await.expect("a connection"), id).await;
                }

                async fn acquire(&self, bind: usize) {
                    black_box(&self.0.of(bind).get().await.expect("a connection"));
                }
            }

            #[derive(Clone)]
            pub(crate) struct Deadpool(Arc<Pools<deadpool::Pool<$connection>>>);

            impl Deadpool {
                pub(crate) fn new(urls: &Urls, checks: Checks) -> Self {
                    let pool = |url: &str| {
                        let builder = deadpool::Pool::builder(manager(url, checks));
                        builder.max_size(CONNECTIONS as usize).build().expect("a pool")
                    };
                    Self(Arc::new(Pools::new(urls, pool)))
                }
            }

            impl Subject for Deadpool {
                type Held = deadpool::Object<$connection>;

                async fn hold(&self, bind: usize) -> Self::Held {
                    self.0.of(bind).get().await.expect("a connection")
                }

                async fn read(&self, bind: usize, id: i64) {
                    load(&mut *self.hold(bind).await, id).await;
                }
            }
        }
    };
}

pools!(postgres, diesel_async::AsyncPgConnection, super::open_server);
pools!(
    sqlite,
    diesel_async::sync_connection_wrapper::SyncConnectionWrapper<diesel::SqliteConnection>,
    super::open_file
);

async fn open_server(url: &str) -> ConnectionResult<AsyncPgConnection> {
    AsyncPgConnection::establish(url).await
}

async fn open_file(url: &str) -> ConnectionResult<SyncConnectionWrapper<diesel::SqliteConnection>> {
    let path = url.trim_start_matches("sqlite://");
    let mut connection = SyncConnectionWrapper::establish(path).await?;
    let settings = connection.batch_execute(SQLITE_SETTINGS).await;
    settings.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

//! The header `Server-Timing`.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::HeaderName;
use futures_util::TryStreamExt;
use registry_core::{BindDsl, Db, Name, RecordOptions, Sqlite};

use super::*;

diesel::table! { hits (id) { id -> Integer, } }
diesel::table! { visits (id) { id -> Integer, } }
bind_tables!(db = "shop", backend = Sqlite; hits);
bind_tables!(db = "audit", backend = Sqlite; visits);

type Shop = Db<Sqlite, Name<'s', 'h', 'o', 'p'>>;

/// Three queries on one bind, and one on the other.
async fn busy(State(registry): State<Registry>) -> Result<Response, Error> {
    let mut work = UnitOfWork::current().await?;
    diesel::insert_into(hits::table).default_values().execute(&mut *work).await?;
    diesel::insert_into(hits::table).default_values().execute(&mut *work).await?;
    hits::table.count().get_result::<i64>(&mut *work).await?;
    drop(work);
    visits::table.count().get_result::<i64>(&registry).await?;
    let own = [(HeaderName::from_static("server-timing"), "render;dur=1")];
    Ok((own, "done").into_response())
}

async fn fails() -> Result<StatusCode, Error> {
    let mut work = UnitOfWork::current().await?;
    hits::table.count().get_result::<i64>(&mut *work).await?;
    Ok(StatusCode::CONFLICT)
}

async fn many(State(registry): State<Registry>) -> Result<&'static str, Error> {
    for _ in 0..50 {
        visits::table.count().get_result::<i64>(&registry).await?;
    }
    Ok("done")
}

async fn streams(State(registry): State<Registry>) -> Result<Response, Error> {
    hits::table.count().get_result::<i64>(&registry).await?;
    let ids = visits::table.select(visits::id).load_stream::<i32>(registry).await?;
    Ok(Body::from_stream(ids.map_ok(|id| format!("{id}\n"))).into_response())
}

/// A query in the task of the request, one in a scope inside, one each in tasks that have entered the scope, have its unit of
/// work, and have neither.
async fn spawns(State(registry): State<Registry>) -> Result<&'static str, Error> {
    let count = |registry: &Registry| {
        let registry = registry.clone();
        async move { visits::table.count().get_result::<i64>(&registry).await }
    };
    count(&registry).await?;
    registry.new_scope().enter(count(&registry)).await?;
    let (scope, entered) = (Scope::current()?, count(&registry));
    tokio::spawn(async move { scope.enter(entered).await }).await.expect("no panic")?;
    let mut work = UnitOfWork::current().await?;
    let with_work = async move { hits::table.count().get_result::<i64>(&mut *work).await };
    tokio::spawn(with_work).await.expect("no panic")?;
    tokio::spawn(count(&registry)).await.expect("no panic")?;
    Ok("done")
}

/// Serves these handlers, with the layer as `adapt` makes it. Nothing is recorded beyond `recorded`.
async fn served(
    recorded: impl Into<RecordOptions>,
    adapt: impl FnOnce(ScopeLayer) -> ScopeLayer,
) -> String {
    let registry = Registry::builder()
        .bind("shop", "sqlite::memory:")
        .bind("audit", "sqlite::memory:")
        .record_queries(recorded)
        .build()
        .expect("good settings");
    run_sql::<Shop>(&registry, "CREATE TABLE hits (id INTEGER PRIMARY KEY)").await;
    let create = "CREATE TABLE visits (id INTEGER PRIMARY KEY)";
    let create = diesel::sql_query(create).bound_to::<visits::table>();
    create.execute(&registry).await.expect("a table");
    let app = Router::new()
        .route("/busy", get(busy))
        .route("/fails", get(fails))
        .route("/many", get(many))
        .route("/spawns", get(spawns))
        .route("/streams", get(streams))
        .route("/idle", get(async || "idle"))
        .layer(adapt(ScopeLayer::new(registry.clone())))
        .with_state(registry);
    listening(app).await
}

/// The metrics of a response, each with its parameters, read by the grammar of the header.
fn metrics(answer: &Answer) -> Vec<(String, Vec<(String, String)>)> {
    let lines = answer.head.lines().filter_map(|line| line.strip_prefix("server-timing:"));
    let metrics = lines.flat_map(|line| line.split(',')).map(|metric| {
        let mut parts = metric.split(';').map(str::trim);
        let name = parts.next().expect("a name");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        let parameters = parts.map(|part| {
            let (key, value) = part.split_once('=').expect("a value");
            (key.to_owned(), value.trim_matches('"').to_owned())
        });
        (name.to_owned(), parameters.collect())
    });
    metrics.collect()
}

/// The description of each metric of a bind, after a look at its duration.
fn counts(answer: &Answer) -> Vec<(String, String)> {
    let of_binds = metrics(answer).into_iter().filter(|(name, _)| name.starts_with("db-"));
    let counts = of_binds.map(|(name, parameters)| {
        let [(dur, time), (desc, count)] = parameters.try_into().expect("two parameters");
        assert_eq!((&*dur, &*desc), ("dur", "desc"));
        assert!(time.parse::<f64>().expect("milliseconds") > 0.0, "{time}");
        (name, count)
    });
    counts.collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, count)| ((*name).to_owned(), (*count).to_owned())).collect()
}

#[tokio::test]
async fn response_says_how_many_queries_each_bind_has_answered() {
    // Whatever is recorded.
    for recorded in [RecordOptions::from(false), RecordOptions::new().limit(1)] {
        let address = served(recorded, |layer| layer.server_timing(true)).await;
        let answer = request(&address, "GET", "/busy", "").await;
        assert_eq!(counts(&answer), pairs(&[("db-audit", "1 query"), ("db-shop", "3 queries")]));
        assert_eq!(metrics(&answer)[0].0, "render", "the handler's own header is kept");
        let answer = request(&address, "GET", "/many", "").await;
        assert_eq!(counts(&answer), pairs(&[("db-audit", "50 queries")]));
        let answer = request(&address, "GET", "/fails", "").await;
        assert_eq!((answer.status, counts(&answer)), (409, pairs(&[("db-shop", "1 query")])));
    }
}

#[tokio::test]
async fn response_without_queries_or_without_the_option_says_nothing() {
    let address = served(true, |layer| layer.server_timing(true)).await;
    assert!(metrics(&request(&address, "GET", "/idle", "").await).is_empty());
    let address = served(true, |layer| layer).await;
    let answer = request(&address, "GET", "/busy", "").await;
    assert!(counts(&answer).is_empty(), "{}", answer.head);
    assert!(answer.head.contains("render;dur=1"));
}

#[tokio::test]
async fn queries_of_inner_scopes_and_tasks_count_if_they_belong_to_the_request() {
    let address = served(false, |layer| layer.server_timing(true)).await;
    let answer = request(&address, "GET", "/spawns", "").await;
    assert_eq!(counts(&answer), pairs(&[("db-audit", "3 queries"), ("db-shop", "1 query")]));
}

#[tokio::test]
async fn queries_of_a_streamed_body_are_not_in_the_head() {
    let address = served(false, |layer| layer.server_timing(true)).await;
    let answer = request(&address, "GET", "/streams", "").await;
    assert_eq!(counts(&answer), pairs(&[("db-shop", "1 query")]));
}

#[tokio::test]
async fn header_names_neither_tenants_nor_sql() {
    let folder = support::fresh_folder();
    std::fs::write(folder.join("secretive.db"), "").expect("a file");
    let url = format!("sqlite://{}/{{tenant}}.db", folder.display());
    let registry = Registry::builder().bind("shop", url).build().expect("good settings");
    let layer = ScopeLayer::per_tenant(move |_| registry.tenant("secretive")).server_timing(true);
    let ask = async |mut work: CurrentWork| {
        let query = diesel::sql_query("SELECT 'hidden'").bound_to::<Shop>();
        query.execute(&mut *work).await.map(|_| "done")
    };
    let address = listening(Router::new().route("/ask", get(ask)).layer(layer)).await;
    let answer = request(&address, "GET", "/ask", "").await;
    assert_eq!((answer.status, counts(&answer)), (200, pairs(&[("db-shop", "1 query")])));
    assert!(!answer.head.contains("secretive") && !answer.head.contains("hidden"));
}

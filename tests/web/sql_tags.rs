//! Tags in the SQL of requests.

use axum::extract::MatchedPath;
use diesel::sql_types::Text;
use registry_core::{BindDsl, SqlTags};

use super::*;

#[derive(QueryableByName)]
struct Own {
    #[diesel(sql_type = Text)]
    query: String,
}

/// What the server shows of the statement of a request.
async fn own(mut session: SessionFor<notes::table>) -> Result<String, Error> {
    let own = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let Own { query } =
        diesel::sql_query(own).bound_to::<notes::table>().get_result(&mut *session).await?;
    Ok(query.split_once("/*").map(|(_, tags)| tags.to_owned()).unwrap_or_default())
}

async fn tagged(scope: Scope, session: SessionFor<notes::table>) -> Result<String, Error> {
    scope.set_tag("job", "late");
    own(session).await
}

#[tokio::test]
async fn statements_name_the_pattern_of_their_route() {
    let url = postgres().database("web_tags");
    let tags = SqlTags::new().bind(true).route(true).controller(true).scope_tag("job");
    let builder = Registry::builder().bind("default", url.as_str()).sql_tags(tags);
    let registry = builder.build().expect("good settings");
    let layer = ScopeLayer::new(registry)
        .route(|parts| parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()))
        .controller(|parts| Some(parts.uri.path().split('/').nth(1)?.to_owned()));
    let app = Router::new()
        .route("/own/{id}", get(own))
        .route("/tagged/{id}", get(tagged))
        .nest("/api", Router::new().route("/own", get(own)))
        .layer(layer);
    let address = listening(app).await;
    for (path, expected) in [
        ("/own/7", "bind='default',controller='own',route='%2Fown%2F%7Bid%7D'*/"),
        ("/own/8", "bind='default',controller='own',route='%2Fown%2F%7Bid%7D'*/"),
        (
            "/tagged/7",
            "bind='default',controller='tagged',job='late',route='%2Ftagged%2F%7Bid%7D'*/",
        ),
        ("/api/own", "bind='default',controller='api',route='%2Fapi%2Fown'*/"),
    ] {
        let answer = request(&address, "GET", path, "").await;
        assert_eq!((answer.status, &*answer.body), (200, expected), "{path}");
    }
}

//! Violated constraints as responses, by a policy.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::put;
use axum::{Json, Router};
use registry_core::web::{ErrorLayer, ErrorPolicy, ScopeLayer};
use registry_core::{BindDsl, CurrentWork, Error, Registry, RunQueryDsl};

use super::support::log::captured_log;
use super::support::run_sql;
use super::{Main, fails, listening, orphan, prepared, request};

/// A database with every kind of constraint.
async fn constrained() -> Registry {
    let registry = prepared().await;
    for statement in [
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL CONSTRAINT one_name UNIQUE, \
         age INTEGER CONSTRAINT is_of_age CHECK (age >= 18), \
         note INTEGER CONSTRAINT has_note REFERENCES notes, room INT4RANGE, \
         CONSTRAINT one_at_a_time EXCLUDE USING gist (room WITH &&))",
        "INSERT INTO notes VALUES (1)",
        "INSERT INTO people VALUES (1, 'Ada', 36, 1, '[1,5)')",
    ] {
        run_sql::<Main>(&registry, statement).await;
    }
    registry
}

/// Runs the statement of that name.
async fn violates(Path(kind): Path<String>, mut work: CurrentWork) -> Result<StatusCode, Error> {
    let sql = match kind.as_str() {
        "unique" => "INSERT INTO people VALUES (2, 'Ada', 36, 1, NULL)",
        "primary" => "INSERT INTO people VALUES (1, 'Eve', 36, 1, NULL)",
        "check" => "INSERT INTO people VALUES (2, 'Eve', 17, 1, NULL)",
        "null" => "INSERT INTO people VALUES (2, NULL, 36, 1, NULL)",
        "parent" => "INSERT INTO people VALUES (2, 'Eve', 36, 99, NULL)",
        "child" => "DELETE FROM notes",
        "room" => "INSERT INTO people VALUES (2, 'Eve', 36, 1, '[4,9)')",
        "syntax" => "INSERT INTO people VALUE",
        _ => "INSERT INTO people VALUES (2, 'Eve', 36, 1, NULL)",
    };
    diesel::sql_query(sql).bound_to::<Main>().execute(&mut *work).await?;
    Ok(StatusCode::CREATED)
}

async fn serve(registry: &Registry, policy: Option<ErrorPolicy>) -> String {
    let app = Router::new()
        .route("/violates/{kind}", put(violates))
        .route("/orphan/{id}", put(orphan))
        .route("/fails/{id}", put(fails))
        .layer(ScopeLayer::new(registry.clone()));
    listening(match policy {
        Some(policy) => app.layer(ErrorLayer::new(policy)),
        None => app,
    })
    .await
}

const KINDS: [(&str, u16); 8] = [
    ("unique", 409),
    ("primary", 409),
    ("check", 422),
    ("null", 422),
    ("parent", 409),
    ("child", 409),
    ("room", 409),
    ("syntax", 500),
];

#[tokio::test]
async fn violations_are_500_unless_the_program_asks() {
    let registry = constrained().await;
    for policy in [None, Some(ErrorPolicy::new())] {
        let address = serve(&registry, policy).await;
        for (kind, _) in KINDS {
            let answer = request(&address, "PUT", &format!("/violates/{kind}"), "").await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (500, "Internal Server Error"),
                "{kind}"
            );
        }
    }
}

#[tokio::test]
async fn violations_of_clients_have_their_status_and_say_nothing_else() {
    let registry = constrained().await;
    let address = serve(&registry, Some(ErrorPolicy::client_errors())).await;
    let log = captured_log();
    for (kind, status) in KINDS {
        let answer = request(&address, "PUT", &format!("/violates/{kind}"), "").await;
        let text = StatusCode::from_u16(status).expect("a status").canonical_reason();
        assert_eq!((answer.status, Some(answer.body.as_str())), (status, text), "{kind}");
        let told = format!("{}{}", answer.head, answer.body);
        for word in ["people", "one_name", "is_of_age", "has_note", "Ada", "ada", "insert", "key"] {
            assert!(!told.contains(word), "{told}");
        }
    }
    let told = log.lines_with("a request failed with 409 Conflict");
    assert!(told.iter().any(|line| line.contains("one_name")), "{told:?}");
    assert!(told.iter().all(|line| line.contains("DEBUG")), "{told:?}");
    // A violation that only the commit notices.
    assert_eq!(request(&address, "PUT", "/orphan/5", "").await.status, 409);
    assert_eq!(request(&address, "PUT", "/violates/nothing", "").await.status, 201);
}

#[tokio::test]
async fn constraints_have_texts_and_bodies_of_the_program() {
    let registry = constrained().await;
    let policy = ErrorPolicy::new()
        .unique_violation(StatusCode::CONFLICT)
        // No error, so it is not taken.
        .check_violation(StatusCode::OK)
        .constraint("one_at_a_time", StatusCode::OK, "never")
        .constraint("one_name", StatusCode::UNPROCESSABLE_ENTITY, "this name is taken")
        .constraint("has_note", StatusCode::GONE, "there is no such note")
        .body(|status, text| {
            let body = serde_json::json!({ "status": status.as_u16(), "error": text });
            (StatusCode::OK, Json(body)).into_response()
        });
    let address = serve(&registry, Some(policy)).await;
    for (path, status, text) in [
        ("/violates/unique", 422, "this name is taken"),
        ("/violates/primary", 409, "Conflict"),
        ("/violates/parent", 410, "there is no such note"),
        ("/violates/check", 500, "Internal Server Error"),
        ("/violates/room", 500, "Internal Server Error"),
        ("/violates/syntax", 500, "Internal Server Error"),
        ("/fails/77", 409, "Conflict"),
    ] {
        let answer = request(&address, "PUT", path, "").await;
        let expected = serde_json::json!({ "status": status, "error": text }).to_string();
        let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!((answer.status, body.to_string()), (status, expected), "{path}");
    }
    registry.close().await;
    let answer = request(&address, "PUT", "/violates/nothing", "").await;
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("retry-after: 1") && answer.head.contains("application/json"));
}

#[tokio::test]
async fn a_connection_that_is_lost_is_503() {
    let registry = prepared().await;
    let address = serve(&registry, Some(ErrorPolicy::client_errors())).await;
    let app = Router::new()
        .route("/", axum::routing::get(kills_itself))
        .layer(ScopeLayer::new(registry.clone()));
    let killing = listening(app).await;
    let answer = request(&killing, "GET", "/", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "Service Unavailable"));
    assert_eq!(request(&address, "PUT", "/fails/1", "").await.status, 409);
}

async fn kills_itself(mut work: CurrentWork) -> Result<StatusCode, Error> {
    let kill = diesel::sql_query("SELECT pg_terminate_backend(pg_backend_pid())");
    kill.bound_to::<Main>().execute(&mut *work).await?;
    Ok(StatusCode::OK)
}

//! Pages of a request, links to their neighbours, and rows that have to be there.

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Json, Router};
use diesel::prelude::*;
use registry_core::query::paginate::{Cursor, PageRequest, PaginateDsl};
use registry_core::web::{HandlerError, Or404, Or404Dsl, PageLimits, PageLinks, SessionFor};
use registry_core::{BindDsl, CurrentWork, Error, Registry, RunQueryDsl};
use serde_json::{Value, json};

use super::{listening, notes, prepared, request};

/// Notes 1 to 25.
async fn filled() -> Registry {
    let registry = prepared().await;
    let rows: Vec<_> = (1..=25).map(|id| notes::id.eq(id)).collect();
    diesel::insert_into(notes::table).values(rows).execute(&registry).await.expect("rows");
    registry
}

async fn by_number(
    State(registry): State<Registry>,
    page: PageRequest,
    uri: Uri,
) -> Result<impl IntoResponse, HandlerError> {
    let ids = notes::table.select(notes::id).order(notes::id);
    let page = ids.paginate(page).load::<i32>(&registry).await?.or_404()?;
    Ok((PageLinks::new(&page, &uri), Json(page)))
}

async fn by_key(
    State(registry): State<Registry>,
    after: Option<Cursor<i32>>,
    page: PageRequest,
    uri: Uri,
) -> Result<impl IntoResponse, Error> {
    let ids = notes::table.select(notes::id).keyset(notes::id.desc()).after(after);
    let page = ids.per_page(page.per_page()).load(&registry, |id: &i32| *id).await?;
    Ok((PageLinks::new(&page, &uri), Json(page)))
}

async fn after(_: Cursor<i32>) {}

async fn served(registry: Registry) -> String {
    let nested = Router::new()
        .route("/notes", get(by_number))
        .route("/few", get(by_number).layer(Extension(PageLimits::new(3, 5))))
        .route("/newest", get(by_key))
        .route("/after", get(after))
        .with_state(registry);
    listening(Router::new().nest("/v1", nested)).await
}

/// The links of a response, by relation.
fn links(head: &str) -> Vec<(String, String)> {
    let header = head.lines().find_map(|line| line.strip_prefix("link: ")).expect("links");
    let link = |text: &str| {
        let (reference, relation) = text.split_once("; ").expect("a relation");
        let reference = reference.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
        let relation = relation.strip_prefix("rel=\"").and_then(|text| text.strip_suffix('"'));
        (relation.expect("quoted").to_owned(), reference.expect("in brackets").to_owned())
    };
    header.split(", ").map(link).collect()
}

fn link(relation: &str, reference: &str) -> (String, String) {
    (relation.to_owned(), reference.to_owned())
}

#[tokio::test]
async fn pages_have_links_that_keep_the_other_parameters() {
    let address = served(filled().await).await;
    let answer = request(&address, "GET", "/v1/notes", "").await;
    assert_eq!(answer.status, 200);
    let page: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(page["items"], json!((1..=20).collect::<Vec<_>>()));
    assert_eq!(
        (&page["total"], &page["pages"], &page["has_next"]),
        (&json!(25), &json!(2), &json!(true))
    );
    let expected = [
        link("first", "?page=1&per_page=20"),
        link("next", "?page=2&per_page=20"),
        link("last", "?page=2&per_page=20"),
    ];
    assert_eq!(links(&answer.head), expected);

    let path = "/v1/notes?page=2&q=a%3Eb&per_page=10&%70age=2&after=x&pages=7";
    let answer = request(&address, "GET", path, "").await;
    assert_eq!(answer.status, 404, "`page` is there twice");
    let path = "/v1/notes?page=2&q=a%3Eb&per_page=10&after=x&pages=7";
    let answer = request(&address, "GET", path, "").await;
    let expected = [("first", 1), ("prev", 1), ("next", 3), ("last", 3)].map(|(relation, page)| {
        link(relation, &format!("?q=a%3eb&after=x&pages=7&page={page}&per_page=10"))
    });
    // The head is in lower case.
    assert_eq!(links(&answer.head), expected);
}

#[tokio::test]
async fn numbers_that_are_no_page_are_404_and_long_pages_are_cut() {
    let address = served(filled().await).await;
    let status = async |path: &str| request(&address, "GET", path, "").await.status;
    for parameters in [
        "page=0",
        "page=-1",
        "page=x",
        "page=",
        "page=1.5",
        "page=9223372036854775807",
        "page=9223372036854775808",
        "page=1&page=2",
        "per_page=0",
        "per_page=-5",
        "per_page=many",
        "page=%ff",
        "page=4&per_page=10",
    ] {
        assert_eq!(status(&format!("/v1/notes?{parameters}")).await, 404, "{parameters}");
    }
    for (path, per_page) in [
        ("/v1/notes?per_page=100", 100),
        ("/v1/notes?per_page=101", 100),
        ("/v1/notes?per_page=9223372036854775807", 100),
        ("/v1/few", 3),
        ("/v1/few?per_page=4", 4),
        ("/v1/few?per_page=6", 5),
    ] {
        let answer = request(&address, "GET", path, "").await;
        let page: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(page["per_page"], json!(per_page), "{path}");
    }
}

#[tokio::test]
async fn cursors_lead_through_all_rows_and_wrong_ones_are_400() {
    let address = served(filled().await).await;
    let (mut query, mut seen) = ("?per_page=10&q=1".to_owned(), Vec::new());
    let mut first_cursor = None;
    loop {
        let answer = request(&address, "GET", &format!("/v1/newest{query}"), "").await;
        assert_eq!(answer.status, 200, "{query}");
        let page: Value = serde_json::from_str(&answer.body).expect("JSON");
        seen.extend(page["items"].as_array().expect("items").iter().filter_map(Value::as_i64));
        let links = links(&answer.head);
        assert_eq!(links[0], link("first", "?per_page=10&q=1"));
        let Some(next) = page["next"].as_str() else {
            assert_eq!(links.len(), 1);
            break;
        };
        query = format!("?per_page=10&q=1&after={next}");
        // The head is in lower case.
        assert_eq!(links[1], link("next", &query.to_ascii_lowercase()));
        first_cursor.get_or_insert(next.to_owned());
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<i64>>());
    let cursor = first_cursor.expect("more than a page");
    assert_eq!(
        request(&address, "GET", &format!("/v1/after?after={cursor}"), "").await.status,
        200
    );
    for wrong in ["", "x", "%ff", "bm90IGEgY3Vyc29y", "WzAsMV0", &cursor[1..]] {
        let answer = request(&address, "GET", &format!("/v1/newest?after={wrong}"), "").await;
        assert_eq!((answer.status, answer.body.as_str()), (400, "Bad Request"), "{wrong}");
    }
    let twice = format!("/v1/newest?after={cursor}&after={cursor}");
    assert_eq!(request(&address, "GET", &twice, "").await.status, 400);
    assert_eq!(request(&address, "GET", "/v1/after", "").await.status, 400);
}

async fn on_registry(
    State(registry): State<Registry>,
    Path(id): Path<i32>,
) -> Result<String, HandlerError> {
    let id: i32 = notes::table.select(notes::id).get_or_404(id, &registry).await?;
    Ok(id.to_string())
}

async fn on_session(
    Path(id): Path<i32>,
    mut session: SessionFor<notes::table>,
) -> Result<String, HandlerError> {
    let note = notes::table.filter(notes::id.eq(id)).select(notes::id);
    Ok(note.first_or_404::<i32>(&mut *session).await?.to_string())
}

async fn on_reader(
    State(registry): State<Registry>,
    Path(id): Path<i32>,
) -> Result<String, HandlerError> {
    let reader = registry.reader();
    let id: i32 = notes::table.select(notes::id).get_or_404(id, &reader).await?;
    let mut session = reader.session_for::<notes::table>().await?;
    let note = notes::table.filter(notes::id.eq(id)).select(notes::id);
    Ok(note.first_or_404::<i32>(&mut session).await?.to_string())
}

async fn in_work(Path(id): Path<i32>, mut work: CurrentWork) -> Result<String, HandlerError> {
    let note = notes::table.find(id).select(notes::id).first::<i32>(&mut *work).await;
    Ok(note.or_404_with("there is no such note")?.to_string())
}

async fn broken(State(registry): State<Registry>) -> Result<String, HandlerError> {
    let missing = diesel::dsl::sql::<diesel::sql_types::Integer>("no_such_column");
    let rows = notes::table.select(missing).bound_to::<notes::table>();
    Ok(rows.first_or_404::<i32>(&registry).await?.to_string())
}

async fn nothing() -> Result<String, HandlerError> {
    None.or_404()
}

#[tokio::test]
async fn only_a_missing_row_is_404_and_its_body_is_what_the_handler_says() {
    let registry = filled().await;
    let app = Router::new()
        .route("/registry/{id}", get(on_registry))
        .route("/session/{id}", get(on_session))
        .route("/reader/{id}", get(on_reader))
        .route("/work/{id}", get(in_work))
        .route("/broken", get(broken))
        .route("/nothing", get(nothing))
        .layer(registry_core::web::ScopeLayer::new(registry.clone()))
        .with_state(registry.clone());
    let address = listening(app).await;
    for (path, status, body) in [
        ("/registry/7", 200, "7"),
        ("/registry/70", 404, "Not Found"),
        ("/session/7", 200, "7"),
        ("/session/70", 404, "Not Found"),
        ("/reader/7", 200, "7"),
        ("/reader/70", 404, "Not Found"),
        ("/work/7", 200, "7"),
        ("/work/70", 404, "there is no such note"),
        ("/broken", 500, "Internal Server Error"),
        ("/nothing", 404, "Not Found"),
    ] {
        let answer = request(&address, "GET", path, "").await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
    }
    registry.close().await;
    for path in ["/registry/7", "/session/7", "/reader/7", "/work/7", "/registry/70"] {
        let answer = request(&address, "GET", path, "").await;
        assert_eq!((answer.status, answer.body.as_str()), (503, "Service Unavailable"), "{path}");
    }
}

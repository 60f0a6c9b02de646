//! Layers with other settings, of tenants, inside of a scope, and without replicas.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_and_cookie_have_the_names_and_attributes_that_the_program_gives_them() {
    let rig = Rig::new().await;
    rig.pause();
    let carried = ReadYourWrites::new()
        .header(HeaderName::from_static("x-after"))
        .cookie("__Host-after")
        .secure(true)
        .max_age(Duration::from_millis(1500));
    let address = rig.serve_with(carried).await;
    let written = asked(&address, "PUT", "/work/1", "").await;
    let token = header(&written, "x-after").expect("a token").to_owned();
    let cookie = header(&written, "set-cookie").expect("a cookie");
    let attributes = "path=/; max-age=2; httponly; samesite=lax; secure";
    assert_eq!(cookie, format!("__host-after={token}; {attributes}"));
    assert_eq!(header(&written, "x-read-after"), None);
    let read = async |head: String| asked(&address, "GET", "/seen/1", head).await.body;
    assert_eq!(read(format!("x-after: {token}\r\n")).await, rig.primary(1));
    assert_eq!(read(format!("cookie: __Host-after={token}\r\n")).await, rig.primary(1));
    assert_eq!(read(in_header(&token)).await, rig.replica(0));
    assert_eq!(read(in_cookie(&token)).await, rig.replica(0));

    let address = rig.serve_with(ReadYourWrites::new().header(None).path("/shop")).await;
    let written = asked(&address, "PUT", "/work/2", "").await;
    assert_eq!(header(&written, "x-read-after"), None);
    let cookie = header(&written, "set-cookie").expect("a cookie").to_owned();
    assert!(cookie.ends_with("; path=/shop; max-age=60; httponly; samesite=lax"), "{cookie}");
    let token = cookie.split(['=', ';']).nth(1).expect("a value");
    assert_eq!(asked(&address, "GET", "/seen/2", in_header(token)).await.body, rig.replica(0));

    let address = rig.serve_with(ReadYourWrites::new().cookie(None)).await;
    let written = asked(&address, "PUT", "/work/3", "").await;
    assert_eq!(header(&written, "set-cookie"), None);
    let token = token_of(&written);
    assert_eq!(asked(&address, "GET", "/seen/3", in_cookie(token)).await.body, rig.replica(0));
    assert_eq!(asked(&address, "GET", "/seen/3", in_header(token)).await.body, rig.primary(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tenant_has_a_position_of_its_own_in_the_token() {
    let cluster = block_in_place(|| Cluster::postgres(1));
    let url = block_in_place(|| {
        let url = cluster.tenants(["acme", "globex"]);
        for tenant in ["acme", "globex"] {
            cluster.execute_in(&url.replace("{tenant}", tenant), CREATE);
        }
        cluster.wait_until_caught_up();
        url
    });
    let bind = bind(&url).replica(cluster.node(1).at(&url));
    let builder = Registry::builder().bind("default", bind).token_key(SECRET);
    let rig = Rig { cluster, registry: builder.build().expect("good settings") };
    for tenant in ["acme", "globex"] {
        let tenant = rig.registry.tenant(tenant).expect("a good name");
        rig.replica_is_read(&stale(tenant.reader())).await;
    }
    rig.pause();
    let registry = rig.registry.clone();
    let layer = ScopeLayer::per_tenant(move |parts: &Parts| {
        Some(registry.tenant(parts.headers.get("x-tenant")?.to_str().ok()?))
    });
    let error = layer.clone().read_your_writes(ReadYourWrites::new()).expect_err("no key");
    assert_eq!(error, InvalidReadYourWrites::NoKey);
    let layer = layer.read_your_writes(ReadYourWrites::new().key_of(&rig.registry));
    let of_tenant =
        async |tenant: Tenant, Path(id): Path<i64>| seen(&stale(tenant.reader()), id).await;
    let app = Router::new()
        .route("/work/{id}", put(by_work))
        .route("/session/{id}", put(by_session))
        .route("/seen/{id}", get(of_tenant));
    let address = listening(app.layer(layer.expect("a key"))).await;
    let of = |tenant: &str, token: &str| format!("x-tenant: {tenant}\r\n{}", in_header(token));
    for (id, path) in [(1, "/work/1"), (2, "/session/2")] {
        let written = asked(&address, "PUT", path, of("acme", "")).await;
        let token = token_of(&written);
        assert!(verified(token).to_string().starts_with("default@acme:p"), "{token}");
        let seen = format!("/seen/{id}");
        assert_eq!(asked(&address, "GET", &seen, of("acme", token)).await.body, rig.primary(1));
        assert_eq!(asked(&address, "GET", &seen, of("globex", token)).await.body, rig.replica(0));
        // A write elsewhere keeps it.
        let written = asked(&address, "PUT", path, of("globex", token)).await;
        let both = verified(token_of(&written)).to_string();
        assert!(both.contains("default@acme:p") && both.contains("~default@globex:p"), "{both}");
    }
    assert_eq!(asked(&address, "GET", "/seen/1", of("a/b", "*")).await.status, 404);
}

/// A middleware that writes, and a scope of a request inside of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layer_inside_of_a_scope_hands_out_the_writes_of_both() {
    let rig = Rig::new().await;
    rig.pause();
    let layer = || {
        let layer = ScopeLayer::new(rig.registry.clone()).read_your_writes(ReadYourWrites::new());
        layer.expect("a key")
    };
    let writes = async |mut session: SessionFor<pairs::table>, request: Request, next: Next| {
        insert(1).execute(&mut *session).await.expect("a row");
        next.run(request).await
    };
    let app = routes(&rig.registry).layer(layer()).layer(from_fn(writes)).layer(layer());
    let address = listening(app).await;
    let answer = asked(&address, "GET", "/seen/1", "").await;
    assert_eq!(answer.body, rig.primary(1), "the session of the outer scope has written");
    let address = rig.serve().await;
    let token = in_header(token_of(&answer));
    assert_eq!(asked(&address, "GET", "/seen/1", &token).await.body, rig.primary(1));
}

#[tokio::test]
async fn sqlite_has_no_tokens() {
    let folder = fresh_folder();
    let url = format!("sqlite://{}/files.db?mode=rwc", folder.display());
    let registry = Registry::builder().bind("files", url).build().expect("good settings");
    let create = diesel::sql_query("CREATE TABLE papers (id INTEGER PRIMARY KEY)");
    create.bound_to::<papers::table>().execute(&registry).await.expect("a table");
    let add = async |Path(id): Path<i64>| {
        let mut work = UnitOfWork::current().await?;
        let row = diesel::insert_into(papers::table).values(papers::id.eq(id));
        row.execute(&mut *work).await?;
        Ok::<_, Error>(StatusCode::CREATED)
    };
    let reader = registry.reader();
    let count = async move || {
        let count: i64 = papers::table.count().get_result(&reader).await?;
        Ok::<_, Error>(count.to_string())
    };
    let layer = ScopeLayer::new(registry).read_your_writes(ReadYourWrites::new().key(key()));
    let app = Router::new().route("/papers", get(count)).route("/papers/{id}", put(add));
    let address = listening(app.layer(layer.expect("a key"))).await;
    let brought: Token = "files:?".parse().expect("a token");
    let brought = in_header(&brought.signed(&key()));
    for (id, head) in [(1, ""), (2, brought.as_str())] {
        let answer = asked(&address, "PUT", &format!("/papers/{id}"), head).await;
        assert_eq!(answer.status, 201);
        assert_eq!(header(&answer, "x-read-after"), None);
        assert_eq!(header(&answer, "set-cookie"), None);
        let answer = asked(&address, "GET", "/papers", head).await;
        assert_eq!((answer.status, answer.body), (200, id.to_string()));
    }
}

#[test]
fn mistakes_are_found_when_the_layer_is_made() {
    let made = |carried: ReadYourWrites, secret: Option<&str>| {
        let builder = Registry::builder().bind("files", "sqlite::memory:");
        let builder = match secret {
            Some(secret) => builder.token_key(secret),
            None => builder,
        };
        let registry = builder.build().expect("good settings");
        let carried = carried.key_of(&registry);
        ScopeLayer::new(registry).read_your_writes(carried).map(drop).map_err(|it| it.to_string())
    };
    let new = ReadYourWrites::new;
    assert_eq!(
        made(new(), None),
        Err("there is no key to sign tokens with: set `token_key` or `token_key_file` in the \
             settings, or call `ReadYourWrites::key`; with a layer of tenants, call \
             `ReadYourWrites::key_of(&registry)`"
            .to_owned())
    );
    for (carried, error) in [
        (
            new().header(None).cookie(None),
            "the header and the cookie are both switched off, so no client would get a token",
        ),
        (new().cookie("a b"), "`a b` cannot be the name of a cookie"),
        (new().cookie(""), "`` cannot be the name of a cookie"),
        (new().path("shop"), "`shop` cannot be the path of a cookie"),
        (new().path("/;"), "`/;` cannot be the path of a cookie"),
        (new().path("/\r\nx: y"), "`/\r\nx: y` cannot be the path of a cookie"),
        (
            new().cookie("__secure-a"),
            "browsers refuse the cookie `__secure-a`: `__Secure-` needs `secure(true)`, and \
             `__Host-` also the path `/`",
        ),
        (
            new().cookie("__Host-a").secure(true).path("/a"),
            "browsers refuse the cookie `__Host-a`: `__Secure-` needs `secure(true)`, and \
             `__Host-` also the path `/`",
        ),
    ] {
        assert_eq!(made(carried, Some(SECRET)), Err(error.to_owned()));
    }
    assert_eq!(made(new().cookie("__Host-a").secure(true), Some(SECRET)), Ok(()));
}

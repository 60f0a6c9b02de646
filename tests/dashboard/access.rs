//! Who may read the page, and with which headers it is answered.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::connect_info::MockConnectInfo;
use registry_core::Registry;
use registry_core::web::{DashboardOptions, dashboard, dashboard_with};

use crate::rig::{get, page_of, serve, serve_blindly};
use crate::support::log::captured_log;

fn registry() -> Registry {
    Registry::builder().bind("default", "sqlite::memory:").build().expect("good settings")
}

/// The warnings that say `text`.
fn warnings(text: &str) -> usize {
    let lines = captured_log().lines_with(text);
    lines.iter().filter(|line| line.contains("WARN") && line.contains(" registry: ")).count()
}

#[tokio::test]
async fn page_is_served_below_any_prefix_with_and_without_a_slash() {
    let registry = registry();
    let nested = page_of(&registry).nest("/deep/er", dashboard(registry.clone()));
    let service = Router::new().nest_service("/service", dashboard(registry.clone()));
    let address = serve(nested.merge(service)).await;
    for path in ["/databases", "/deep/er", "/service", "/service/", "/service?x"] {
        let answer = get(address, path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains("<h1>Databases</h1>"), "{path}: {}", answer.body);
        // Only the query: what comes before it is that of the page itself, whatever it is.
        for (_, link) in
            answer.body.match_indices("href=\"").map(|(at, _)| answer.body[at..].split_at(6))
        {
            assert!(
                link.starts_with(['?', '#']) || link.starts_with("data:,\""),
                "{}",
                &link[..30]
            );
        }
    }
    let root = serve(dashboard(registry)).await;
    assert_eq!(get(root, "/", "").await.status, 200);
    assert_eq!(get(root, "/other", "").await.status, 404);
    assert_eq!(get(address, "/databases/other", "").await.status, 404);
}

#[tokio::test]
async fn page_has_the_headers_of_a_page_that_nobody_else_may_keep_or_frame() {
    let address = serve(page_of(&registry())).await;
    let answer = get(address, "/databases", "").await;
    for header in [
        "cache-control: no-store",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
        "x-content-type-options: nosniff",
        "content-type: text/html; charset=utf-8",
    ] {
        assert!(answer.head.contains(&format!("\r\n{header}")), "{header}: {}", answer.head);
    }
    let policy =
        answer.head.lines().find_map(|line| line.strip_prefix("content-security-policy: "));
    let policy = policy.expect("a policy");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    let (_, nonce) = policy.split_once("script-src 'nonce-").expect("a nonce");
    let nonce = nonce.split('\'').next().expect("a nonce");
    assert!(answer.body.contains(&format!("<script nonce=\"{nonce}\">")));
    assert!(answer.body.contains(&format!("<style nonce=\"{nonce}\">")));
    assert_eq!(answer.body.matches("<script").count(), 1);
    assert!(!answer.body.contains("http://") && !answer.body.contains("https://"));
    let again = get(address, "/databases", "").await;
    assert!(!again.head.contains(nonce), "a nonce is for one response");
}

#[tokio::test]
async fn other_machines_and_proxies_are_refused_with_the_way_out() {
    captured_log();
    let peer: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
    let foreign = page_of(&registry()).layer(MockConnectInfo(peer));
    let address = serve_blindly(foreign).await;
    let answer = get(address, "/databases", "").await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("another machine (192.0.2.7:5000)"), "{}", answer.body);
    assert!(answer.body.contains("DashboardOptions::new().guarded(true)"), "{}", answer.body);
    assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    assert!(!answer.body.contains("in memory"));
    assert_eq!(warnings("another machine (192.0.2.7:5000)"), 1);
    assert_eq!(get(address, "/databases?live", "").await.status, 403);
    assert_eq!(get(address, "/databases?verify", "").await.status, 403);

    let local = serve(page_of(&registry())).await;
    for header in ["x-forwarded-for: 127.0.0.1", "forwarded: for=127.0.0.1", "x-real-ip: ::1"] {
        let answer = get(local, "/databases", &format!("{header}\r\n")).await;
        assert_eq!(answer.status, 403, "{header}");
        assert!(answer.body.contains("through a proxy"), "{}", answer.body);
    }
    // A site whose name leads to this machine would otherwise read the page in the name of a browser here.
    assert_eq!(get(local, "/databases", "host: evil.example\r\n").await.status, 403);
}

#[tokio::test]
async fn page_that_cannot_tell_who_reads_it_says_so_and_answers_this_machine_alone() {
    captured_log();
    let address = serve_blindly(page_of(&registry())).await;
    let before = warnings("cannot tell who reads it");
    for host in ["", "host: localhost\r\n", "host: [::1]:3000\r\n"] {
        let answer = get(address, "/databases", host).await;
        assert_eq!(answer.status, 200, "{host}");
        assert!(answer.body.contains("This page cannot tell who reads it."), "{}", answer.body);
    }
    assert_eq!(warnings("cannot tell who reads it"), before + 1, "one event");
    for host in ["host: shop.example\r\n", "host: 192.0.2.1\r\n", "host: localhost.example\r\n"] {
        assert_eq!(get(address, "/databases", host).await.status, 403, "{host}");
    }
    let told = serve(page_of(&registry())).await;
    assert!(!get(told, "/databases", "").await.body.contains("cannot tell who reads it"));
}

#[tokio::test]
async fn guarded_page_is_served_to_everyone_who_passes_the_guard() {
    let options = DashboardOptions::new().guarded(true).title("<Shop> & Co");
    let page = Router::new().nest("/databases", dashboard_with(registry(), options));
    let address = serve_blindly(page).await;
    let headers = "host: shop.example\r\nx-forwarded-for: 192.0.2.7\r\n";
    let answer = get(address, "/databases", headers).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("<h1>&#60;Shop&#62; &#38; Co</h1>"), "{}", answer.body);
    assert!(!answer.body.contains("cannot tell who reads it"));
}

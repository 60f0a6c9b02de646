//! The page in Chromium: what people see, on screens of all sizes, and with the keyboard alone.
//!
//! Pictures are written to `target/dashboard/`. With `REGISTRY_TEST_OVERWRITE=1`, that of the guide is written anew.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::sql_query;
use registry_core::settings::BindSettings;
use registry_core::{BindDsl, EngineOptions, Registry, RunQueryDsl, binds};
use serde_json::json;
use tokio::task::JoinSet;

use crate::rig::{page_of, serve, serve_blindly};
use crate::support::chromium::{Browser, Looks};
use crate::support::{fresh_folder, mortal_postgres, postgres, sqlite_file, workspace};

binds! {
    Orders: Postgres = "orders";
    Catalogue: Sqlite = "catalogue";
    Shops: Sqlite = "shops";
}

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

/// A shop with three binds, whose queries are recorded.
fn shop(orders: &str) -> Registry {
    let folder = fresh_folder();
    let shops = format!("sqlite://{}/{{tenant}}.db?mode=rwc", folder.display());
    for tenant in TENANTS {
        let file = folder.join(format!("{tenant}.db"));
        std::fs::File::create(file).expect("an empty database");
    }
    let options = EngineOptions { acquire_timeout: Duration::from_secs(10), ..Default::default() };
    let builder = Registry::builder()
        .options(options)
        .bind("orders", BindSettings::new(orders).max_connections(4))
        .bind("catalogue", BindSettings::new(sqlite_file()).max_connections(4))
        .bind("shops", shops)
        .record_queries(true);
    builder.build().expect("good settings")
}

const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];

/// Queries on all binds until it is dropped.
struct Load {
    is_over: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Load {
    fn on(registry: &Registry) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for task in 0..7_u64 {
            let (registry, is_over) = (registry.clone(), Arc::clone(&is_over));
            tasks.spawn(async move {
                for round in 0_u64.. {
                    if AtomicBool::load(&is_over, Ordering::Relaxed) {
                        return;
                    }
                    // Errors are on the page.
                    let _ = step(&registry, task, round).await;
                    tokio::time::sleep(Duration::from_millis(3 + task)).await;
                }
            });
        }
        Self { is_over, tasks }
    }

    async fn stop(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn step(registry: &Registry, task: u64, round: u64) -> Result<(), registry_core::Error> {
    let slow = (round * 7 + task * 13) % 40;
    let sleep = format!("SELECT pg_sleep(0.0{slow:02}) AS waited");
    sql_query(sleep).bound_to::<Orders>().execute(registry).await?;
    let names = "SELECT name, price FROM products WHERE shelf = 'winter' ORDER BY price LIMIT 20";
    sql_query(names).bound_to::<Catalogue>().execute(registry).await?;
    let shop = registry.tenant(TENANTS[(round % 4) as usize]).expect("a name");
    sql_query("SELECT count(*) FROM sqlite_master").bound_to::<Shops>().execute(&shop).await?;
    if round % 97 == 7 {
        let hostile = format!("SELECT * FROM \"{HOSTILE}\"");
        sql_query(hostile).bound_to::<Catalogue>().execute(registry).await?;
    }
    Ok(())
}

async fn prepared(orders: &str) -> Registry {
    let registry = shop(orders);
    let create = "CREATE TABLE products (name TEXT, price INTEGER, shelf TEXT)";
    sql_query(create).bound_to::<Catalogue>().execute(&registry).await.expect("a table");
    registry
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/databases")
}

fn picture(name: &str) -> PathBuf {
    workspace().join("target/dashboard").join(format!("{name}.png"))
}

/// The figure of a bind, as an expression.
fn figure(bind: &str, name: &str) -> String {
    format!("document.querySelector('#bind-{bind} [data-figure={name}]').textContent")
}

/// Asserts that the browser had nothing to complain of: no error, and nothing that the page's policy refuses.
fn assert_no_complaints(browser: &Browser) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// A browser on the page, once the page is live.
fn live(address: SocketAddr, looks: Looks) -> Browser {
    let browser = Browser::start(looks);
    browser.screen(1200, 1000);
    browser.go(&url(address));
    browser.until(IS_LIVE);
    browser
}

const IS_LIVE: &str = "document.getElementById('live').textContent === 'live'";

const FITS: &str = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: ./tests/run.sh --browser"]
async fn charts_move_under_load_and_figures_are_those_of_the_status() {
    let registry = prepared(&postgres().database("page")).await;
    let address = serve(page_of(&registry)).await;
    let browser = live(address, Looks::default());
    let line =
        "document.querySelector('#bind-orders .chart polyline')?.getAttribute('points') ?? ''";
    browser.until(&format!("{line}.length > 0"));
    let load = Load::on(&registry);
    let before = browser.text(line);
    browser.until(&format!("({line}) !== {}", json!(before)));
    browser.until(&format!("Number({}) > 0", figure("orders", "in-use")));
    browser.until("document.querySelectorAll('#tenants tbody tr').length === 4");
    // Queries per second, and their latencies; and those that fail, with their place.
    let now = |chart: u32| {
        format!("document.querySelector('#bind-orders .chart:nth-of-type({chart}) b').textContent")
    };
    browser.until(&format!("Number({}) > 0", now(3)));
    browser.until(&format!("{}.endsWith('ms')", now(4)));
    browser.until("document.getElementById('errors').textContent.includes('browser.rs:')");
    load.stop().await;

    // At rest: what the page says in the end is what the status says.
    let lent = registry.session::<Orders>().await.expect("a session");
    let status = registry.status();
    let engine = status.engines.iter().find(|engine| engine.key == "orders").expect("it is there");
    assert_eq!(engine.in_use, 1);
    for (name, value) in [
        ("in-use", engine.in_use.to_string()),
        ("idle", engine.idle.to_string()),
        ("max", engine.max.to_string()),
        ("waiting", engine.waiting.to_string()),
        ("timed-out", engine.timed_out.to_string()),
    ] {
        browser.until(&format!("{} === {}", figure("orders", name), json!(value)));
    }
    drop(lent);
    // Hostile text is text: no element was made of it, and nothing was loaded.
    assert_eq!(browser.eval("document.images.length"), json!(0));
    assert_eq!(
        browser.eval(&format!("document.body.innerText.includes({})", json!(HOSTILE))),
        json!(true)
    );
    assert_no_complaints(&browser);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: ./tests/run.sh --browser"]
async fn killed_database_is_said_at_once_and_its_return_too() {
    let server = mortal_postgres().await;
    let registry = prepared(&server.database("page")).await;
    let address = serve(page_of(&registry)).await;
    let browser = Browser::start(Looks::default());
    browser.screen(1200, 1000);
    browser.go(&url(address));
    browser
        .until("document.getElementById('summary').textContent.includes('All 2 databases answer')");
    // The page itself measures how long the news take, from the moment that the server is gone.
    browser.eval(
        "(() => { window.news = new Promise((told) => new MutationObserver(() => { \
         if (document.getElementById('summary').textContent.includes('orders')) told(Date.now()); \
         }).observe(document.getElementById('summary'), { subtree: true, childList: true, characterData: true })); })()",
    );
    // Under load, when all connections are in use, as well as at rest.
    let load = Load::on(&registry);
    browser.until(&format!("Number({}) > 0", figure("orders", "in-use")));
    server.kill9();
    let killed = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_millis();
    browser.until("document.getElementById('summary').textContent.includes('1 of 2 databases does not answer: orders')");
    let told = browser.eval("window.news").as_f64().expect("a time");
    let took = Duration::from_millis((told as u128).saturating_sub(killed) as u64);
    println!("the page said so after {took:?}");
    browser.until(
        "document.querySelector('#bind-orders .pill').textContent.startsWith('no answer since')",
    );
    browser.until("document.getElementById('errors').textContent.includes('ceased to answer')");
    browser.picture(&picture("outage"));
    load.stop().await;
    server.start();
    browser
        .until("document.getElementById('summary').textContent.includes('All 2 databases answer')");
    browser.until("document.getElementById('errors').textContent.includes('answers again')");
    assert_no_complaints(&browser);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: ./tests/run.sh --browser"]
async fn keyboard_reaches_everything_and_focus_survives_updates() {
    const ACTIVE: &str = "(document.activeElement.id || document.activeElement.className || document.activeElement.getAttribute('href'))";
    let registry = prepared(&postgres().database("page")).await;
    let slow = sql_query("SELECT pg_sleep(0.2)").bound_to::<Orders>();
    slow.execute(&registry).await.expect("it runs");
    let address = serve(page_of(&registry)).await;
    let browser = live(address, Looks::default());
    browser.press("\u{e004}"); // Tab
    assert_eq!(browser.text(ACTIVE), "skip");
    browser.press("\u{e007}"); // Enter
    browser.until("document.activeElement.id === 'binds-heading'");
    let slowest = "document.querySelector('#queries details summary')";
    for _ in 0..40 {
        if browser.eval(&format!("document.activeElement === {slowest}")) == json!(true) {
            break;
        }
        browser.press("\u{e004}");
    }
    browser.press("\u{e007}");
    browser.until(&format!("{slowest}.parentElement.open"));
    let id = browser.text(ACTIVE);
    // Other queries come and go, and the reader's place stays.
    let load = Load::on(&registry);
    let count = "Number(document.querySelector('#queries b').textContent.replace(/\\D/g, ''))";
    let before = browser.eval(count).as_f64().expect("a count");
    browser.until(&format!("{count} > {before} + 50"));
    assert_eq!(browser.text(ACTIVE), id);
    assert_eq!(
        browser.eval(&format!("document.getElementById({}).parentElement.open", json!(id))),
        json!(true)
    );
    load.stop().await;
    browser.until("document.getElementById('verification').textContent.includes('last at')");
    browser.eval("document.getElementById('verify-now').focus()");
    browser.press("\u{e007}");
    browser.until("document.activeElement.id === 'verify-now'");
    assert_eq!(browser.text("location.search"), "", "the page stays where it is");
    assert_no_complaints(&browser);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: ./tests/run.sh --browser"]
async fn page_fits_every_screen_in_light_and_dark() {
    let registry = prepared(&postgres().database("page")).await;
    let load = Load::on(&registry);
    let address = serve(page_of(&registry)).await;
    for (is_dark, theme) in [(false, "light"), (true, "dark")] {
        let browser = Browser::start(Looks { is_dark, ..Looks::default() });
        browser.screen(1200, 1000);
        browser.go(&url(address));
        let points =
            "document.querySelector('#bind-orders .chart polyline')?.getAttribute('points') ?? ''";
        browser.until(&format!("({points}).split(' ').length > {}", if is_dark { 20 } else { 12 }));
        assert_eq!(
            browser.eval("matchMedia('(prefers-color-scheme: dark)').matches"),
            json!(is_dark)
        );
        for (width, height) in [(1200, 1000), (768, 1024), (360, 740), (320, 600)] {
            browser.screen(width, height);
            browser.until(IS_LIVE);
            assert_eq!(browser.eval(FITS), json!(true), "{theme} {width}");
            browser.picture(&picture(&format!("{theme}-{width}")));
        }
        // The whole page, for those who look at the pictures.
        for width in [1200, 360] {
            browser.screen(width, 1000);
            let height = browser.eval("document.documentElement.scrollHeight").as_u64();
            browser.screen(width, u32::try_from(height.expect("a height")).expect("a page"));
            browser.picture(&picture(&format!("{theme}-{width}-whole")));
        }
        if !is_dark && std::env::var_os("REGISTRY_TEST_OVERWRITE").is_some() {
            // A minute for the picture, in three waits.
            for seconds in [25, 40, 55] {
                browser.until(&format!("({points}).split(' ').length > {seconds}"));
            }
            browser.screen(1100, 860);
            browser.picture(&workspace().join("docs/guide/dashboard.png"));
        }
        assert_no_complaints(&browser);
    }
    load.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: ./tests/run.sh --browser"]
async fn page_without_scripts_shows_the_present_state() {
    let registry = prepared(&postgres().database("page")).await;
    let address = serve(page_of(&registry)).await;
    let browser = Browser::start(Looks { is_without_scripts: true, ..Looks::default() });
    browser.screen(1200, 1000);
    browser.go(&url(address));
    browser.until("document.body.innerText.includes('All 2 databases answer.')");
    browser.until(
        "document.body.innerText.includes('Without JavaScript the page does not follow it')",
    );
    assert_eq!(browser.text("document.getElementById('live').textContent"), "not live");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: ./tests/run.sh --browser"]
async fn closed_registry_ends_the_stream_and_the_page_says_so() {
    let registry = prepared(&postgres().database("page")).await;
    let address = serve(page_of(&registry)).await;
    let browser = Browser::start(Looks::default());
    browser.go(&url(address));
    browser.until(IS_LIVE);
    registry.close().await;
    browser.until("document.getElementById('live').textContent === 'closed'");
    browser.until(
        "document.getElementById('summary').textContent.includes('The registry is closed.')",
    );
    assert_no_complaints(&browser);
}

/// What of the text on the page is hard to read for people with poor eyes: the contrast of each to what is behind it, where
/// that is below 4.5 (WCAG 2.1, AA).
const PALE: &str = r"(() => {
    const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
    const linear = (part) => ((part /= 255) <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = (element) => {
        for (; element; element = element.parentElement) {
            const [r, g, b, a = 1] = parts(getComputedStyle(element).backgroundColor);
            if (a === 1) return [r, g, b];
        }
        return [255, 255, 255];
    };
    const found = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
        const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) found.add(`${element.className || element.nodeName} ${contrast.toFixed(2)}`);
    }
    return [...found];
})()";

/// What of the page a screen reader could not tell: rules of axe that a page such as this could break.
const UNNAMED: &str = r"(() => {
    const found = [];
    const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
    for (const id of new Set(ids)) {
        if (ids.filter((other) => other === id).length > 1) found.push(`twice: ${id}`);
    }
    for (const element of document.querySelectorAll('[aria-labelledby]')) {
        const named = document.getElementById(element.getAttribute('aria-labelledby'));
        if (!named?.textContent.trim()) found.push(`no name: ${element.outerHTML.slice(0, 80)}`);
    }
    for (const element of document.querySelectorAll('a, summary, [role=img], [role=region]')) {
        const label = element.getAttribute('aria-label') || element.getAttribute('aria-labelledby');
        if (!label && !element.textContent.trim()) found.push(`no name: ${element.outerHTML.slice(0, 80)}`);
    }
    for (const link of document.querySelectorAll('a[href^=\\#]')) {
        if (!document.getElementById(link.hash.slice(1))) found.push(`leads nowhere: ${link.hash}`);
    }
    for (const region of document.querySelectorAll('*')) {
        const style = getComputedStyle(region);
        const scrolls = region.scrollWidth > region.clientWidth + 1 && ['auto', 'scroll'].includes(style.overflowX);
        if (scrolls && region.tabIndex < 0) found.push(`scrolls without keyboard: ${region.className}`);
    }
    let level = 1;
    for (const heading of document.querySelectorAll('h1, h2, h3, h4')) {
        const next = Number(heading.nodeName[1]);
        if (next > level + 1) found.push(`skips a level: ${heading.textContent}`);
        level = next;
    }
    const landmarks = 'main, nav, header, [role=status], .skip, script, noscript';
    for (const child of document.body.children) {
        if (!child.matches(landmarks)) found.push(`outside of landmarks: ${child.outerHTML.slice(0, 80)}`);
    }
    return found;
})()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: ./tests/run.sh --browser"]
async fn page_is_for_people_who_see_badly_or_not_at_all() {
    let server = mortal_postgres().await;
    let registry = prepared(&server.database("page")).await;
    let load = Load::on(&registry);
    // Nothing tells it who reads it, so it has its banner.
    let address = serve_blindly(page_of(&registry)).await;
    for is_dark in [false, true] {
        let browser = live(address, Looks { is_dark, ..Looks::default() });
        browser.until("document.querySelectorAll('#tenants tbody tr').length === 4");
        browser.until("document.querySelectorAll('#errors li').length > 0");
        if is_dark {
            server.kill9();
            browser.until("document.querySelectorAll('.pill.bad').length > 0");
            browser.picture(&picture("dark-outage"));
        }
        assert_eq!(browser.eval(PALE), json!([]), "dark: {is_dark}");
        assert_eq!(browser.eval(UNNAMED), json!([]), "dark: {is_dark}");
        // Twice as large, as the browser's zoom makes it: half as many pixels.
        browser.screen(640, 500);
        assert_eq!(browser.eval(FITS), json!(true));
        browser.screen(320, 600);
        assert_eq!(browser.eval(FITS), json!(true));
        assert_eq!(browser.eval(UNNAMED), json!([]), "dark: {is_dark}");
        browser.picture(&picture(if is_dark { "dark-320" } else { "light-320" }));
        // Nothing moves by itself.
        let moving = "document.getAnimations().length + [...document.querySelectorAll('*')].filter((element) => \
             parseFloat(getComputedStyle(element).transitionDuration) > 0).length";
        assert_eq!(browser.eval(moving), json!(0));
        assert_no_complaints(&browser);
    }
    load.stop().await;
    server.start();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: ./tests/run.sh --browser"]
async fn policy_of_the_page_refuses_what_is_not_its_own() {
    let registry = prepared(&postgres().database("page")).await;
    let address = serve(page_of(&registry)).await;
    let browser = live(address, Looks::default());
    assert_no_complaints(&browser);
    // Whatever got into the page as elements would do nothing.
    browser.eval(
        "(() => { window.hit = 0; window.refused = []; \
         document.addEventListener('securitypolicyviolation', (event) => window.refused.push(event.effectiveDirective)); \
         const into = document.createElement('div'); document.body.append(into); \
         into.innerHTML = '<img src=x onerror=\"window.hit=1\"><p style=\"color:red\" onclick=\"window.hit=1\">x</p><form action=\"/x\"><button>x</button></form><iframe src=\"/x\"></iframe>'; \
         into.querySelector('p').click(); into.querySelector('button').click(); \
         const script = document.createElement('script'); script.textContent = 'window.hit = 1'; into.append(script); \
         const base = document.createElement('base'); base.href = 'http://evil.example/'; document.head.append(base); \
         fetch('http://127.0.0.1:9/').catch(() => {}); })()",
    );
    for directive in [
        "img-src",
        "style-src-attr",
        "script-src-attr",
        "script-src-elem",
        "form-action",
        "frame-src",
        "base-uri",
        "connect-src",
    ] {
        browser.until(&format!("window.refused.includes('{directive}')"));
    }
    assert_eq!(browser.eval("window.hit"), json!(0));
    // A mark that turns the direction of text in a statement leaves what stands beside it as it is.
    let turned = "SELECT 1 AS \"a\u{202e}b\" FROM \"nothing\u{2067}\"";
    assert!(sql_query(turned).bound_to::<Catalogue>().execute(&registry).await.is_err());
    browser.until("document.querySelectorAll('#errors .message code').length > 0");
    let place = "(() => { const place = document.querySelector('#errors .message .muted').firstChild; const range = document.createRange(); \
         const at = (offset) => { range.setStart(place, offset); range.setEnd(place, offset + 1); return range.getBoundingClientRect().left; }; return at(0) < at(1); })()";
    assert_eq!(browser.eval(place), json!(true), "from left to right");
    browser.picture(&picture("turned"));
}

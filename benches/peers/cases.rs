//! Which subjects are compared in which case.

use registry_core::Registry;

use crate::CONNECTIONS;
use crate::measure::{Case, Subject};
use crate::peers::{self, Acquire, Acquires, Find, Finds};
use crate::route;

/// Tasks in the cases that have more tasks than connections.
const MANY: u32 = 64;

/// Every case, with pools that connect to `url`.
pub(crate) async fn all(url: &str) -> Vec<Case> {
    let ours = peers::ours::registry(url);
    let bare = peers::bb8::Bare::new().await;
    let bb8 = (peers::bb8::default(url).await, peers::bb8::tuned(url).await);
    let deadpool = (peers::deadpool::default(url), peers::deadpool::tuned(url));
    let sqlx = (peers::sqlx::default(url), peers::sqlx::tuned(url));
    let seaorm = peers::seaorm::connect(url).await;
    let held = peers::held::Held::connect(url).await;

    let acquire = |name, tasks| Case {
        name,
        tasks,
        subjects: vec![
            acquires::<Registry>("ours", tasks, &ours),
            acquires("bb8-bare", tasks, &bare),
            acquires("bb8-default", tasks, &bb8.0),
            acquires("bb8-tuned", tasks, &bb8.1),
            acquires("deadpool-default", tasks, &deadpool.0),
            acquires("deadpool-tuned", tasks, &deadpool.1),
            acquires("sqlx-default", tasks, &sqlx.0),
            acquires("sqlx-tuned", tasks, &sqlx.1),
        ],
    };
    // Subjects that find a row: this crate first, then the peers.
    let finders = |name, tasks: u32, ours: Vec<Subject>| {
        let held = held.clone();
        let mut subjects = ours;
        subjects.extend([
            // No more tasks than connections: the most that the server can deliver.
            Subject::new("held", tasks.min(CONNECTIONS), move || held.worker()),
            finds("bb8-default", tasks, &bb8.0),
            finds("bb8-tuned", tasks, &bb8.1),
            finds("deadpool-default", tasks, &deadpool.0),
            finds("deadpool-tuned", tasks, &deadpool.1),
            finds("sqlx-default", tasks, &sqlx.0),
            finds("sqlx-tuned", tasks, &sqlx.1),
            finds("seaorm", tasks, &seaorm),
        ]);
        Case { name, tasks, subjects }
    };
    let row = |name, tasks| finders(name, tasks, vec![finds("ours", tasks, &ours)]);
    let routed = |name, tasks| {
        let routed = finds("ours", tasks, &peers::ours::Routed(ours.clone()));
        // `session_for`, and diesel-async's own methods.
        finders(name, tasks, vec![routed, finds("ours-session", tasks, &ours)])
    };
    let routes = |name, routes: route::Routes| Subject::new(name, 1, move || routes.clone());
    let route = Case {
        name: "route",
        tasks: 1,
        subjects: vec![
            routes("ours-1-bind", route::one()),
            routes("ours-10-binds", route::ten()),
            routes("ours-1000-binds", route::thousand()),
        ],
    };
    vec![
        acquire("acquire-1", 1),
        acquire("acquire-64", MANY),
        row("row-1", 1),
        row("row-64", MANY),
        routed("routed-1", 1),
        routed("routed-64", MANY),
        route,
    ]
}

fn acquires<P: Acquire>(name: &'static str, tasks: u32, pool: &P) -> Subject {
    let pool = pool.clone();
    Subject::new(name, tasks, move || Acquires(pool.clone()))
}

fn finds<P: Find>(name: &'static str, tasks: u32, pool: &P) -> Subject {
    let pool = pool.clone();
    Subject::new(name, tasks, move || Finds(pool.clone()))
}

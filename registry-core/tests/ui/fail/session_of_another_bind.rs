use registry_core::{Registry, Session, binds};

binds! {
    Main: Postgres = "default";
    Analytics: Postgres = "analytics";
}

async fn count_events(_: &mut Session<Analytics>) {}

async fn report(registry: &Registry) {
    let mut session = registry.session::<Main>().await.unwrap();
    count_events(&mut session).await;
}

fn main() {}

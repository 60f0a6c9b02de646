use registry_core::{AnyExecutor, ReadSession, binds};

binds! {
    Shop: Postgres = "shop";
    People: Postgres = "people";
}

async fn report(_: impl Into<AnyExecutor<'_, Shop>>) {}

async fn report_people(session: &mut ReadSession<People>) {
    report(session).await;
}

fn main() {}

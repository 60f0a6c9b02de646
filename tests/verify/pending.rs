//! What `verify` finds about the migrations that the registry's builder was told.

use registry_core::settings::BindSettings;
use registry_core::{
    AcquireError, MigrateError, Registry, RegistryBuilder, VerifyFailure, VerifyReport,
    WhenPending, WhenUnknown, binds,
};

use crate::support::log::own_log;
use crate::support::steps::{Step, Steps, step};
use crate::support::{causes, mariadb, postgres, sqlite_file};

binds! {
    Main: Postgres = "default";
    Analytics: Sqlite = "analytics";
    Reports: Mysql = "reports";
}

const ITEMS: Step =
    step("20260101000000_items", "CREATE TABLE items (id INTEGER PRIMARY KEY NOT NULL)");
const FILL: Step = step("20260201000000_fill", "INSERT INTO items VALUES (1)");
const LATER: Step = step("20260301000000_later", "INSERT INTO items VALUES (2)");

/// A bind on each backend.
struct Binds {
    main: BindSettings,
    analytics: BindSettings,
    reports: BindSettings,
}

fn binds() -> Binds {
    Binds {
        main: postgres().database("verify").as_str().into(),
        analytics: sqlite_file().as_str().into(),
        reports: mariadb().database("verify").as_str().into(),
    }
}

impl Binds {
    fn each(self, change: impl Fn(BindSettings) -> BindSettings) -> Self {
        let Self { main, analytics, reports } = self;
        Self { main: change(main), analytics: change(analytics), reports: change(reports) }
    }

    fn builder(&self) -> RegistryBuilder {
        Registry::builder()
            .bind("default", self.main.clone())
            .bind("analytics", self.analytics.clone())
            .bind("reports", self.reports.clone())
    }

    /// A registry that was told these migrations for each bind.
    fn registry(&self, steps: &[Step]) -> Registry {
        let steps = || Steps(steps.to_vec());
        let builder = self.builder().migrations::<Main>(steps());
        let builder = builder.migrations::<Analytics>(steps()).migrations::<Reports>(steps());
        builder.build().expect("good settings")
    }

    async fn migrate(&self, steps: &[Step]) {
        let registry = self.builder().build().expect("good settings");
        let steps = || Steps(steps.to_vec());
        registry.migrate::<Main>(steps()).await.expect("they run");
        registry.migrate::<Analytics>(steps()).await.expect("they run");
        registry.migrate::<Reports>(steps()).await.expect("they run");
    }
}

fn lines(failures: &[VerifyFailure]) -> Vec<String> {
    failures.iter().map(ToString::to_string).collect()
}

async fn failures(registry: &Registry) -> Vec<String> {
    lines(registry.verify().await.expect_err("something is wrong").failures())
}

async fn report(registry: &Registry) -> VerifyReport {
    registry.verify().await.expect("nothing but warnings")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_migrations_are_failures_until_they_were_run() {
    let binds = binds();
    assert!(report(&binds.registry(&[])).await.warnings.is_empty(), "there are none");
    let registry = binds.registry(&[ITEMS, FILL]);
    let expected = ["analytics", "default", "reports"].map(|key| {
        format!(
            "bind `{key}`: pending migrations (`20260101000000_items`, `20260201000000_fill`): run them before"
        )
    });
    assert_eq!(failures(&registry).await, expected);
    let error = registry.verify().await.expect_err("still");
    let [VerifyFailure::PendingMigrations { key, migrations }, ..] = error.failures() else {
        panic!("{error:?}");
    };
    assert_eq!(
        (&**key, &migrations[..]),
        ("analytics", &[ITEMS.name.to_owned(), FILL.name.into()][..])
    );

    registry.session::<Main>().await.expect("a bind with one database is only checked by `verify`");
    binds.migrate(&[ITEMS]).await;
    assert!(failures(&registry).await[2].ends_with("(`20260201000000_fill`): run them before"));
    binds.migrate(&[ITEMS, FILL]).await;
    let report = report(&registry).await;
    assert!(report.warnings.is_empty());
    assert_eq!(report.answered, ["analytics", "default", "reports"]);
}

#[tokio::test]
async fn what_is_served_or_not_required_is_a_warning() {
    for change in [
        (|bind: BindSettings| bind.when_pending(WhenPending::Serve)) as fn(_) -> _,
        |bind: BindSettings| bind.required(false),
    ] {
        let (log, _guard) = own_log();
        let registry = binds().each(change).registry(&[ITEMS]);
        let report = report(&registry).await;
        assert_eq!(report.answered.len(), 3);
        assert!(
            matches!(&report.warnings[..], [VerifyFailure::PendingMigrations { .. }, ..]),
            "{report:?}"
        );
        assert_eq!(report.warnings.len(), 3);
        let logged = log.lines_with("the migrations of a bind are not those of the program");
        assert_eq!(logged.len(), 3, "{logged:?}");
        assert!(logged[0].contains("WARN") && logged[0].contains(ITEMS.name), "{logged:?}");
    }
}

#[tokio::test]
async fn migrations_of_a_later_program_are_warnings_or_failures() {
    let binds = binds();
    binds.migrate(&[ITEMS, FILL, LATER]).await;
    let expected = ["analytics", "default", "reports"].map(|key| {
        format!("bind `{key}`: migrations were run that the program does not have (`20260301000000_later`)")
    });
    let warned = report(&binds.registry(&[ITEMS, FILL])).await;
    assert_eq!(lines(&warned.warnings), expected);
    let refused = binds.each(|bind| bind.when_unknown(WhenUnknown::Fail));
    assert_eq!(failures(&refused.registry(&[ITEMS, FILL])).await, expected);
}

/// Written for every engine, as a bind's own it is an error.
#[tokio::test]
async fn migrate_for_every_engine_is_fail_for_a_bind_with_one_database() {
    let options =
        registry_core::EngineOptions { when_pending: WhenPending::Migrate, ..Default::default() };
    let builder = binds().builder().options(options);
    let registry = builder.migrations::<Analytics>(Steps(vec![ITEMS])).build().expect("good");
    assert_eq!(failures(&registry).await.len(), 1);
    registry.session::<Analytics>().await.expect("a session");
    let pending = registry.migrations::<Analytics>(Steps(vec![ITEMS])).pending().await;
    assert_eq!(pending.expect("known"), [ITEMS.name], "nothing was run");
}

#[tokio::test]
async fn what_cannot_be_read_is_a_failure_with_its_cause() {
    let twice = [ITEMS, step("20260101000000_other", "SELECT 1")];
    let error = binds().registry(&twice).verify().await.expect_err("a mistake in the source");
    for failure in error.failures() {
        let VerifyFailure::Migrations { source, .. } = failure else { panic!("{failure:?}") };
        assert!(matches!(source, MigrateError::SameVersion { .. }), "{source:?}");
        let causes = causes(failure);
        assert!(causes[0].ends_with("its migrations could not be checked"), "{causes:?}");
        assert!(causes[1].contains("have one version"), "{causes:?}");
    }
    assert_eq!(error.failures().len(), 3);
}

/// One failure for it, and not a second one for its migrations.
#[tokio::test]
async fn a_bind_that_does_not_answer_is_not_asked_for_its_migrations() {
    let binds = Binds { reports: super::nowhere().as_str().into(), ..binds() };
    let builder = binds.builder().migrations::<Reports>(Steps(vec![ITEMS]));
    let registry = builder.build().expect("good settings");
    let error = registry.verify().await.expect_err("nobody is there");
    assert!(
        matches!(error.failures(), [VerifyFailure::Acquire(AcquireError::Connect { .. })]),
        "{error:?}"
    );
}

/// Tenants are checked when they are first used.
#[tokio::test]
async fn binds_with_tenants_are_not_asked() {
    let url = postgres().database("verify");
    let schemas = BindSettings::new(url.as_str()).tenant_schema("tenant_{tenant}");
    let builder = Registry::builder().bind("default", schemas).bind("analytics", "sqlite::memory:");
    let registry = builder.migrations::<Main>(Steps(vec![ITEMS])).build().expect("good settings");
    assert!(report(&registry).await.warnings.is_empty());
}

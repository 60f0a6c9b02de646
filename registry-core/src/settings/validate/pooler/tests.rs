use crate::settings::options::Pooler;
use crate::settings::sources::Settings;
use crate::settings::testing::{engines, problems};

fn toml(text: &str) -> Settings {
    Settings::from_toml(text).unwrap()
}

#[test]
fn a_full_reset_is_not_promised_where_there_is_no_session() {
    assert_eq!(
        problems(&toml(
            "
            [binds.a]
            url = 'postgres://localhost/app'
            pooler = 'transaction'
            reset_on_return = 'full'
            "
        )),
        ["binds.a.reset_on_return: `reset_on_return = \"full\"` cannot be had with `pooler = \
          \"transaction\"`: other clients share the server session, so it cannot be reset for one"]
    );
}

#[test]
fn settings_that_a_pooler_would_leak_to_other_clients_are_problems() {
    assert_eq!(
        problems(&toml(
            "
            [options]
            statement_timeout = '1s'
            [binds.a]
            url = 'postgres://h/app?options=-c%20work_mem=1MB'
            pooler = 'transaction'
            read_only = true
            on_connect = ['SELECT 1']
            [binds.b]
            url = 'postgres://h/app'
            pooler = 'transaction'
            statement_timeout = 'none'
            tenant_schema = 'tenant_{tenant}'
            "
        )),
        [
            "binds.a.url: the parameter `options` of the URL cannot be had with `pooler = \
             \"transaction\"`: such a pooler refuses start-up options",
            "options.statement_timeout: `statement_timeout` cannot be had with `pooler = \
             \"transaction\"`: the pooler gives each transaction another server connection, so a \
             setting of the session would reach other clients",
            "binds.a.read_only: `read_only` cannot be had with `pooler = \"transaction\"`: the \
             pooler gives each transaction another server connection, so a setting of the \
             session would reach other clients",
            "binds.a.on_connect: `on_connect` cannot be had with `pooler = \"transaction\"`: the \
             pooler gives each transaction another server connection, so a setting of the \
             session would reach other clients",
            "binds.b.tenant_schema: a schema for each tenant cannot be had with `pooler = \
             \"transaction\"`: the pooler gives each transaction another server connection, so \
             a setting of the session would reach other clients",
        ]
    );
}

#[test]
fn a_pooler_is_for_postgres() {
    assert_eq!(
        problems(&toml(
            "
            [options]
            pooler = 'transaction'
            [binds]
            files = 'sqlite://files.db'
            pg = 'postgres://h/app'
            [binds.my]
            url = 'mysql://h/app'
            pooler = 'transaction'
            "
        )),
        [
            "options.pooler: the bind `files` is SQLite, and `pooler` is for PostgreSQL; say \
             \"none\" for it",
            "binds.my.pooler: `pooler` is for PostgreSQL, and this is MySQL",
        ]
    );
}

#[test]
fn a_pooler_is_set_for_one_bind_or_for_all() {
    let engines = engines(&toml(
        "
        [options]
        pooler = 'Transaction'
        [binds]
        a = 'postgres://h/app'
        [binds.b]
        url = 'postgres://h/app'
        pooler = 'none'
        ",
    ));
    let poolers: Vec<Pooler> = engines.iter().map(|engine| engine.options.pooler).collect();
    assert_eq!(poolers, [Pooler::Transaction, Pooler::None]);
}

#[test]
fn an_unknown_pooler_names_the_words_and_the_nearest() {
    assert_eq!(
        problems(&toml("binds.a = { url = 'postgres://h/app', pooler = 'transactions' }")),
        ["binds.a.pooler: expected \"none\" or \"transaction\", found another text; did you mean \
          `transaction`?"]
    );
}

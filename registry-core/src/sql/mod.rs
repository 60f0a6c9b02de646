//! stub
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Mysql,
    Sqlite,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effects {
    pub(crate) session: SessionEffect,
    pub(crate) transaction: TransactionEffect,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionEffect {
    None,
    Unknown,
    Changed,
    Irreversible,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionEffect {
    None,
    Begins,
    Ends,
    Unknown,
}
pub(crate) fn effects(_: Dialect, sql: &str) -> Effects {
    let session = if sql.starts_with("SET") { SessionEffect::Changed } else { SessionEffect::None };
    Effects { session, transaction: TransactionEffect::None }
}

//! Which migrations were found to be complete on an engine.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use crate::settings::BindKey;

/// The number of schemas of a bind that are remembered. Beyond it all are forgotten, and each is checked again when it is
/// used the next time, so that the memory does not grow with the number of tenants.
const MAX_SCHEMAS: usize = 16 * 1024;

/// The binds whose migrations are complete in the database of an engine, or in a schema of it. It ends with the engine,
/// so a tenant is checked again when its engine was closed in between.
///
/// An engine can serve several binds, which have migrations of their own.
#[derive(Default)]
pub(crate) struct CheckedMigrations(RwLock<State>);

#[derive(Default)]
struct State {
    checked: HashMap<BindKey, Checked>,
    /// How often something was forgotten.
    forgotten: u64,
}

/// When a check of migrations began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BeginOfCheck {
    forgotten: u64,
}

#[derive(Default)]
struct Checked {
    is_database: bool,
    schemas: HashSet<Box<str>>,
}

impl CheckedMigrations {
    /// Whether the migrations of the bind are complete: in the schema, or without one in the database.
    pub(crate) fn contains(&self, key: BindKey, schema: Option<&str>) -> bool {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        state.checked.get(&key).is_some_and(|checked| match schema {
            Some(schema) => checked.schemas.contains(schema),
            None => checked.is_database,
        })
    }

    /// To be called before the database is asked.
    pub(crate) fn begin_check(&self) -> BeginOfCheck {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        BeginOfCheck { forgotten: state.forgotten }
    }

    /// Notes the outcome of a check, unless something was forgotten since it began: it may have asked the database before
    /// migrations were reverted.
    pub(crate) fn insert(&self, key: BindKey, schema: Option<&str>, begin: BeginOfCheck) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if state.forgotten != begin.forgotten {
            return;
        }
        let checked = state.checked.entry(key).or_default();
        match schema {
            Some(schema) => {
                if checked.schemas.len() >= MAX_SCHEMAS {
                    checked.schemas.clear();
                }
                checked.schemas.insert(schema.into());
            }
            None => checked.is_database = true,
        }
    }

    /// Forgets what was found in a schema, for all binds, because the schema was dropped or is new.
    pub(crate) fn forget_schema(&self, schema: &str) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        state.forgotten += 1;
        for checked in state.checked.values_mut() {
            checked.schemas.remove(schema);
        }
    }

    /// Forgets everything, because migrations were reverted.
    pub(crate) fn forget_all(&self) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        state.forgotten += 1;
        state.checked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_says_nothing_of_others_nor_of_other_binds() {
        let (crm, shop) = (BindKey::new("crm").unwrap(), BindKey::new("shop").unwrap());
        let checked = CheckedMigrations::default();
        checked.insert(crm, Some("acme"), checked.begin_check());
        assert!(checked.contains(crm, Some("acme")));
        assert!(!checked.contains(crm, Some("globex")));
        assert!(!checked.contains(crm, None));
        assert!(!checked.contains(shop, Some("acme")));
        checked.insert(crm, None, checked.begin_check());
        checked.forget_schema("acme");
        assert!(!checked.contains(crm, Some("acme")));
        assert!(checked.contains(crm, None));
        checked.forget_all();
        assert!(!checked.contains(crm, None));
    }

    #[test]
    fn the_number_of_schemas_is_bounded() {
        let crm = BindKey::new("crm").unwrap();
        let checked = CheckedMigrations::default();
        for tenant in 0..=MAX_SCHEMAS {
            checked.insert(crm, Some(&format!("tenant{tenant}")), checked.begin_check());
        }
        assert!(checked.contains(crm, Some(&format!("tenant{MAX_SCHEMAS}"))));
        assert!(!checked.contains(crm, Some("tenant0")));
    }

    #[test]
    fn check_that_began_before_a_revert_is_not_noted() {
        let crm = BindKey::new("crm").unwrap();
        let checked = CheckedMigrations::default();
        let forget_acme: fn(&CheckedMigrations) = |checked| checked.forget_schema("acme");
        for forget in [CheckedMigrations::forget_all, forget_acme] {
            let begin = checked.begin_check();
            forget(&checked);
            checked.insert(crm, Some("acme"), begin);
            assert!(!checked.contains(crm, Some("acme")));
        }
        checked.insert(crm, Some("acme"), checked.begin_check());
        assert!(checked.contains(crm, Some("acme")));
    }
}

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
pub(crate) struct CheckedMigrations(RwLock<HashMap<BindKey, Checked>>);

#[derive(Default)]
struct Checked {
    is_database: bool,
    schemas: HashSet<Box<str>>,
}

impl CheckedMigrations {
    /// Whether the migrations of the bind are complete: in the schema, or without one in the database.
    pub(crate) fn contains(&self, key: BindKey, schema: Option<&str>) -> bool {
        let checked = self.0.read().unwrap_or_else(PoisonError::into_inner);
        checked.get(&key).is_some_and(|checked| match schema {
            Some(schema) => checked.schemas.contains(schema),
            None => checked.is_database,
        })
    }

    pub(crate) fn insert(&self, key: BindKey, schema: Option<&str>) {
        let mut checked = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let checked = checked.entry(key).or_default();
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
        let mut checked = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for checked in checked.values_mut() {
            checked.schemas.remove(schema);
        }
    }

    /// Forgets everything, because migrations were reverted.
    pub(crate) fn forget_all(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_says_nothing_of_others_nor_of_other_binds() {
        let (crm, shop) = (BindKey::new("crm").unwrap(), BindKey::new("shop").unwrap());
        let checked = CheckedMigrations::default();
        checked.insert(crm, Some("acme"));
        assert!(checked.contains(crm, Some("acme")));
        assert!(!checked.contains(crm, Some("globex")));
        assert!(!checked.contains(crm, None));
        assert!(!checked.contains(shop, Some("acme")));
        checked.insert(crm, None);
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
            checked.insert(crm, Some(&format!("tenant{tenant}")));
        }
        assert!(checked.contains(crm, Some(&format!("tenant{MAX_SCHEMAS}"))));
        assert!(!checked.contains(crm, Some("tenant0")));
    }
}

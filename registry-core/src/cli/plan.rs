//! `migrate --plan`: the SQL of the pending migrations.

use serde::Serialize;

use super::databases::Databases;
use super::exit::{Exit, Outcome};
use super::output::Output;
use super::targets::Target;
use crate::registry::MigrationPlan;

#[derive(Serialize)]
struct Document {
    plans: Vec<MigrationPlan>,
}

pub(super) async fn run(databases: &Databases, output: &Output, targets: &[Target]) -> Outcome {
    let mut plans = Vec::new();
    for (at, target) in targets.iter().enumerate() {
        let plan = target.known.plan(&databases.registry, target.tenant.as_ref()).await?;
        if output.is_json {
            plans.push(plan);
        } else {
            let gap = if at == 0 { "" } else { "\n" };
            output.result(format_args!("{gap}{plan}"));
        }
    }
    if output.is_json {
        output.json(&Document { plans });
    }
    Ok(Exit::Done)
}

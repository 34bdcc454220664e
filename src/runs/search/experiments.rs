//! Finds experiments as MLflow's clients ask for them.

use super::binding::Bindings;
use super::paging::{Keys, Page, Paged, check_order};
use crate::error::{Error, Result};
use crate::filter::{Comparison, Direction, ExperimentAttribute, Field, Filter, Order, Test};
use crate::runs::client_experiment::NAME;
use crate::runs::record::Lifecycle;
use crate::runs::store::Store;

/// A question of a client for experiments.
#[derive(Debug, Clone, Default)]
pub struct ExperimentQuery {
    pub filter: Filter<ExperimentAttribute>,
    /// The first one counts most. Without any, the ones that were created last come first.
    pub order: Vec<Order<ExperimentAttribute>>,
    /// `None` stands for any.
    pub lifecycle: Option<Lifecycle>,
    /// Maximum number of experiments in the answer.
    pub limit: usize,
    /// Token of the page before.
    pub after: Option<String>,
}

impl Store {
    /// Returns a page of the experiments that match a query, in its order.
    ///
    /// # Errors
    /// The token is not that of a page in this order; the order names a field twice; the database
    /// cannot be read.
    pub fn experiment_search(&self, query: &ExperimentQuery) -> Result<Page<i64>> {
        check_order(&query.order)?;
        let mut sql = Bindings::default();
        let mut conditions = Vec::new();
        if let Some(lifecycle) = query.lifecycle {
            let lifecycle = sql.bind(lifecycle.word().to_owned());
            conditions.push(format!("lifecycle = {lifecycle}"));
        }
        let comparisons = query.filter.comparisons.iter();
        conditions.extend(comparisons.map(|comparison| condition(&mut sql, comparison)));
        let paged = Paged {
            tables: String::new(),
            id: "experiments.id",
            table: "experiments",
            conditions,
            keys: keys(&query.order)?,
            sql,
            limit: query.limit,
            after: query.after.as_deref(),
        };
        self.page(paged, |row| row.get(0))
    }
}

fn condition(sql: &mut Bindings, comparison: &Comparison<ExperimentAttribute>) -> String {
    let Comparison { field, test } = comparison;
    match field {
        Field::Attribute(attribute) => sql.test(column(*attribute), test),
        // The grammar of experiments has no other prefix than that of tags.
        Field::Tag(name) | Field::Metric(name) | Field::Param(name) => {
            let key = sql.bind(name.clone());
            let rows = "SELECT experiment FROM experiment_tags WHERE key";
            match test {
                Test::Null => format!("id NOT IN ({rows} = {key})"),
                Test::NotNull => format!("id IN ({rows} = {key})"),
                test => format!("id IN ({rows} = {key} AND {})", sql.test("value", test)),
            }
        }
        Field::Dataset(_) => "0".to_owned(),
    }
}

fn keys(order: &[Order<ExperimentAttribute>]) -> Result<Keys> {
    let mut keys = Keys::default();
    for Order { field, direction } in order {
        keys.name.push_str(&format!("{field} {direction:?}\n"));
        let column = match field {
            Field::Attribute(ExperimentAttribute::Id) => "id",
            Field::Attribute(attribute) => column(*attribute),
            _ => return Err(Error::usage(format!("experiments are not ordered by `{field}`"))),
        };
        keys.push(column, *direction == Direction::Descending);
    }
    if order.is_empty() {
        keys.push("created", true);
    }
    keys.push("id", !order.is_empty());
    Ok(keys)
}

fn column(attribute: ExperimentAttribute) -> &'static str {
    match attribute {
        ExperimentAttribute::Id => "CAST(id AS TEXT)",
        ExperimentAttribute::Name => NAME,
        ExperimentAttribute::Created => "created",
        ExperimentAttribute::Updated => "updated",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Duration::from_secs(1)).unwrap();
        let sql = "
            INSERT INTO experiments (id, name, lifecycle, created, updated) VALUES
                (1, 'digits', 'active', 10, 40), (2, 'Digits', 'active', 20, 30),
                (10, 'a_b', 'active', 20, 20), (11, 'gone', 'deleted', 30, 10);
            INSERT INTO experiment_tags (experiment, key, value) VALUES
                (1, 'team', 'x'), (2, 'team', 'y'), (11, 'team', 'x');";
        store.conn.execute_batch(sql).unwrap();
        (dir, store)
    }

    fn query(filter: &str, order: &[&str]) -> ExperimentQuery {
        ExperimentQuery {
            filter: Filter::parse_experiments(filter).unwrap(),
            order: order.iter().map(|text| Order::parse_experiments(text).unwrap()).collect(),
            lifecycle: Some(Lifecycle::Active),
            limit: 100,
            after: None,
        }
    }

    #[test]
    fn filters_and_orders() {
        let (_dir, store) = store();
        for (filter, order, expected) in [
            ("", &[][..], &[2, 10, 1, 0][..]),
            ("name = 'Default'", &[], &[0]),
            ("name LIKE 'Dig%'", &[], &[2]),
            ("attribute.name ILIKE 'dig%'", &[], &[2, 1]),
            ("name LIKE 'a_b' name != 'x'", &[], &[10]),
            ("experiment_id IN ('1', '10', '77')", &[], &[10, 1]),
            ("experiment_id != '01'", &[], &[2, 10, 0]),
            ("creation_time >= 20 and last_update_time < 30", &[], &[10]),
            ("tags.team = 'x'", &[], &[1]),
            ("tag.team != 'x'", &[], &[2]),
            ("tags.team IS NULL", &[], &[10, 0]),
            ("tags.team IS NOT NULL and tags.team ILIKE 'Y'", &[], &[2]),
            ("", &["experiment_id"], &[0, 1, 2, 10]),
            ("", &["creation_time"], &[0, 1, 10, 2]),
            ("", &["name DESC"], &[1, 10, 2, 0]),
            ("", &["attribute.last_update_time desc"], &[1, 2, 10, 0]),
        ] {
            let page = store.experiment_search(&query(filter, order)).unwrap();
            assert_eq!(page, Page { found: expected.to_vec(), next: None }, "{filter} {order:?}");
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let query = ExperimentQuery { limit: 1, after, ..query(filter, order) };
                let page = store.experiment_search(&query).unwrap();
                found.extend(page.found);
                match page.next {
                    Some(token) => after = Some(token),
                    None => break,
                }
            }
            assert_eq!(found, expected, "{filter} {order:?}");
        }
        let deleted = ExperimentQuery { lifecycle: Some(Lifecycle::Deleted), ..query("", &[]) };
        assert_eq!(store.experiment_search(&deleted).unwrap().found, [11]);
        let all = ExperimentQuery { lifecycle: None, ..query("tags.team = 'x'", &[]) };
        assert_eq!(store.experiment_search(&all).unwrap().found, [11, 1]);
        let error = store.experiment_search(&query("", &["tags.team"])).unwrap_err();
        assert_eq!(error.what, "experiments are not ordered by `tags.team`");
        let found = store.client_experiments(&[1, 99, 0]).unwrap();
        assert_eq!(found[0].tags, [("team".to_owned(), "x".to_owned())]);
        assert_eq!(found[1].name, "Default");
        assert_eq!(found[1].artifact_location, "mlflow-artifacts:/0");
        assert_eq!(found.len(), 2);
    }
}

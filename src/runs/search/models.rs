//! Finds logged models as MLflow's clients ask for them.

use super::binding::Bindings;
use super::paging::{Keys, Page, Paged};
use crate::error::{Error, Result};
use crate::filter::{Comparison, Direction, Field, Filter, ModelAttribute};
use crate::runs::client_model::{FILES, RUN, STATUS};
use crate::runs::store::Store;

/// A question of a client for logged models.
#[derive(Debug, Clone, Default)]
pub struct ModelQuery {
    pub filter: Filter<ModelAttribute>,
    /// Only models with metrics on one of these count, if there are any.
    pub datasets: Vec<DatasetChoice>,
    /// The first one counts most. Then the models that were made last come first.
    pub order: Vec<ModelOrder>,
    pub experiments: Vec<i64>,
    /// Maximum number of models in the answer.
    pub limit: usize,
    /// Token of the page before.
    pub after: Option<String>,
}

/// The dataset that a metric was measured on. Without a digest, any with the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetChoice {
    pub name: String,
    pub digest: Option<String>,
}

/// A field to sort by. Models without it come last in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOrder {
    pub field: Field<ModelAttribute>,
    pub direction: Direction,
    /// The dataset on which a metric was measured, if only its values count.
    pub dataset_name: Option<String>,
    pub dataset_digest: Option<String>,
}

/// Maximum number of fields in an order and of datasets in a question.
const MOST: usize = 20;

impl Store {
    /// Returns a page of the logged models that match a query, in its order. Deleted ones do not.
    ///
    /// # Errors
    /// The token is not that of a page of this query; the database cannot be read.
    pub fn model_search(&self, query: &ModelQuery) -> Result<Page<String>> {
        if query.order.len() > MOST || query.datasets.len() > MOST {
            return Err(Error::usage(format!("at most {MOST} orders and datasets are possible")));
        }
        let mut sql = Bindings::default();
        let experiments = sql.bind(serde_json::Value::from(&*query.experiments).to_string());
        let mut conditions = vec![format!(
            "lifecycle = 'active' AND experiment IN (SELECT value FROM json_each({experiments}))"
        )];
        let datasets = datasets(&mut sql, &query.datasets);
        let comparisons = &query.filter.comparisons;
        for comparison in comparisons {
            conditions.push(condition(&mut sql, comparison, &datasets));
        }
        let is_metric = |one: &Comparison<_>| matches!(one.field, Field::Metric(_));
        if !query.datasets.is_empty() && !comparisons.iter().any(is_metric) {
            conditions.push(format!("id IN (SELECT model FROM model_metrics WHERE {datasets})"));
        }
        let mut keys = keys(&mut sql, &query.order);
        // The token is refused by any other query.
        keys.name = format!("{:?}", (&query.filter, &query.order, &query.experiments));
        let paged = Paged {
            tables: String::new(),
            id: "models.id",
            table: "models",
            conditions,
            keys,
            sql,
            limit: query.limit,
            after: query.after.as_deref(),
        };
        self.page(paged, |row| row.get(0))
    }
}

fn datasets(sql: &mut Bindings, choices: &[DatasetChoice]) -> String {
    let each = choices.iter().map(|DatasetChoice { name, digest }| {
        let name = sql.bind(name.clone());
        let digest = digest.as_ref().map(|digest| sql.bind(digest.clone()));
        let digest = digest.map(|digest| format!(" AND dataset_digest = {digest}"));
        format!("dataset_name = {name}{}", digest.unwrap_or_default())
    });
    let each: Vec<String> = each.collect();
    if each.is_empty() { "1".to_owned() } else { format!("({})", each.join(" OR ")) }
}

fn condition(
    sql: &mut Bindings,
    Comparison { field, test }: &Comparison<ModelAttribute>,
    datasets: &str,
) -> String {
    let (table, name) = match field {
        Field::Attribute(attribute) => return sql.test(column(*attribute), test),
        Field::Metric(name) => ("model_metrics", name),
        Field::Param(name) => ("model_params", name),
        Field::Tag(name) => ("model_tags", name),
        // The grammar of logged models has no such prefix.
        Field::Dataset(_) => return "0".to_owned(),
    };
    let key = sql.bind(name.clone());
    let test = sql.differing_nan("value", test);
    let datasets = if table == "model_metrics" { datasets } else { "1" };
    format!("id IN (SELECT model FROM {table} WHERE key = {key} AND {test} AND {datasets})")
}

fn keys(sql: &mut Bindings, order: &[ModelOrder]) -> Keys {
    let mut keys = Keys::default();
    let mut columns = Vec::new();
    for ModelOrder { field, direction, dataset_name, dataset_digest } in order {
        let value = match field {
            Field::Attribute(attribute) => {
                columns.push(*attribute);
                column(*attribute).to_owned()
            }
            Field::Metric(key) => {
                let key = sql.bind(key.clone());
                let mut on = |column: &str, value: &Option<String>| {
                    let value = value.as_ref().map(|value| sql.bind(value.clone()));
                    value.map(|value| format!(" AND {column} = {value}")).unwrap_or_default()
                };
                let name = on("dataset_name", dataset_name);
                let digest = on("dataset_digest", dataset_digest);
                format!(
                    "SELECT value FROM model_metrics
                     WHERE model = models.id AND key = {key}{name}{digest}
                     ORDER BY at DESC, step DESC, id LIMIT 1"
                )
            }
            Field::Param(_) | Field::Tag(_) | Field::Dataset(_) => continue,
        };
        keys.push(format!("({value}) IS NULL"), false);
        keys.push(value, *direction == Direction::Descending);
    }
    if !columns.contains(&ModelAttribute::Created) {
        keys.push("models.created", true);
    }
    keys.push("models.id", false);
    keys
}

fn column(attribute: ModelAttribute) -> &'static str {
    match attribute {
        ModelAttribute::Id => "models.id",
        ModelAttribute::Name => "models.name",
        ModelAttribute::Kind => "coalesce(models.type, '')",
        ModelAttribute::Status => STATUS,
        ModelAttribute::StatusMessage => "models.status_message",
        ModelAttribute::Experiment => "CAST(models.experiment AS TEXT)",
        ModelAttribute::Run => RUN,
        ModelAttribute::Files => FILES,
        ModelAttribute::Created => "models.created",
        ModelAttribute::Updated => "models.updated",
    }
}

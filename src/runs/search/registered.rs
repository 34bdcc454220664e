//! Finds registered models and their versions as MLflow's clients ask for them.

use super::binding::Bindings;
use super::paging::{Keys, Page, Paged, check_order};
use crate::error::{Error, Result};
use crate::filter::{
    Comparison, Direction, Field, Filter, Op, Order, RegisteredAttribute, Subject, Test, Value,
    VersionAttribute,
};
use crate::runs::store::Store;

/// Tag of the prompts that MLflow keeps among the models.
const PROMPT: &str = "mlflow.prompt.is_prompt";

/// A question of a client for registered models or versions.
#[derive(Debug, Clone)]
pub struct RegistryQuery<A: Subject> {
    pub filter: Filter<A>,
    /// The first one counts most; then come the name, and the latest version.
    pub order: Vec<Order<A>>,
    /// Maximum number of results.
    pub limit: usize,
    /// Token of the page before.
    pub after: Option<String>,
}

impl Store {
    /// Returns a page of the names of the registered models that match a query.
    ///
    /// # Errors
    /// The token is not that of a page in this order; the order names a field twice or a tag; the
    /// database cannot be read.
    pub fn registered_search(
        &self,
        query: &RegistryQuery<RegisteredAttribute>,
    ) -> Result<Page<String>> {
        let column = |attribute| match attribute {
            RegisteredAttribute::Name => "name",
            RegisteredAttribute::Created => "created",
            RegisteredAttribute::Updated => "updated",
        };
        let (sql, conditions) = conditions(&query.filter, "name", "registered_tags", column);
        let mut keys = keys(&query.order, column)?;
        keys.push("name", false);
        let paged = Paged {
            tables: String::new(),
            id: "name",
            table: "registered_models",
            conditions,
            keys,
            sql,
            limit: query.limit,
            after: query.after.as_deref(),
        };
        self.page(paged, |row| row.get(0))
    }

    /// Returns a page of the versions that match a query, as names and numbers.
    ///
    /// # Errors
    /// As for [`Store::registered_search`].
    pub fn version_search(
        &self,
        query: &RegistryQuery<VersionAttribute>,
    ) -> Result<Page<(String, u64)>> {
        let column = |attribute| match attribute {
            VersionAttribute::Name => "name",
            VersionAttribute::Number => "version",
            VersionAttribute::Run => "run",
            VersionAttribute::Source => "source",
            VersionAttribute::Created => "created",
            VersionAttribute::Updated => "updated",
        };
        let (sql, conditions) =
            conditions(&query.filter, "(name, version)", "version_tags", column);
        let mut keys = keys(&query.order, column)?;
        keys.push("name", false);
        keys.push("version", true);
        let paged = Paged {
            tables: String::new(),
            id: "json_array(name, version)",
            table: "model_versions",
            conditions,
            keys,
            sql,
            limit: query.limit,
            after: query.after.as_deref(),
        };
        let page = self.page(paged, |row| row.get::<_, String>(0))?;
        let version = |text: &String| serde_json::from_str(text).unwrap_or_default();
        let found = page.found.iter().map(version).collect();
        Ok(Page { found, next: page.next })
    }
}

fn conditions<A: Subject>(
    filter: &Filter<A>,
    id: &str,
    tags: &str,
    column: impl Fn(A) -> &'static str,
) -> (Bindings, Vec<String>) {
    let mut sql = Bindings::default();
    let mut conditions = vec!["1".to_owned()];
    let columns = id.trim_matches(['(', ')']);
    for Comparison { field, test } in &filter.comparisons {
        let condition = match field {
            Field::Attribute(attribute) => sql.test(column(*attribute), test),
            // The grammar has no other prefix than that of tags.
            Field::Tag(name) | Field::Metric(name) | Field::Param(name) => {
                let key = sql.bind(name.clone());
                let rows = format!("SELECT {columns} FROM {tags} WHERE key = {key}");
                match asks_for_models(name, test) {
                    true => format!("{id} NOT IN ({rows} AND value = 'true')"),
                    false => format!("{id} IN ({rows} AND {})", sql.test("value", test)),
                }
            }
            Field::Dataset(_) => "0".to_owned(),
        };
        conditions.push(condition);
    }
    (sql, conditions)
}

/// Reports whether a comparison leaves out prompts. Models have no tag that says what they are.
fn asks_for_models(tag: &str, test: &Test) -> bool {
    let means = |op: Op, word: &str| *test == Test::Compare(op, Value::Text(word.to_owned()));
    tag == PROMPT && (means(Op::Eq, "false") || means(Op::Ne, "true"))
}

fn keys<A: Subject>(order: &[Order<A>], column: impl Fn(A) -> &'static str) -> Result<Keys> {
    check_order(order)?;
    let mut keys = Keys::default();
    for Order { field, direction } in order {
        let Field::Attribute(attribute) = field else {
            return Err(Error::usage(format!("models are not ordered by `{field}`")));
        };
        keys.name.push_str(&format!("{field} {direction:?}\n"));
        keys.push(column(*attribute), *direction == Direction::Descending);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::runs::registry::NewVersion;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Duration::from_secs(1)).unwrap();
        for (name, tag) in [("Genre", "x"), ("genre", "y"), ("prompt", "true")] {
            let key = if tag == "true" { PROMPT } else { "team" };
            let tags = BTreeMap::from([(key.to_owned(), tag.to_owned())]);
            store.register_model(name, None, &tags).unwrap();
            for run in ["a", "b"] {
                let new = NewVersion {
                    source: format!("runs:/{run}/model"),
                    run: Some(run.to_owned()),
                    tags: tags.clone(),
                    ..NewVersion::default()
                };
                store.register_version(name, &new).unwrap();
            }
        }
        (dir, store)
    }

    #[test]
    fn models_by_filter_and_order() {
        let (_dir, store) = store();
        let found = |filter: &str, order: &[&str]| {
            let query = RegistryQuery {
                filter: Filter::parse_registered(filter).unwrap(),
                order: order.iter().map(|text| Order::parse_registered(text).unwrap()).collect(),
                limit: 10,
                after: None,
            };
            store.registered_search(&query).unwrap().found.join(" ")
        };
        for (filter, order, expected) in [
            ("", &[][..], "Genre genre prompt"),
            ("name = 'genre'", &[], "genre"),
            ("name LIKE 'gen%'", &[], "genre"),
            ("name ILIKE 'gen%'", &["name DESC"], "genre Genre"),
            ("tags.team != 'x'", &[], "genre"),
            ("tag.team = 'x' AND name IN ('Genre', 'z')", &[], "Genre"),
            ("tags.`mlflow.prompt.is_prompt` = 'false'", &[], "Genre genre"),
            ("tags.`mlflow.prompt.is_prompt` = 'true'", &[], "prompt"),
        ] {
            assert_eq!(found(filter, order), expected, "{filter}");
        }
        for filter in ["run_id = 'a'", "name > 'a'", "params.x = '1'", "name = genre"] {
            assert!(Filter::parse_registered(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn versions_by_pages() {
        let (_dir, store) = store();
        let page = |filter: &str, order: &[&str], after: Option<String>| {
            let order = order.iter().map(|text| Order::parse_versions(text).unwrap()).collect();
            let filter = Filter::parse_versions(filter).unwrap();
            store.version_search(&RegistryQuery { filter, order, limit: 3, after }).unwrap()
        };
        let shown = |page: &Page<(String, u64)>| {
            let names = page.found.iter().map(|(name, number)| format!("{name}/{number}"));
            names.collect::<Vec<_>>().join(" ")
        };
        let first = page("", &[], None);
        assert_eq!(shown(&first), "Genre/2 Genre/1 genre/2");
        let second = page("", &[], first.next.clone());
        assert_eq!((shown(&second), second.next), ("genre/1 prompt/2 prompt/1".to_owned(), None));
        for (filter, order, expected) in [
            ("run_id = 'a' and name ILIKE 'genre'", &[][..], "Genre/1 genre/1"),
            ("name = 'genre'", &["version_number ASC"], "genre/1 genre/2"),
            ("version_number > 1 AND tags.team = 'y'", &[], "genre/2"),
            ("source_path = 'runs:/b/model' and name = 'Genre'", &[], "Genre/2"),
            ("run_id IN ('b') AND tags.`mlflow.prompt.is_prompt` = 'true'", &[], "prompt/2"),
        ] {
            assert_eq!(shown(&page(filter, order, None)), expected, "{filter}");
        }
    }
}

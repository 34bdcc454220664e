//! Tests of logged models: what is written is read, found and ordered.

use std::time::Duration;

use super::*;
use crate::event::RunName;
use crate::filter::{Direction, Field, Filter};
use crate::runs::client_run::DatasetInput;
use crate::runs::search::{DatasetChoice, ModelOrder, ModelQuery};
use crate::runs::store::Store;

/// A store with two runs and four logged models, of which the last is deleted.
fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Duration::from_secs(1)).unwrap();
    let sql = "
        INSERT INTO experiments (id, name) VALUES (1, 'one');
        INSERT INTO runs (number, uid, status, kind, experiment, started, command, overrides, host)
            VALUES (1, 'u1', 'ok', 'external', 1, 0, '[]', '[]', ''),
                   (2, 'u2', 'ok', 'external', 1, 0, '[]', '[]', '');";
    store.conn.execute_batch(sql).unwrap();
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    for (id, name, params, tags) in [
        ("m-1", "net", &[("lr", "0.1")][..], &[("t", "x")][..]),
        ("m-2", "Net", &[("lr", "0.10")], &[]),
        ("m-3", "tree", &[], &[("t", "y")]),
        ("m-4", "gone", &[], &[]),
    ] {
        let model = NewModel {
            id: id.to_owned(),
            experiment: 1,
            name: name.to_owned(),
            kind: (id == "m-1").then(|| "onnx".to_owned()),
            run: Some(RunName(1)),
            params: pairs(params),
            tags: pairs(tags),
        };
        store.create_model(&model).unwrap();
        let sql = "UPDATE models SET created = ?2 WHERE id = ?1";
        store.conn.execute(sql, (id, 100 - id.len() as i64)).unwrap();
    }
    store.finalize_model("m-2", ModelStatus::Ready).unwrap();
    store.delete_model("m-4").unwrap();
    store.delete_model("m-4").unwrap();
    for (model, key, value, at, dataset) in [
        ("m-1", "acc", 0.9, 1, Some("iris")),
        ("m-1", "acc", 0.5, 2, Some("digits")),
        ("m-1", "acc", 0.5, 2, Some("digits")),
        ("m-2", "acc", 0.7, 1, None),
        ("m-3", "loss", f64::NAN, 1, None),
        ("m-3", "loss", f64::NAN, 1, None),
    ] {
        let point = ModelPoint {
            model,
            run: RunName(2),
            key,
            value,
            at,
            step: 0,
            dataset_name: dataset,
            dataset_digest: dataset.map(|_| "d"),
        };
        store.log_model_metrics(&[point]).unwrap();
    }
    (dir, store)
}

fn query(filter: &str) -> ModelQuery {
    ModelQuery {
        filter: Filter::parse_models(filter).unwrap(),
        experiments: vec![1],
        limit: 50,
        ..ModelQuery::default()
    }
}

#[test]
fn written_models_are_read() {
    let (_dir, store) = store();
    let model = store.client_model("m-1", None).unwrap();
    assert_eq!((model.run.as_deref(), model.status), (Some("u1"), ModelStatus::Pending));
    assert_eq!(model.artifact_uri, "mlflow-artifacts:/1/models/m-1/artifacts");
    // The same point is kept once.
    let points: Vec<f64> = model.metrics.iter().map(|metric| metric.value).collect();
    assert_eq!(points, [0.9, 0.5]);
    assert_eq!(model.metrics[0].run.as_deref(), Some("u2"));
    assert_eq!(store.client_model("m-3", None).unwrap().metrics.len(), 1);
    let missing = store.client_model("m-9", None).unwrap_err();
    assert_eq!(missing.what, "there is no logged model `m-9`");
    let active = Some(crate::runs::Lifecycle::Active);
    assert!(store.client_model("m-4", active).is_err());
    assert!(store.client_model("m-4", None).is_ok());
}

#[test]
fn params_and_tags_of_models() {
    let (_dir, store) = store();
    let pair = |key: &str, value: &str| [(key.to_owned(), value.to_owned())];
    store.log_model_params("m-1", &pair("lr", "0.1")).unwrap();
    let error = store.log_model_params("m-1", &pair("lr", "1")).unwrap_err();
    assert_eq!(error.what, "param `lr` of logged model `m-1` has another value already");
    store.set_model_tags("m-1", &pair("t", "z")).unwrap();
    assert_eq!(store.client_model("m-1", None).unwrap().tags, pair("t", "z"));
    store.delete_model_tag("m-1", "t").unwrap();
    let error = store.delete_model_tag("m-1", "t").unwrap_err();
    assert_eq!(error.what, "logged model `m-1` has no tag `t`");
    assert!(store.set_model_tags("m-9", &pair("t", "z")).is_err());
}

#[test]
fn filters_of_models() {
    let (_dir, store) = store();
    for (filter, expected) in [
        ("", "m-1 m-2 m-3"),
        ("name = 'net'", "m-1"),
        ("name ILIKE 'NET'", "m-1 m-2"),
        ("name LIKE 'N%' ", "m-2"),
        ("model_id IN ('m-1', 'm-3', 'm-4')", "m-1 m-3"),
        ("source_run_id = 'u1' and model_type != 'onnx'", "m-2 m-3"),
        ("status = '2'", "m-2"),
        ("status != 'READY'", "m-1 m-3"),
        ("params.lr = '0.1'", "m-1"),
        ("params.lr = 0.10", "m-2"),
        ("params.lr != '0.1'", "m-2"),
        ("tags.t IN ('x', 'z')", "m-1"),
        ("tags.t NOT IN ('x', 'z')", "m-3"),
        // One of the points is enough.
        ("metrics.acc > 0.8", "m-1"),
        ("metrics.acc < 0.8", "m-1 m-2"),
        ("metrics.loss != 0", "m-3"),
        ("metrics.loss = 0", ""),
        ("metrics.none != 0", ""),
        ("creation_time > 97", ""),
        ("creation_timestamp <= 97 experiment_id = '1'", "m-1 m-2 m-3"),
    ] {
        assert_eq!(
            store.model_search(&query(filter)).unwrap().found.join(" "),
            expected,
            "{filter}"
        );
    }
    let on = |name: &str, digest: Option<&str>| DatasetChoice {
        name: name.to_owned(),
        digest: digest.map(str::to_owned),
    };
    for (filter, datasets, expected) in [
        ("", vec![on("iris", None)], "m-1"),
        ("", vec![on("iris", Some("e"))], ""),
        ("metrics.acc > 0.8", vec![on("iris", Some("d"))], "m-1"),
        ("metrics.acc > 0.8", vec![on("digits", None)], ""),
        ("metrics.acc > 0.8", vec![on("digits", None), on("iris", None)], "m-1"),
    ] {
        let query = ModelQuery { datasets, ..query(filter) };
        assert_eq!(store.model_search(&query).unwrap().found.join(" "), expected, "{query:?}");
    }
}

#[test]
fn orders_of_models() {
    let (_dir, store) = store();
    let order = |field: &str, direction, dataset: Option<&str>| ModelOrder {
        field: Field::parse_model_order(field).unwrap(),
        direction,
        dataset_name: dataset.map(str::to_owned),
        dataset_digest: None,
    };
    use Direction::{Ascending, Descending};
    for (order, expected) in [
        // The latest value counts; missing ones come last.
        (order("metrics.acc", Ascending, None), "m-1 m-2 m-3"),
        (order("metrics.acc", Descending, None), "m-2 m-1 m-3"),
        (order("metrics.acc", Descending, Some("iris")), "m-1 m-2 m-3"),
        (order("name", Ascending, None), "m-2 m-1 m-3"),
        (order("model_id", Descending, None), "m-3 m-2 m-1"),
        (order("status", Descending, None), "m-2 m-1 m-3"),
    ] {
        let query = ModelQuery { order: vec![order], ..query("") };
        assert_eq!(store.model_search(&query).unwrap().found.join(" "), expected, "{query:?}");
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = ModelQuery { limit: 1, after, ..query.clone() };
            let page = store.model_search(&page).unwrap();
            found.extend(page.found);
            match page.next {
                Some(token) => after = Some(token),
                None => break,
            }
        }
        assert_eq!(found.join(" "), expected, "{query:?}");
    }
    for text in ["params.lr", "nothing"] {
        assert!(Field::parse_model_order(text).is_err(), "{text}");
    }
    let first = store.model_search(&ModelQuery { limit: 1, ..query("") }).unwrap();
    let other = ModelQuery { after: first.next, ..query("name != 'x'") };
    assert!(store.model_search(&other).is_err());
}

#[test]
fn inputs_and_outputs() {
    let (_dir, store) = store();
    let dataset = |context: &str| DatasetInput {
        name: "iris".to_owned(),
        digest: "d".to_owned(),
        source_type: "local".to_owned(),
        source: "{}".to_owned(),
        schema: None,
        profile: None,
        tags: vec![("mlflow.data.context".to_owned(), context.to_owned())],
    };
    for _ in 0..2 {
        store.log_datasets(RunName(1), &[dataset("training"), dataset("testing")]).unwrap();
        store.log_datasets(RunName(2), &[dataset("testing")]).unwrap();
        store.log_model_inputs(RunName(1), &["m-1".to_owned()]).unwrap();
        store.log_model_outputs(RunName(1), &[("m-2".to_owned(), 3)]).unwrap();
    }
    let run = store.client_runs(&[RunName(1)]).unwrap().pop().unwrap();
    assert_eq!(run.datasets, [dataset("training")]);
    assert_eq!((run.model_inputs.len(), run.model_outputs.len()), (1, 1));
    let found = store.dataset_summaries(&[1], 10).unwrap();
    let contexts: Vec<_> = found.iter().map(|one| one.context.as_deref()).collect();
    assert_eq!(contexts, [Some("testing"), Some("training")]);
    let missing = store.log_model_outputs(RunName(1), &[("m-9".to_owned(), 0)]).unwrap_err();
    assert_eq!(missing.what, "there is no logged model `m-9`");
}

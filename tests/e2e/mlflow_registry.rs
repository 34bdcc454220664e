//! The model registry over HTTP, as MLflow's clients use it.

use serde_json::{Value, json};

use crate::http_client::Server;
use crate::sandbox::Sandbox;

const MODELS: &str = "/api/2.0/mlflow/registered-models";
const VERSIONS: &str = "/api/2.0/mlflow/model-versions";

fn served() -> (Sandbox, Server) {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'echo a > a.txt'\nouts = ['a.txt']\n");
    let server = Server::start(&sandbox);
    (sandbox, server)
}

fn ok(server: &Server, method: &str, target: &str, body: &Value) -> Value {
    let (status, answer) = server.json(method, target, body);
    assert_eq!(status, 200, "{method} {target} {body}: {answer}");
    answer
}

fn code(server: &Server, method: &str, target: &str, body: &Value) -> (u16, String) {
    let (status, answer) = server.json(method, target, body);
    (status, answer["error_code"].as_str().unwrap_or_default().to_owned())
}

fn model(name: &str) -> Value {
    json!({ "name": name })
}

#[test]
fn models_come_and_go() {
    let (_sandbox, server) = served();
    let tags = json!([{"key": "team", "value": "audio"}]);
    let create = json!({"name": "genre", "description": "text", "tags": tags});
    let made = ok(&server, "POST", &format!("{MODELS}/create"), &create)["registered_model"].take();
    assert_eq!((&made["name"], &made["tags"]), (&json!("genre"), &tags));
    assert!(made.get("latest_versions").is_none() && made.get("aliases").is_none(), "{made}");
    let exists = (400, "RESOURCE_ALREADY_EXISTS".to_owned());
    assert_eq!(code(&server, "POST", &format!("{MODELS}/create"), &create), exists);
    let missing = (404, "RESOURCE_DOES_NOT_EXIST".to_owned());
    let invalid = (400, "INVALID_PARAMETER_VALUE".to_owned());
    assert_eq!(code(&server, "GET", &format!("{MODELS}/get?name=none"), &json!({})), missing);
    for name in ["", "a/b", "a:b", ".."] {
        let refused = code(&server, "POST", &format!("{MODELS}/create"), &model(name));
        assert_eq!(refused, invalid, "{name}");
    }
    let rename = json!({"name": "genre", "new_name": "genres"});
    let renamed = ok(&server, "POST", &format!("{MODELS}/rename"), &rename);
    assert_eq!(renamed["registered_model"]["name"], "genres");
    assert_eq!(code(&server, "POST", &format!("{MODELS}/rename"), &rename), missing);
    let update = json!({"name": "genres", "description": "other"});
    let updated = ok(&server, "PATCH", &format!("{MODELS}/update"), &update);
    assert_eq!(updated["registered_model"]["description"], "other");
    let tag = json!({"name": "genres", "key": "k", "value": "v"});
    ok(&server, "POST", &format!("{MODELS}/set-tag"), &tag);
    ok(
        &server,
        "DELETE",
        &format!("{MODELS}/delete-tag"),
        &json!({"name": "genres", "key": "team"}),
    );
    let found = ok(&server, "GET", &format!("{MODELS}/get?name=genres"), &json!({}));
    assert_eq!(found["registered_model"]["tags"], json!([{"key": "k", "value": "v"}]));
    ok(&server, "DELETE", &format!("{MODELS}/delete"), &model("genres"));
    assert_eq!(code(&server, "DELETE", &format!("{MODELS}/delete"), &model("genres")), missing);
}

#[test]
fn versions_and_aliases() {
    let (_sandbox, server) = served();
    ok(&server, "POST", &format!("{MODELS}/create"), &model("genre"));
    let create = |source: &str| {
        let body = json!({"name": "genre", "source": source, "run_id": "ab", "description": "d"});
        ok(&server, "POST", &format!("{VERSIONS}/create"), &body)["model_version"].take()
    };
    let first = create("s3://bucket/model");
    assert_eq!(
        json!([first["version"], first["status"], first["current_stage"], first["run_id"]]),
        json!(["1", "READY", "None", "ab"])
    );
    assert_eq!(create("models:/genre/1")["version"], "2");
    let unknown = json!({"name": "none", "source": "s3://b/x"});
    assert_eq!(code(&server, "POST", &format!("{VERSIONS}/create"), &unknown).0, 404);
    assert_eq!(code(&server, "POST", &format!("{VERSIONS}/create"), &model("genre")).0, 400);
    let alias = json!({"name": "genre", "alias": "production", "version": "1"});
    ok(&server, "POST", &format!("{MODELS}/alias"), &alias);
    let by_alias = format!("{MODELS}/alias?name=genre&alias=production");
    let found = ok(&server, "GET", &by_alias, &json!({}))["model_version"].take();
    assert_eq!(json!([found["version"], found["aliases"]]), json!(["1", ["production"]]));
    let other = format!("{MODELS}/alias?name=genre&alias=none");
    let invalid = (400, "INVALID_PARAMETER_VALUE".to_owned());
    assert_eq!(code(&server, "GET", &other, &json!({})), invalid);
    for reserved in ["latest", "v3", "a b"] {
        let alias = json!({"name": "genre", "alias": reserved, "version": "1"});
        assert_eq!(code(&server, "POST", &format!("{MODELS}/alias"), &alias), invalid);
    }
    ok(
        &server,
        "DELETE",
        &format!("{MODELS}/alias"),
        &json!({"name": "genre", "alias": "production"}),
    );
    assert_eq!(code(&server, "GET", &by_alias, &json!({})), invalid);
    let uri = ok(
        &server,
        "GET",
        &format!("{VERSIONS}/get-download-uri?name=genre&version=1"),
        &json!({}),
    );
    assert_eq!(uri["artifact_uri"], "s3://bucket/model");
    let update = json!({"name": "genre", "version": "2", "description": "better"});
    let updated = ok(&server, "PATCH", &format!("{VERSIONS}/update"), &update);
    assert_eq!(updated["model_version"]["description"], "better");
    let tag = json!({"name": "genre", "version": "2", "key": "k", "value": "v"});
    ok(&server, "POST", &format!("{VERSIONS}/set-tag"), &tag);
    let found = ok(&server, "GET", &format!("{VERSIONS}/get?name=genre&version=2"), &json!({}));
    assert_eq!(found["model_version"]["tags"], json!([{"key": "k", "value": "v"}]));
    ok(&server, "DELETE", &format!("{VERSIONS}/delete-tag"), &tag);
    let number = json!({"name": "genre", "version": "2"});
    ok(&server, "DELETE", &format!("{VERSIONS}/delete"), &number);
    assert_eq!(code(&server, "DELETE", &format!("{VERSIONS}/delete"), &number).0, 404);
    assert_eq!(create("s3://b/x")["version"], "3");
    for version in ["x", "-1", "9"] {
        let target = format!("{VERSIONS}/get?name=genre&version={version}");
        let (status, _) = code(&server, "GET", &target, &json!({}));
        assert_eq!(status, if version == "9" { 404 } else { 400 }, "{version}");
    }
}

#[test]
fn stages_and_latest_versions() {
    let (_sandbox, server) = served();
    ok(&server, "POST", &format!("{MODELS}/create"), &model("genre"));
    for _ in 0..3 {
        ok(
            &server,
            "POST",
            &format!("{VERSIONS}/create"),
            &json!({"name": "genre", "source": "s3://b/x"}),
        );
    }
    let stage = |version: &str, stage: &str| {
        let body = json!({"name": "genre", "version": version, "stage": stage,
                          "archive_existing_versions": true});
        server.json("POST", &format!("{VERSIONS}/transition-stage"), &body)
    };
    assert_eq!(stage("1", "production").1["model_version"]["current_stage"], "Production");
    assert_eq!(stage("2", "Production").0, 200);
    assert_eq!(stage("2", "x").0, 400);
    let latest = |body: Value| {
        let answer = ok(&server, "POST", &format!("{MODELS}/get-latest-versions"), &body);
        let versions = answer["model_versions"].as_array().unwrap().iter();
        let shown =
            |one: &Value| format!("{}:{}", one["current_stage"], one["version"]).replace('"', "");
        versions.map(shown).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(latest(model("genre")), "None:3 Production:2 Archived:1");
    assert_eq!(latest(json!({"name": "genre", "stages": ["production"]})), "Production:2");
}

#[test]
fn searches_by_pages() {
    let (_sandbox, server) = served();
    for name in ["a", "b", "c"] {
        ok(&server, "POST", &format!("{MODELS}/create"), &model(name));
        ok(
            &server,
            "POST",
            &format!("{VERSIONS}/create"),
            &json!({"name": name, "source": "s3://b/x"}),
        );
    }
    let get = |target: String| ok(&server, "GET", &target, &json!({}));
    let first = get(format!("{MODELS}/search?max_results=2"));
    assert_eq!(first["registered_models"].as_array().unwrap().len(), 2);
    let token = first["next_page_token"].as_str().unwrap();
    let second = get(format!("{MODELS}/search?max_results=2&page_token={token}"));
    assert_eq!(second["registered_models"][0]["name"], "c");
    assert!(second.get("next_page_token").is_none());
    let found = get(format!("{MODELS}/search?filter=name%3D%27b%27"));
    assert_eq!(found["registered_models"][0]["latest_versions"][0]["version"], "1");
    let found =
        get(format!("{VERSIONS}/search?filter=name%3D%27b%27&order_by=version_number%20DESC"));
    assert_eq!(found["model_versions"][0]["name"], "b");
    assert_eq!(get(format!("{VERSIONS}/search?filter=name%3D%27z%27")), json!({}));
    for query in ["filter=nme%3D%27b%27", "filter=name%3D", "max_results=0", "order_by=x"] {
        let refused = code(&server, "GET", &format!("{MODELS}/search?{query}"), &json!({}));
        assert_eq!(refused, (400, "INVALID_PARAMETER_VALUE".to_owned()), "{query}");
    }
}

#[test]
fn sources_on_this_machine() {
    let (_sandbox, server) = served();
    ok(&server, "POST", &format!("{MODELS}/create"), &model("genre"));
    let run = "0123456789abcdef".repeat(2);
    let of_run = format!("runs:/{run}/model");
    for (source, why) in [
        ("/etc", "To use a local path as a model version source, the run_id"),
        ("file:///etc", "To use a local path as a model version source, the run_id"),
        ("s3://bucket/../other", "without relative path references"),
        (&of_run, "The run_id request parameter must identify"),
    ] {
        let body = json!({"name": "genre", "source": source});
        let (status, answer) = server.json("POST", &format!("{VERSIONS}/create"), &body);
        assert_eq!((status, &answer["error_code"]), (400, &json!("INVALID_PARAMETER_VALUE")));
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(why), "{source}: {message}");
    }
}

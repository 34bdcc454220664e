//! A server and requests as MLflow's client sends them.

use serde_json::{Value, json};

use crate::http_client::{Reply, Server};
use crate::sandbox::Sandbox;

const PIPELINE: &str = "[pipeline]\nname = 'digits'\n\n[stages.a]\ncmd = 'true'\n";

/// A project with a running server.
pub struct Mlflow {
    pub sandbox: Sandbox,
    pub server: Server,
}

impl Mlflow {
    pub fn start() -> Mlflow {
        Mlflow::in_project(Sandbox::with(PIPELINE))
    }

    pub fn in_project(sandbox: Sandbox) -> Mlflow {
        let server = Server::start(&sandbox);
        Mlflow { sandbox, server }
    }

    fn target(path: &str) -> String {
        match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/api/2.0/mlflow/{path}"),
        }
    }

    /// Sends a body with a content type.
    pub fn send(&self, path: &str, kind: &str, body: &str) -> (u16, Value) {
        let headers = [("Content-Type", kind)];
        let target = Mlflow::target(path);
        let reply = self.server.send(("POST", &target), &headers, body.len(), |stream| {
            let _ = std::io::Write::write_all(stream, body.as_bytes());
        });
        (reply.status, reply.json())
    }

    /// Sends a POST that must succeed.
    pub fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.server.json("POST", &Mlflow::target(path), &body);
        assert_eq!(status, 200, "{path} {body}: {answer}");
        answer
    }

    /// Sends a POST that must be refused, and returns the error code and the message.
    pub fn refused(&self, path: &str, body: Value) -> (String, String) {
        let (status, answer) = self.server.json("POST", &Mlflow::target(path), &body);
        assert!((400..500).contains(&status), "{path} {body}: {status} {answer}");
        refusal(&answer)
    }

    /// Sends a GET that must succeed.
    pub fn get(&self, path: &str) -> Value {
        let reply = self.reply(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()
    }

    /// Sends a GET that must be refused, and returns the error code and the message.
    pub fn get_refused(&self, path: &str) -> (String, String) {
        let reply = self.reply(path);
        assert!((400..500).contains(&reply.status), "{path}: {reply:?}");
        refusal(&reply.json())
    }

    pub fn reply(&self, path: &str) -> Reply {
        self.server.get(&Mlflow::target(path))
    }

    /// Makes a run and returns its identity.
    pub fn run(&self) -> String {
        let answer = self.post("runs/create", json!({ "experiment_id": "0", "start_time": 1000 }));
        answer["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }

    /// Returns a run as clients see it.
    pub fn seen(&self, run: &str) -> Value {
        self.get(&format!("runs/get?run_id={run}&run_uuid={run}"))["run"].take()
    }

    /// Returns the points of a metric as step and value.
    pub fn history(&self, run: &str, key: &str) -> Vec<(i64, Value)> {
        let answer = self.get(&format!("metrics/get-history?run_id={run}&metric_key={key}"));
        let points = answer["metrics"].as_array().cloned().unwrap_or_default();
        points.iter().map(|one| (one["step"].as_i64().unwrap(), one["value"].clone())).collect()
    }
}

fn refusal(answer: &Value) -> (String, String) {
    let text = |key: &str| answer[key].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (text("error_code"), text("message"))
}

/// Returns the value of a key in a list of keys and values.
pub fn value_of<'v>(list: &'v Value, key: &str) -> Option<&'v Value> {
    list.as_array()?.iter().find(|pair| pair["key"] == key).map(|pair| &pair["value"])
}

//! Artifacts over HTTP, as MLflow's clients upload, list, download and delete them.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::http_client::Server;
use crate::sandbox::Sandbox;

const RUN: &str = "0123456789abcdef0123456789abcdef";
const MODEL: &str = "m-0123456789abcdef0123456789abcdef";

/// A project with a run that a client logs and a logged model, and its server.
fn served() -> (Sandbox, Server) {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'echo a > a.txt'\nouts = ['a.txt']\n");
    sandbox.ok(&["run"]);
    let rows = format!(
        "INSERT INTO runs (number, uid, kind, status, started, command, overrides, host)
         VALUES (7, '{RUN}', 'external', 'running', 0, '[]', '[]', '');
         INSERT INTO models (id, experiment, run, name, created, updated)
         VALUES ('{MODEL}', 0, 7, 'model', 0, 0);"
    );
    rusqlite::Connection::open(sandbox.path("runs/runs.db")).unwrap().execute_batch(&rows).unwrap();
    let server = Server::start(&sandbox);
    (sandbox, server)
}

fn proxy(path: &str) -> String {
    format!("/api/2.0/mlflow-artifacts/artifacts/0/{RUN}/artifacts/{path}")
}

fn list(server: &Server, path: &str) -> Value {
    server.get(&format!("/api/2.0/mlflow-artifacts/artifacts?path={path}")).json()
}

fn put(server: &Server, path: &str, body: &[u8]) {
    let reply = server.request("PUT", &proxy(path), body);
    assert_eq!((reply.status, reply.text()), (200, ""), "{path}");
}

fn code(server: &Server, method: &str, target: &str) -> (u16, String) {
    let reply = server.request(method, target, b"x");
    let code = reply.json()["error_code"].as_str().unwrap_or_default().to_owned();
    (reply.status, code)
}

#[test]
fn names_of_any_kind() {
    let (sandbox, server) = served();
    for (encoded, plain) in [
        ("a%20b.txt", "a b.txt"),
        ("images/k+s+1.png", "images/k+s+1.png"),
        ("%C3%BC/%E6%97%A5%E6%9C%AC", "ü/日本"),
        ("100%25", "100%"),
        ("a%2Fb/c", "a/b/c"),
    ] {
        put(&server, encoded, plain.as_bytes());
        let reply = server.get(&proxy(encoded));
        assert_eq!((reply.status, reply.text()), (200, plain));
        assert_eq!(sandbox.read(&format!("runs/run-7/artifacts/{plain}")), plain);
    }
    put(&server, "empty", b"");
    assert_eq!(server.get(&proxy("empty")).body, b"");
    put(&server, "empty", b"no longer");
    assert_eq!(server.get(&proxy("empty")).text(), "no longer");
}

#[test]
fn listed_by_folder() {
    let (_sandbox, server) = served();
    put(&server, "top.txt", b"12345");
    put(&server, "sub/deep/x.txt", b"1");
    put(&server, "sub/y.txt", b"22");
    let root = format!("0/{RUN}/artifacts");
    let file = |path: &str, size: u64| json!({"path": path, "is_dir": false, "file_size": size});
    let folder = |path: &str| json!({"path": path, "is_dir": true});
    assert_eq!(list(&server, &root), json!({"files": [folder("sub"), file("top.txt", 5)]}));
    let inside = json!({"files": [folder("deep"), file("y.txt", 2)]});
    assert_eq!(list(&server, &format!("{root}/sub")), inside);
    for nothing in [format!("{root}/top.txt"), format!("{root}/none"), "0".into(), String::new()] {
        assert_eq!(list(&server, &nothing), json!({}), "{nothing}");
    }
    let run = |query: &str| server.get(&format!("/api/2.0/mlflow/artifacts/list?{query}")).json();
    assert_eq!(
        run(&format!("run_id={RUN}&path=sub")),
        json!({
            "root_uri": format!("mlflow-artifacts:/0/{RUN}/artifacts"),
            "files": [folder("sub/deep"), file("sub/y.txt", 2)],
        })
    );
    assert_eq!(run(&format!("run_uuid={RUN}"))["files"][1], file("top.txt", 5));
    assert_eq!(run("")["error_code"], "INVALID_PARAMETER_VALUE");
    assert_eq!(run("run_id=x")["error_code"], "RESOURCE_DOES_NOT_EXIST");
    assert_eq!(run(&format!("run_id={RUN}&path=../x"))["error_code"], "INVALID_PARAMETER_VALUE");
}

#[test]
fn downloads_and_ranges() {
    let (_sandbox, server) = served();
    put(&server, "page.html", b"<script>0123456789</script>");
    let reply = server.get(&proxy("page.html"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let disposition = reply.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment"), "{disposition}");
    let range = [("Range", "bytes=8-11")];
    let reply = server.send(("GET", &proxy("page.html")), &range, 0, |_| {});
    assert_eq!((reply.status, reply.text()), (206, "0123"));
    assert_eq!(reply.header("content-range"), Some("bytes 8-11/27"));
    let page = server.get(&format!("/get-artifact?run_uuid={RUN}&path=page.html"));
    assert_eq!((page.status, page.body.len()), (200, 27));
    let head = server.send(("HEAD", &proxy("page.html")), &[], 0, |_| {});
    assert_eq!((head.status, head.header("content-length")), (200, Some("27")));
}

#[test]
fn refused_and_forgiven() {
    let (sandbox, server) = served();
    put(&server, "sub/file", b"1");
    let missing = (404, "RESOURCE_DOES_NOT_EXIST".to_owned());
    let invalid = (400, "INVALID_PARAMETER_VALUE".to_owned());
    let other = RUN.replace('0', "f");
    let other = format!("/api/2.0/mlflow-artifacts/artifacts/0/{other}/artifacts/x");
    assert_eq!(code(&server, "GET", &proxy("none")), missing);
    assert_eq!(code(&server, "GET", &other), missing);
    assert_eq!(code(&server, "PUT", &other), missing);
    assert_eq!(code(&server, "GET", &proxy("sub")), invalid);
    assert_eq!(code(&server, "PUT", &proxy("sub")), invalid);
    assert_eq!(code(&server, "PUT", &proxy("sub/file/inside")), invalid);
    assert_eq!(code(&server, "PUT", &proxy(&"n".repeat(300))), invalid);
    assert_eq!(code(&server, "PUT", "/api/2.0/mlflow-artifacts/artifacts/x"), invalid);
    for path in ["../x", "%2e%2e/x", "%252e%252e/x", "a/%2e%2e/%2e%2e/x", "a%5c..%5c..%5cx", "%00"]
    {
        for method in ["PUT", "GET", "DELETE"] {
            assert_eq!(code(&server, method, &proxy(path)), invalid, "{method} {path}");
        }
        let listed = format!("/api/2.0/mlflow-artifacts/artifacts?path=0/{RUN}/artifacts/{path}");
        assert_eq!(code(&server, "GET", &listed), invalid, "{path}");
    }
    let api = "/api/2.0/mlflow-artifacts";
    let create = format!("{api}/mpu/create/0/{RUN}/artifacts/x");
    let (status, error) = server.json("POST", &create, &json!({"path": "x", "num_parts": 2}));
    assert_eq!((status, &error["error_code"]), (501, &json!("NOT_IMPLEMENTED")));
    let presigned = format!("{api}/presigned/0/{RUN}/artifacts/x");
    assert_eq!(code(&server, "GET", &presigned), (501, "NOT_IMPLEMENTED".to_owned()));
    for path in ["sub", "sub", "none", "sub/file"] {
        assert_eq!(server.request("DELETE", &proxy(path), b"").status, 200, "{path}");
    }
    assert_eq!(server.request("DELETE", &other, b"").status, 200);
    assert_eq!(list(&server, &format!("0/{RUN}/artifacts")), json!({}));
    assert!(!sandbox.exists("runs/run-7/artifacts/sub"));
}

#[test]
fn files_of_logged_models() {
    let (sandbox, server) = served();
    let root = format!("/api/2.0/mlflow-artifacts/artifacts/0/models/{MODEL}/artifacts");
    assert_eq!(server.request("PUT", &format!("{root}/data/w"), b"weights").status, 200);
    assert_eq!(sandbox.read(&format!("runs/models/{MODEL}/artifacts/data/w")), "weights");
    assert_eq!(server.get(&format!("{root}/data/w")).text(), "weights");
    let list = format!("/api/2.0/mlflow/logged-models/{MODEL}/artifacts/directories");
    let listed = server.get(&format!("{list}?artifact_directory_path=data")).json();
    assert_eq!(listed["files"], json!([{"path": "data/w", "is_dir": false, "file_size": 7}]));
    let unknown = format!("{root}/x").replace("m-0", "m-1");
    assert_eq!(server.request("PUT", &unknown, b"x").status, 404);
}

/// The bytes pass through the server, and it keeps none of them.
#[test]
fn large_files_in_little_memory() {
    const SIZE: usize = 192 << 20;
    let (sandbox, server) = served();
    let piece: Vec<u8> = (0..1 << 20).map(|at| (at * 7 % 251) as u8).collect();
    let reply = server.send(("PUT", &proxy("large.bin")), &[], SIZE, |stream| {
        (0..SIZE >> 20).for_each(|_| stream.write_all(&piece).unwrap());
    });
    assert_eq!(reply.status, 200);
    let reply = server.get(&proxy("large.bin"));
    assert_eq!(reply.body.len(), SIZE);
    assert!(reply.body.chunks(piece.len()).all(|chunk| chunk == piece));
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 96 << 10, "{kilobytes} kB");
    let store = rusqlite::Connection::open(sandbox.path("runs/runs.db")).unwrap();
    let sql = "SELECT digest FROM artifacts WHERE run = 7 AND path = 'large.bin' AND stage = ''";
    let digest: String = store.query_row(sql, [], |row| row.get(0)).unwrap();
    let mut hasher = blake3::Hasher::new();
    for _ in 0..SIZE >> 20 {
        hasher.update(&piece);
    }
    assert_eq!(digest, hasher.finalize().to_hex().as_str());
}

/// An upload that breaks off leaves neither a file nor a part of one.
#[test]
fn broken_upload_leaves_nothing() {
    let (sandbox, server) = served();
    put(&server, "kept", b"before");
    let mut stream = server.connect();
    let target = proxy("kept");
    let head = format!(
        "PUT {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: 9\r\n\r\n123",
        server.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    let folder = sandbox.path("runs/tmp");
    deadline::within(move || {
        while std::fs::read_dir(&folder).unwrap().count() > 0 {
            std::thread::yield_now();
        }
    });
    assert_eq!(server.get(&target).text(), "before");
}

/// Outs of a pipeline's run are served from the cache, by the digest that the run has recorded.
#[test]
fn outs_of_pipeline_runs() {
    let sandbox = Sandbox::with(
        "[params]\nn = 1\n\
         [stages.a]\ncmd = 'mkdir -p out/sub; echo {{ params.n }} > out/sub/w; echo x > plot.svg'\n\
         outs = ['out', 'plot.svg']\n",
    );
    sandbox.ok(&["run"]);
    sandbox.ok(&["run", "-p", "n=2"]);
    let server = Server::start(&sandbox);
    let store = rusqlite::Connection::open(sandbox.path("runs/runs.db")).unwrap();
    for (number, text) in [(1, "1\n"), (2, "2\n")] {
        let sql = "SELECT uid FROM runs WHERE number = ?1";
        let uid: String = store.query_row(sql, [number], |row| row.get(0)).unwrap();
        let list = |path: &str| {
            let target = format!("/api/2.0/mlflow/artifacts/list?run_id={uid}&path={path}");
            server.get(&target).json()["files"].clone()
        };
        assert_eq!(
            list(""),
            json!([
                {"path": "out", "is_dir": true},
                {"path": "plot.svg", "is_dir": false, "file_size": 2},
            ])
        );
        assert_eq!(list("out"), json!([{"path": "out/sub", "is_dir": true}]));
        let file = json!([{"path": "out/sub/w", "is_dir": false, "file_size": 2}]);
        assert_eq!(list("out/sub"), file);
        let artifact = format!("/api/2.0/mlflow-artifacts/artifacts/0/{uid}/artifacts");
        let reply = server.get(&format!("{artifact}/out/sub/w"));
        assert_eq!((reply.status, reply.text()), (200, text));
        assert_eq!(code(&server, "GET", &format!("{artifact}/out")).0, 400);
        assert_eq!(code(&server, "GET", &format!("{artifact}/out/none")).0, 404);
    }
}

/// `repro get` copies uploaded files as well, and `gc` does not look for them in the cache.
#[test]
fn uploads_outside_of_cache() {
    let (sandbox, server) = served();
    put(&server, "sub/model.bin", b"weights");
    sandbox.ok(&["get", "7:sub/model.bin", "-o", "to/"]);
    assert_eq!(sandbox.read("to/model.bin"), "weights");
    sandbox.ok(&["get", "7:sub", "-o", "copy"]);
    assert_eq!(sandbox.read("copy/model.bin"), "weights");
    sandbox.ok(&["models", "register", "net", "7:sub/model.bin", "--alias", "best"]);
    assert_eq!(sandbox.ok(&["get", "models:net@best", "-o", "-"]).stdout, "weights");
    let report: Value = serde_json::from_str(&sandbox.ok(&["gc", "--json"]).stdout).unwrap();
    assert_eq!(report["missing"], 0, "{report}");
    sandbox.ok(&["runs", "show", "7"]);
}

/// Requests of MLflow's pages.
#[test]
fn addresses_of_pages() {
    let (sandbox, server) = served();
    let upload = "/ajax-api/2.0/mlflow/upload-artifact";
    let target = format!("{upload}?run_uuid={RUN}&path=notes/a.txt");
    assert_eq!(server.request("POST", &target, b"text").status, 200);
    assert_eq!(sandbox.read("runs/run-7/artifacts/notes/a.txt"), "text");
    for (target, message) in [
        (format!("{upload}?path=a"), "Request must specify run_uuid."),
        (format!("{upload}?run_uuid={RUN}"), "Request must specify path."),
        (format!("{upload}?run_uuid={RUN}&path=../a"), "Invalid path"),
    ] {
        let reply = server.request("POST", &target, b"x");
        assert_eq!((reply.status, &reply.json()["message"]), (400, &message.into()), "{target}");
    }
    let of_model = format!("/api/2.0/mlflow-artifacts/artifacts/0/models/{MODEL}/artifacts/m.pkl");
    assert_eq!(server.request("PUT", &of_model, b"model").status, 200);
    let files = format!("/ajax-api/2.0/mlflow/logged-models/{MODEL}/artifacts/files");
    assert_eq!(server.get(&format!("{files}?artifact_file_path=m.pkl")).text(), "model");
    let missing = server.get(&format!("{files}?artifact_file_path=n"));
    assert_eq!(missing.status, 404);
    for target in [files.clone(), format!("{files}?artifact_file_path=../m.pkl")] {
        assert_eq!(server.get(&target).status, 400, "{target}");
    }
    let of_run = server.get(&files.replace(MODEL, RUN));
    assert!(of_run.status == 400 || of_run.status == 404);
}

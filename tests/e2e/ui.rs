//! `repro ui`: the server itself, over real connections. What the pages show and what MLflow's
//! clients log is tested elsewhere.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use rustix::process::Signal;

use crate::http_client::{Reply, Server};
use crate::sandbox::Sandbox;
use crate::snapshot;

const PIPELINE: &str = "[stages.a]\ncmd = \"echo hi > x\"\nouts = [\"x\"]\n";

fn started() -> (Sandbox, Server) {
    let sandbox = Sandbox::with(PIPELINE);
    let server = Server::start(&sandbox);
    (sandbox, server)
}

fn head(host: &str, extra: &str) -> Vec<u8> {
    format!("GET /api/server HTTP/1.1\r\nHost: {host}\r\n{extra}Connection: close\r\n\r\n").into()
}

#[test]
fn project_without_runs() {
    let (sandbox, server) = started();
    for page in ["/", "/runs", "/runs/run-1", "/compare", "/pipeline", "/pipeline/a", "/models"] {
        let reply = server.get(page);
        assert_eq!(reply.status, 200, "{page}");
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    }
    assert!(server.get("/").text().contains("<title>Home · "));
    assert_eq!(server.get("/health").text(), "OK");
    // Neither the server nor its readers create anything.
    assert!(!sandbox.exists("runs") && !sandbox.exists("cache"));
}

#[test]
fn outside_of_a_project() {
    let sandbox = Sandbox::empty();
    let done = sandbox.repro(&["ui", "--port", "0", "--no-open"]);
    snapshot!(done, @r"
    exit 2
    --- stderr
    error: there is no `pipeline.toml` in `$ROOT` or its parent directories
     hint: run `repro init` to create a pipeline here
    ");
}

#[test]
fn port_that_is_taken() {
    let sandbox = Sandbox::with(PIPELINE);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut done = sandbox.repro(&["ui", "--port", &port, "--no-open"]);
    done.stderr = done.stderr.replace(&port, "[port]");
    snapshot!(done, @r"
    exit 3
    --- stderr
    error: cannot listen on 127.0.0.1:[port]
     caused by: Address already in use (os error 98)
     hint: choose another port, or leave out `--port` for the next free one
    ");
}

#[test]
fn requests_of_other_sites() {
    let (_sandbox, server) = started();
    let port = server.address.rsplit_once(':').unwrap().1;
    let status = |host: &str, extra: &str| server.exchange(&head(host, extra)).status;
    for host in [&server.address, "localhost", &format!("localhost:{port}"), "[::1]:80"] {
        assert_eq!(status(host, ""), 200, "{host}");
    }
    for host in ["evil.example", &format!("evil.example:{port}"), "127.0.0.1.evil.example", ""] {
        assert_eq!(status(host, ""), 403, "{host}");
    }
    assert_eq!(status("localhost", "Host: localhost\r\n"), 400);
    assert_eq!(server.exchange(b"GET / HTTP/1.1\r\n\r\n").status, 400);
    let target = "/api/2.0/mlflow/experiments/create";
    for (origin, allowed) in [
        (format!("http://{}", server.address), true),
        ("http://evil.example".to_owned(), false),
        ("null".to_owned(), false),
        (format!("http://localhost:{port}"), false),
    ] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let reply = server.send((method, target), &[("Origin", &origin)], 0, |_| ());
            assert_eq!(reply.status != 403, allowed, "{method} {origin}");
        }
    }
    assert_eq!(server.get_with("/api/server", &[("Origin", "http://evil.example")]).status, 200);
}

#[test]
fn every_response_is_guarded() {
    let (_sandbox, server) = started();
    for target in ["/", "/nothing", "/api/nothing", "/api/server", "/assets/base.css", "/health"] {
        let reply = server.get(target);
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
}

#[test]
fn token() {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.write("token", "0123456789abcdef\n");
    let server = Server::start_with(&sandbox, &["--host", "127.0.0.1", "--token-file", "token"]);
    let page = server.get_with("/runs", &[("Accept", "text/html")]);
    assert_eq!(page.status, 401);
    assert!(page.text().contains("<input type=\"password\" name=\"token\""));
    for target in ["/api/server", "/health", "/api/events", "/lineage/x"] {
        assert_eq!(server.get(target).status, 401, "{target}");
    }
    // The page that asks for the token has its style.
    assert_eq!(server.get("/assets/base.css").status, 200);
    let wrong = server.get("/runs?token=0123456789abcdeg");
    assert_eq!((wrong.status, &wrong.json()["message"]), (401, &"the token is wrong".into()));
    let given = ("Authorization", "Bearer 0123456789abcdef");
    assert_eq!(server.get_with("/api/server", &[given]).status, 200);
    let entered = server.get("/runs?sort=loss&token=0123456789abcdef");
    assert_eq!(entered.status, 303);
    assert_eq!(entered.header("location"), Some("/runs?sort=loss"));
    let (cookie, rest) = entered.header("set-cookie").unwrap().split_once("; ").unwrap();
    assert_eq!(rest, "Path=/; HttpOnly; SameSite=Strict");
    assert_eq!(server.get_with("/runs", &[("Cookie", cookie)]).status, 200);
    // With a token, the machine may have any name, but pages of other sites still change nothing.
    let request = head("box.example", "Authorization: Bearer 0123456789abcdef\r\n");
    assert_eq!(server.exchange(&request).status, 200);
    let foreign = [given, ("Origin", "http://evil.example")];
    assert_eq!(server.send(("POST", "/api/server"), &foreign, 0, |_| ()).status, 403);
}

#[test]
fn unread_body_keeps_the_connection() {
    let (_sandbox, server) = started();
    let mut stream = BufReader::new(server.connect());
    let body = vec![b'x'; 500_000];
    let head = format!(
        "POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    stream.get_mut().write_all(&body).unwrap();
    assert_eq!(Reply::read(&mut stream, "POST").status, 404);
    stream.get_mut().write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(Reply::read(&mut stream, "GET").text(), "OK");
}

#[test]
fn open_host_needs_a_token() {
    let sandbox = Sandbox::with(PIPELINE);
    let done = sandbox.repro(&["ui", "--port", "0", "--host", "0.0.0.0"]);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stderr.contains("--token-file <FILE>"), "{done}");
    sandbox.write("short", "secret\n");
    let done = sandbox.repro(&["ui", "--host", "0.0.0.0", "--token-file", "short"]);
    snapshot!(done, @r"
    exit 2
    --- stderr
    error: the token in `./short` has fewer than 16 characters
     hint: `openssl rand -hex 32 > ./short` makes a good one
    ");
    let done = sandbox.repro(&["ui", "--token-file", "missing"]);
    assert_eq!(done.code, 3, "{done}");
}

#[test]
fn answers_that_are_errors() {
    let (_sandbox, server) = started();
    let page = server.get_with("/nothing", &[("Accept", "text/html,*/*")]);
    assert_eq!((page.status, page.header("content-type")), (404, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("nothing is served at `&#x2f;nothing`"));
    for headers in [&[][..], &[("Accept", "text/html")]] {
        let data = server.get_with("/api/nothing", headers);
        assert_eq!(data.status, 404);
        assert_eq!(
            data.json(),
            serde_json::json!({
                "error_code": "ENDPOINT_NOT_FOUND",
                "message": "nothing is served at `/api/nothing`",
            })
        );
    }
    assert_eq!(server.get("/%ff").status, 400);
    assert_eq!(server.request("BREW", "/", b"").status, 404);
    assert_eq!(server.exchange(b"\0\x01\r\n\r\n").status, 400);
}

#[test]
fn paths_stay_inside() {
    let (sandbox, server) = started();
    sandbox.write("secret", "secret");
    for path in [
        "/assets/../secret",
        "/assets/%2e%2e/%2e%2e/pipeline.toml",
        "/assets/..%2f..%2fpipeline.toml",
        "/assets//etc/passwd",
        "/../pipeline.toml",
        "/assets/shell.html",
        "/assets/lib/api.js%00.css",
    ] {
        let reply = server.get(path);
        assert_eq!(reply.status, 404, "{path}");
    }
}

#[test]
fn assets() {
    let (_sandbox, server) = started();
    let path = "/assets/vendor/uplot/uPlot.iife.min.js";
    let plain = server.get(path);
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.body, std::fs::read("src/vendor/uplot/uPlot.iife.min.js").unwrap());
    assert_eq!(plain.header("content-type"), Some("text/javascript; charset=utf-8"));
    let small = server.get_with(path, &[("Accept-Encoding", "br, gzip")]);
    assert_eq!(small.header("content-encoding"), Some("gzip"));
    assert_eq!(small.header("vary"), Some("Accept-Encoding"));
    assert!(small.body.starts_with(b"\x1f\x8b") && small.body.len() < plain.body.len() / 2);
    assert_ne!(small.header("etag"), plain.header("etag"));
    let tag = plain.header("etag").unwrap();
    let known = server.get_with(path, &[("If-None-Match", tag)]);
    assert_eq!((known.status, known.body.len()), (304, 0));
    assert_eq!(known.header("etag"), Some(tag));
    let again = server.get_with(path, &[("If-None-Match", "\"x\"")]);
    assert_eq!(again.status, 200);
}

#[test]
fn head_is_get_without_content() {
    let (_sandbox, server) = started();
    let [get, head] = ["GET", "HEAD"].map(|method| server.request(method, "/api/server", b""));
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length").unwrap(), get.body.len().to_string());
    assert_eq!(head.header("etag"), get.header("etag"));
}

#[test]
fn many_requests_on_one_connection() {
    let (_sandbox, server) = started();
    let mut stream = BufReader::new(server.connect());
    let request = format!("GET /api/server HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    for _ in 0..100 {
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        assert_eq!(Reply::read(&mut stream, "GET").status, 200);
    }
    // Several requests may be sent at once.
    stream.get_mut().write_all(request.repeat(3).as_bytes()).unwrap();
    for _ in 0..3 {
        assert_eq!(Reply::read(&mut stream, "GET").status, 200);
    }
}

#[test]
fn huge_requests_are_refused() {
    let (_sandbox, server) = started();
    let long = "x".repeat(200_000);
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n");
    assert_eq!(server.exchange(request.as_bytes()).status, 431);
    let many = "X: y\r\n".repeat(1_000);
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    assert_eq!(server.exchange(request.as_bytes()).status, 431);
    let request = format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(matches!(server.exchange(request.as_bytes()).status, 414 | 431));
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn idle_connections_starve_nobody() {
    let (_sandbox, server) = started();
    let mut idle: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for stream in &mut idle {
        stream.write_all(b"GET /health HTT").unwrap();
    }
    let mut events: Vec<_> = (0..20).map(|_| events(&server)).collect();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(server.get("/health").status, 200)));
        }
    });
    for stream in &mut events {
        assert_eq!(next_event(stream), "store");
    }
}

fn events(server: &Server) -> BufReader<std::net::TcpStream> {
    let mut stream = server.connect();
    write!(stream, "GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
    BufReader::new(stream)
}

/// Returns the name of the next event.
fn next_event(stream: &mut BufReader<std::net::TcpStream>) -> String {
    loop {
        let mut line = String::new();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the events ended");
        if let Some(name) = line.strip_prefix("event: ") {
            return name.trim().to_owned();
        }
    }
}

#[test]
fn changes_are_events() {
    let (sandbox, server) = started();
    let mut stream = events(&server);
    assert_eq!([next_event(&mut stream), next_event(&mut stream)], ["store", "workspace"]);
    sandbox.write("pipeline.toml", format!("{PIPELINE}# edited\n"));
    assert_eq!(next_event(&mut stream), "workspace");
    sandbox.ok(&["run"]);
    // The run writes the lock and the history, in several transactions.
    while next_event(&mut stream) != "store" {}
}

#[test]
fn interrupt_ends_the_server() {
    for signal in [Signal::INT, Signal::TERM] {
        let (_sandbox, mut server) = started();
        let mut stream = events(&server);
        assert_eq!(next_event(&mut stream), "store");
        let mut idle = BufReader::new(server.connect());
        let request = format!("GET /health HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
        idle.get_mut().write_all(request.as_bytes()).unwrap();
        assert_eq!(Reply::read(&mut idle, "GET").status, 200);
        assert_eq!(server.end(signal), Some(0));
        // The connections are closed.
        stream.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    }
}

/// A command that prints what it was given and asks the server with it.
const ASKS: &str = r#"env | grep ^MLFLOW_ | sort > seen
python3 -c "
import os, urllib.request as http
url = os.environ['MLFLOW_TRACKING_URI'] + '/health'
token = os.environ['MLFLOW_TRACKING_TOKEN']
def status(headers):
    try:
        return http.urlopen(http.Request(url, headers=headers)).status
    except http.HTTPError as err:
        return err.code
print(status({}), status({'Authorization': 'Bearer ' + token}))
"
"#;

#[test]
fn stage_with_a_server() {
    let stage =
        |options: &str| format!("[stages.ask]\ncmd = '''\n{ASKS}'''\nouts = [\"seen\"]\n{options}");
    let sandbox = Sandbox::with(&stage("mlflow = true\n"));
    let done = sandbox.ok(&["run", "--plain"]);
    assert!(format!("{done}").contains("401 200"), "{done}");
    let shown = sandbox.ok(&["runs", "show", "--json"]).stdout;
    let run: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let uid = run["uid"].as_str().unwrap();
    let seen = sandbox.read("seen");
    let value = |name: &str| {
        let line = seen.lines().find_map(|line| line.strip_prefix(&format!("MLFLOW_{name}=")));
        line.unwrap_or_else(|| panic!("{name}: {seen}")).to_owned()
    };
    assert_eq!((value("RUN_ID").as_str(), value("EXPERIMENT_ID").as_str()), (uid, "0"));
    let uri = value("TRACKING_URI");
    let path = uri.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split_once('/'));
    assert_eq!(path.unwrap().1, format!("run/{uid}/stage/ask"));
    // Neither the key nor the variables are part of the fingerprint.
    assert!(sandbox.ok(&["status"]).stdout.contains("up to date"));
    sandbox.write("pipeline.toml", stage(""));
    assert!(sandbox.ok(&["status"]).stdout.contains("everything is up to date"));
    sandbox.write("pipeline.toml", format!("[pipeline]\nmlflow = true\n{}", stage("")));
    sandbox.ok(&["run", "-f"]);
    assert_ne!(sandbox.read("seen"), seen);
    let own = "env = { MLFLOW_RUN_ID = \"mine\" }\n";
    sandbox.write("pipeline.toml", format!("[pipeline]\nmlflow = true\n{}", stage(own)));
    sandbox.ok(&["run"]);
    assert!(sandbox.read("seen").contains("MLFLOW_RUN_ID=mine\n"));
}

#[test]
fn wrong_mlflow_key() {
    let stage = "[stages.a]\ncmd = \"true\"\n";
    let sandbox = Sandbox::with(&format!("[pipeline]\nmlflow = 1\n{stage}mlflow = \"yes\"\n"));
    snapshot!(sandbox.repro(&["status"]), @r"
    exit 2
    --- stderr
    error: pipeline.toml:2: `mlflow` of `[pipeline]` must be true or false, not an integer
    error: pipeline.toml:5: `mlflow` of stage `a` must be true or false, not a string
    ");
}

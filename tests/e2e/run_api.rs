//! The API of a run: its series, logs, artifacts, and contents by digest.

use serde_json::{Value, json};

use crate::http_client::{Reply, Server};
use crate::sandbox::Sandbox;

const PIPELINE: &str = r#"
[params]
lr = 0.1

[stages.make]
cmd = "sh make.sh"
deps = ["make.sh"]
params = ["lr"]
outs = ["out"]

[stages.use]
cmd = "cat out/table.csv > copy.csv"
deps = ["out"]
outs = ["copy.csv"]
"#;

const MAKE: &str = r#"
mkdir -p out
printf 'a,b\n1,x\n2,y\n' > out/table.csv
printf '<script>alert(1)</script>' > out/page.html
printf '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>' > out/x.svg
for step in 0 1 2 3; do
    echo "{\"metric\": \"loss\", \"step\": $step, \"value\": $step.5}" >> "$REPRO_EVENTS"
done
echo '{"metric": "loss", "step": 4, "value": NaN}' >> "$REPRO_EVENTS"
printf 'one\n\033[31mtwo\033[0m \007\nthree'
"#;

fn served() -> (Sandbox, Server) {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.write("make.sh", MAKE);
    sandbox.ok(&["run", "-p", "lr=0.2"]);
    let server = Server::start(&sandbox);
    (sandbox, server)
}

fn json_of(server: &Server, target: &str) -> Value {
    let reply = server.get(target);
    assert_eq!(reply.status, 200, "{target}: {}", reply.text());
    reply.json()
}

/// Returns the artifact with this path.
fn artifact(server: &Server, path: &str) -> Value {
    let list = json_of(server, "/api/runs/run-1/artifacts");
    let list = list["artifacts"].as_array().unwrap().clone();
    list.into_iter().find(|one| one["path"] == path).unwrap()
}

fn message(reply: &Reply) -> String {
    reply.json()["message"].as_str().unwrap().to_owned()
}

#[test]
fn run_by_its_names() {
    let (sandbox, server) = served();
    let run = json_of(&server, "/api/runs/run-1");
    let shown: Value =
        serde_json::from_str(&sandbox.ok(&["runs", "show", "--json"]).stdout).unwrap();
    for (key, value) in shown.as_object().unwrap() {
        assert_eq!(&run[key], value, "{key}");
    }
    assert_eq!(run["overridden"], json!(["lr"]));
    assert_eq!(run["logs"][0]["stage"], "make");
    assert_eq!(run["series"][0]["name"], "make.loss");
    let uid = run["uid"].as_str().unwrap();
    for name in ["1", "latest", uid, &uid[..8]] {
        assert_eq!(json_of(&server, &format!("/api/runs/{name}"))["uid"], uid);
    }
    let missing = server.get("/api/runs/run-7");
    assert!((400..500).contains(&missing.status));
    assert_eq!(message(&missing), "there is no run `run-7`; the only run is run-1");
}

#[test]
fn windows_of_series() {
    let (_sandbox, server) = served();
    let series = "/api/runs/run-1/series?stage=make&key=loss";
    let all = json_of(&server, series);
    assert_eq!(all["step"], json!([0, 1, 2, 3, 4]));
    assert_eq!(all["value"], json!([0.5, 1.5, 2.5, 3.5, "NaN"]));
    assert_eq!((&all["decimated"], &all["total"]), (&json!(false), &json!(5)));
    let part = json_of(&server, &format!("{series}&from=2&to=2"));
    assert_eq!((&part["step"], &part["count"]), (&json!([1, 2, 3]), &json!(1)));
    let after = format!("{series}&after={}", all["cursor"].as_str().unwrap());
    assert_eq!(json_of(&server, &after)["step"], json!([]));
    for (target, status, text) in [
        ("stage=make&key=los", 404, "has no series `los`; did you mean `loss`?"),
        ("stage=none&key=loss", 404, "stage `none` of run-1 has no series `loss`"),
        ("stage=make&key=loss&axis=x", 400, "`x` is not an axis"),
        ("stage=make&key=loss&from=1.5", 400, "`from=1.5` is not a valid whole number"),
        ("stage=make&key=loss&after=x", 400, "`x` is not a cursor of a series"),
    ] {
        let reply = server.get(&format!("/api/runs/run-1/series?{target}"));
        assert_eq!(reply.status, status, "{target}");
        assert!(message(&reply).contains(text), "{}", message(&reply));
    }
}

#[test]
fn parts_of_logs() {
    let (_sandbox, server) = served();
    let log = "/api/runs/run-1/logs/make";
    let all = json_of(&server, log);
    let two = json!([["two", "red"], [" \\u{7}", ""]]);
    assert_eq!(all["lines"], json!(["one", two, "three"]));
    assert_eq!((&all["first"], &all["total"], &all["open"]), (&json!(1), &json!(3), &json!(true)));
    assert_eq!(json_of(&server, &format!("{log}?from=-2&count=1"))["first"], 2);
    let more = json_of(&server, &format!("{log}?after={}", all["end"]));
    assert_eq!((&more["lines"], &more["first"]), (&json!(["three"]), &Value::Null));
    // The log is another one than before.
    assert_eq!(json_of(&server, &format!("{log}?after=2"))["first"], 1);
    let found = json_of(&server, &format!("{log}?find=T"));
    assert_eq!((&found["total"], &found["lines"]), (&json!(0), &json!([])));
    assert_eq!(
        json_of(&server, &format!("{log}?find=t"))["lines"],
        json!([[2, two], [3, "three"]])
    );
    for stage in ["none", "..%2Fmake", "%00"] {
        assert_eq!(server.get(&format!("/api/runs/run-1/logs/{stage}")).status, 404, "{stage}");
    }
}

#[test]
fn contents_and_their_uses() {
    let (_sandbox, server) = served();
    let out = artifact(&server, "out");
    assert_eq!((&out["kind"], &out["origin"]), (&json!("tree"), &json!("out")));
    let folder = json_of(&server, &format!("{}?as=folder", out["url"].as_str().unwrap()));
    let names: Vec<&str> = folder["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["page.html", "table.csv", "x.svg"]);
    let copy = artifact(&server, "copy.csv");
    assert_eq!(copy["digest"], folder["entries"][1]["digest"]);
    let url = copy["url"].as_str().unwrap();
    let table = json_of(&server, &format!("{url}?as=preview&name=copy.csv"));
    assert_eq!(table["rows"], json!([[1, "x"], [2, "y"]]));
    let range = [("Range", "bytes=4-6")];
    assert_eq!(server.send(("GET", url), &range, 0, |_| ()).text(), "1,x");
    let whole = server.get(url);
    let tag = whole.header("etag").unwrap();
    assert_eq!(server.get_with(url, &[("If-None-Match", tag)]).status, 304);
    let uses = json_of(&server, &format!("{}/uses", out["url"].as_str().unwrap()));
    assert_eq!(uses["made"][0]["stage"], "make");
    assert_eq!(
        (&uses["used"][0]["stage"], &uses["used"][0]["path"]),
        (&json!("use"), &json!("out"))
    );
    assert_eq!(server.get("/api/objects/x").status, 400);
    for form in ["", "?as=folder", "?as=preview"] {
        let missing = format!("/api/objects/{}{form}", "0".repeat(64));
        assert_eq!(server.get(&missing).status, 404, "{form}");
    }
    assert_eq!(server.get(&format!("{url}?as=x")).status, 400);
}

#[test]
fn damaged_objects_are_not_sent() {
    let (sandbox, server) = served();
    let copy = artifact(&server, "copy.csv");
    let digest = copy["digest"].as_str().unwrap();
    let object = format!("cache/objects/{}/{}", &digest[..2], &digest[2..]);
    std::fs::remove_file(sandbox.path(&object)).unwrap();
    sandbox.write(&object, "other");
    let reply = server.get(copy["url"].as_str().unwrap());
    assert_eq!(reply.status, 500);
    let fact = format!("the object {} is damaged", &digest[..10]);
    let remedy = "`repro fsck --repair` repairs the cache";
    assert_eq!(reply.json()["message"], format!("{fact}; {remedy}"));
}

#[test]
fn active_content_is_confined() {
    let (_sandbox, server) = served();
    let out = artifact(&server, "out");
    let folder = json_of(&server, &format!("{}?as=folder", out["url"].as_str().unwrap()));
    let get = |at: usize, name: &str| {
        let url = folder["entries"][at]["url"].as_str().unwrap();
        server.get(&format!("{url}?name={name}"))
    };
    let page = get(0, "page.html");
    assert_eq!(page.header("content-type"), Some("text/plain; charset=utf-8"));
    let image = get(2, "x.svg");
    assert_eq!(image.header("content-type"), Some("image/svg+xml"));
    for reply in [page, image] {
        assert!(reply.header("content-security-policy").unwrap().contains("sandbox"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn files_stay_in_the_run() {
    let (sandbox, server) = served();
    sandbox.write("secret", "secret");
    std::os::unix::fs::symlink("../../../secret", sandbox.path("runs/run-1/make/link")).unwrap();
    std::os::unix::fs::symlink("../..", sandbox.path("runs/run-1/up")).unwrap();
    let status = |path: &str| server.get(&format!("/api/runs/run-1/files/{path}")).status;
    assert_eq!(status("make/log"), 200);
    for path in [
        "make/link",
        "up/secret",
        "../../secret",
        "%2E%2E/%2E%2E/secret",
        "..%2F..%2Fsecret",
        "make",
        "make/none",
        "",
        "%2Fetc%2Fpasswd",
        "make/log%00",
    ] {
        assert_eq!(status(path), 404, "{path}");
    }
}

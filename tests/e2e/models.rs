//! `repro models`: versions of registered models, their aliases, and their files.

use crate::sandbox::Sandbox;
use crate::snapshot;

/// Two runs, which make different models.
fn two_models() -> Sandbox {
    let sandbox = Sandbox::with(
        "[params]\nn = 1\n\
         [stages.train]\n\
         cmd = 'mkdir -p models/onnx; echo {{ params.n }} > models/genre.onnx; \
         echo {{ params.n }} > models/onnx/w'\n\
         outs = ['models/genre.onnx', 'models/onnx']\n",
    );
    sandbox.ok(&["run"]);
    sandbox.ok(&["run", "-p", "n=2"]);
    sandbox
}

#[test]
fn registered_and_promoted() {
    let sandbox = two_models();
    snapshot!(sandbox.repro(&["models", "list"]), @"
    exit 0
    --- stderr
    no models are registered
    ");
    let register = ["models", "register", "genre", "run-1:models/genre.onnx"];
    snapshot!(sandbox.repro(&[&register[..], &["--alias", "production"]].concat()), @"
    exit 0
    --- stdout
    registered version 1 of genre (run-1:models/genre.onnx), alias production
    ");
    sandbox.ok(&["models", "register", "genre", "last:models/genre.onnx"]);
    sandbox.ok(&["models", "register", "folder", "last:models/onnx"]);
    snapshot!(sandbox.repro(&["models", "list"]), @"
    exit 0
    --- stdout
    model version aliases files digest registered
    folder 1 run-2:models/onnx 7f66ed8aec [date]
    genre 2 run-2:models/genre.onnx b9a1a3183d [date]
    genre 1 production run-1:models/genre.onnx 50cc1102b1 [date]
    ");
    snapshot!(sandbox.repro(&["models", "promote", "genre/2", "staging"]), @"
    exit 0
    --- stdout
    genre@staging is version 2
    ");
    snapshot!(sandbox.repro(&["models", "promote", "genre@staging", "production"]), @"
    exit 0
    --- stdout
    genre@production is version 2
    ");
    snapshot!(sandbox.repro(&["models", "show", "genre"]), @"
    exit 0
    --- stdout
    model version aliases files digest registered
    genre 2 production, staging run-2:models/genre.onnx b9a1a3183d [date]
    genre 1 run-1:models/genre.onnx 50cc1102b1 [date]
    ");
    let done = sandbox.ok(&["models", "show", "genre/1", "--json"]);
    let version: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let run = version["run"].as_str().unwrap();
    assert_eq!(version["source"], format!("runs:/{run}/models/genre.onnx"));
    let keys: Vec<&str> = version.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "aliases content model number path registered run source tags version";
    assert_eq!(keys.join(" "), expected);
    let done = sandbox.ok(&["models", "show", "genre/1"]).stdout;
    snapshot!(done.replace(run, "[uid]"), @"
    version 1 of genre
    files run-1:models/genre.onnx
    content file 50cc1102b1c612e6962547aacdcef9a400d4416ef8dd9388e885991853c400c9
    run [uid]
    registered [date]
    ");
}

#[test]
fn files_of_versions() {
    let sandbox = two_models();
    for run in ["1", "2"] {
        sandbox.ok(&["models", "register", "genre", &format!("{run}:models/genre.onnx")]);
    }
    sandbox.ok(&["models", "promote", "genre/1", "production"]);
    let get = |what: &str| sandbox.ok(&["get", what, "-o", "-"]).stdout;
    let found =
        ["models:genre@production", "models:/genre/latest", "models:genre", "models:genre/1"];
    assert_eq!(found.map(get), ["1\n", "2\n", "2\n", "1\n"]);
    snapshot!(sandbox.repro(&["get", "models:genre@production", "-o", "to/"]), @"
    exit 0
    --- stdout
    wrote to/genre.onnx (version 1 of model `genre`): 1 file, 2 B
    ");
    assert_eq!(sandbox.read("to/genre.onnx"), "1\n");
    snapshot!(sandbox.repro(&["get", "models:genre/2", "-o", "to/"]), @"
    exit 2
    --- stderr
    error: `to/genre.onnx` exists
     hint: `--force` replaces it; `-o PATH` writes to another place
    ");
    snapshot!(sandbox.repro(&["get", "models:genre/2", "-o", "to/", "-f"]), @"
    exit 0
    --- stdout
    wrote to/genre.onnx (version 2 of model `genre`): 1 file, 2 B
    --- stderr
    warning: your version of `to/genre.onnx` was replaced; `repro trash restore 1` brings it back
    ");
    sandbox.ok(&["models", "register", "folder", "1:models/onnx"]);
    sandbox.ok(&["get", "models:folder", "-o", "copy"]);
    assert_eq!(sandbox.read("copy/w"), "1\n");
}

#[test]
fn mistakes_with_models() {
    let sandbox = two_models();
    snapshot!(sandbox.repro(&["models", "show", "genre"]), @"
    exit 2
    --- stderr
    error: there is no registered model `genre`
     hint: `repro models register NAME RUN:PATH` registers the first
    ");
    snapshot!(sandbox.repro(&["models", "register", "genre", "1:models/gener.onnx"]), @"
    exit 2
    --- stderr
    error: run-1 has no out at `models/gener.onnx`
     hint: did you mean `models/genre.onnx`?
    ");
    snapshot!(sandbox.repro(&["models", "register", "a/b", "1:models/genre.onnx"]), @"
    exit 2
    --- stderr
    error: `a/b` cannot name a model: it contains `/`, `:` or `@`
     hint: choose a name such as `genre`
    ");
    let register = ["models", "register", "genre", "1:models/genre.onnx"];
    snapshot!(sandbox.repro(&[&register[..], &["--alias", "v3"]].concat()), @"
    exit 2
    --- stderr
    error: `v3` cannot be an alias: it stands for a version
     hint: choose an alias such as `production`
    ");
    sandbox.ok(&register);
    sandbox.ok(&["models", "promote", "genre/1", "production"]);
    for (name, hint) in [
        ("gnre", "did you mean `genre`?"),
        ("genre@prodction", "did you mean `genre@production`?"),
        ("genre/2", "`repro models show genre` lists its versions"),
        ("genre/x", "`genre`, `genre/3` and `genre@production` are examples"),
    ] {
        let done = sandbox.repro(&["models", "show", name]);
        assert_eq!(done.code, 2, "{done}");
        assert!(done.stderr.contains(hint), "{done}");
        let done = sandbox.repro(&["get", &format!("models:{name}"), "-o", "-"]);
        assert!(done.code == 2 && done.stderr.contains(hint), "{done}");
    }
    snapshot!(sandbox.repro(&["models", "promote", "genre", "staging"]), @"
    exit 2
    --- stderr
    error: `genre` names no version
     hint: `genre/latest` is the latest
    ");
}

/// The cache keeps a version, even if no run counts and the run is deleted.
#[test]
fn gc_keeps_versions() {
    let sandbox = two_models();
    sandbox.ok(&["models", "register", "genre", "1:models/genre.onnx"]);
    sandbox.ok(&["runs", "rm", "1"]);
    let done = sandbox.ok(&["gc", "--yes", "--runs", "0"]);
    assert!(done.stdout.contains("1 registered version"), "{done}");
    assert_eq!(sandbox.ok(&["get", "models:genre", "-o", "-"]).stdout, "1\n");
    // The folder of the same run was not registered.
    assert_ne!(sandbox.repro(&["get", "1:models/onnx/w", "-o", "-"]).code, 0);
}

//! Stages with `each`: only the items that changed are processed.

use crate::sandbox::{Sandbox, files};
use crate::snapshot;

/// One process for all items: upper-cases each file, and reports each finished item.
const TOGETHER: &str = r#"
[params]
mark = "!"

[stages.upper]
each = "in/**/*.txt"
cmd = "sh upper.sh"
deps = ["upper.sh"]
params = ["mark"]
outs = ["up/{{ item.dir }}/{{ item.stem }}.up", "count.txt"]

[stages.all]
cmd = "cat $(find up -type f | sort) > all.txt; echo all >> ran"
deps = ["up"]
outs = ["all.txt"]
"#;

const UPPER: &str = r#"
set -e
while read -r line; do
  item=$(echo "$line" | sed 's/.*"item":"\([^"]*\)".*/\1/')
  out=$(echo "$line" | sed 's/.*"outs":\["\([^"]*\)".*/\1/')
  tr a-z A-Z < "$item" > "$out"
  echo "$item" >> ran
  if [ -e broken ] && [ "$(wc -l < ran)" -ge 2 ]; then exit 3; fi
  echo "{\"item\":\"$item\"}" >> "$REPRO_EVENTS"
done < "$REPRO_ITEMS"
find in -name '*.txt' | wc -l > count.txt
"#;

fn together() -> Sandbox {
    let sandbox = Sandbox::with(TOGETHER);
    sandbox.write("upper.sh", UPPER);
    for name in ["a", "b", "x/c", "x/y/d"] {
        sandbox.write(&format!("in/{name}.txt"), name);
    }
    sandbox
}

#[test]
fn only_changed_items_run() {
    let sandbox = together();
    let done = sandbox.ok(&["run", "-j1"]);
    assert!(done.stderr.contains("upper: 4/4 (100 %)"), "{done}");
    assert_eq!(files(&sandbox.path("up")), ["a.up", "b.up", "x/c.up", "x/y/d.up"]);
    assert_eq!(sandbox.ran().len(), 5);
    // Nothing changed.
    snapshot!(sandbox.ok(&["run"]), @"
    exit 0
    --- stderr
    everything is up to date (2 stages, [time])
    ");
    // One item added, one changed.
    sandbox.write("in/e.txt", "e");
    sandbox.write("in/a.txt", "other");
    snapshot!(sandbox.ok(&["status"]), @"
    exit 0
    --- stdout
    upper is out of date: file in/a.txt changed, file in/e.txt added
    all waits for upper
    ");
    sandbox.ok(&["run", "upper"]);
    assert_eq!(sandbox.ran(), ["in/a.txt", "in/e.txt"]);
    assert_eq!(sandbox.read("up/a.up"), "OTHER");
    // One item removed: its outs are removed, and the out that belongs to no item is written again.
    sandbox.remove("in/x/c.txt");
    sandbox.ok(&["run", "upper"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    assert_eq!(files(&sandbox.path("up")), ["a.up", "b.up", "e.up", "x/y/d.up"]);
    assert_eq!(sandbox.read("count.txt").trim(), "4");
    // Both changes undone: the items are restored from the cache one by one.
    sandbox.write("in/x/c.txt", "x/c");
    sandbox.write("in/a.txt", "a");
    sandbox.ok(&["run", "upper"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    assert_eq!((sandbox.read("up/x/c.up"), sandbox.read("up/a.up")), ("X/C".into(), "A".into()));
    // A param concerns all items.
    sandbox.edit("pipeline.toml", "mark = \"!\"", "mark = \"?\"");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran().len(), 6);
    // The lock has one line for the folder, as an out of `upper` and a dep of `all`.
    assert_eq!(sandbox.read("pipeline.lock").matches(" up\n").count(), 2);
    sandbox.remove("up");
    sandbox.ok(&["checkout"]);
    assert_eq!(files(&sandbox.path("up")).len(), 5);
}

#[test]
fn failed_batch_keeps_finished_items() {
    let sandbox = together();
    sandbox.write("broken", "");
    let done = sandbox.repro(&["run"]);
    assert_eq!(done.code, 1, "{done}");
    assert_eq!(sandbox.ran(), ["in/a.txt", "in/b.txt"]);
    sandbox.remove("broken");
    sandbox.ok(&["run", "upper"]);
    assert_eq!(sandbox.ran(), ["in/b.txt", "in/x/c.txt", "in/x/y/d.txt"]);
}

#[test]
fn edited_item_out_is_restored() {
    let sandbox = together();
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.write("up/a.up", "edited");
    sandbox.write("up/strange", "mine");
    sandbox.ok(&["run", "upper"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    assert_eq!(sandbox.read("up/a.up"), "A");
    assert!(!sandbox.exists("up/strange"));
    for text in ["edited", "mine"] {
        let digest = blake3::hash(text.as_bytes()).to_string();
        assert_eq!(sandbox.read(&format!("cache/objects/{}/{}", &digest[..2], &digest[2..])), text);
    }
}

#[test]
fn invalid_each_declarations() {
    let sandbox = Sandbox::with(
        r#"
[stages.a]
each = "in"
cmd = "true"
outs = ["a/{{ item.stem }}"]

[stages.b]
each = "in/*"
cmd = "cp {{ item.path }} b/"
outs = ["b/{{ item.stem }}", "list.txt", "{{ item.stem }}.txt"]
metrics = ["m/{{ item.stem }}.json"]
desc = "about {{ item.stem }}"

[stages.c]
each = "in/*"
cmd = "cp {{ item.nme }} c/"
outs = ["c"]
"#,
    );
    sandbox.write("in/x", "x");
    snapshot!(sandbox.repro(&["status"]), @r#"
    exit 2
    --- stderr
    error: pipeline.toml:3: `each` of stage `a` must be a glob such as "data/*/*.wav"
    error: pipeline.toml:10: out `list.txt` of stage `b` does not name the item, but the command runs once per item
     hint: remove the item from `cmd`; one process then gets all items in `REPRO_ITEMS`
    error: pipeline.toml:10: per-item out `{{ item.stem }}.txt` of stage `b` is not in a directory of its own
     hint: start it with a directory that is the same for every item: out/{{ item.stem }}
    error: pipeline.toml:11: per-item out `m/{{ item.stem }}.json` of stage `b` cannot be a metric or a plot, or have `cache = false` or `persist = true`
     hint: list it in `outs`; its only option is `optional`
    error: pipeline.toml:12: cannot render `desc` of stage `b`: there is no `item.stem`
     hint: `item` exists only in `cmd` and the outs of a stage with `each`
    error: pipeline.toml:15: stage `c` has `each` but no per-item out
     hint: name the item in an out: outs = ["out/{{ item.stem }}.txt"]
    error: pipeline.toml:16: cannot render `cmd` of stage `c`: there is no `item.nme`
     hint: did you mean `item.name`?
    "#);
}

#[test]
fn items_with_same_out() {
    let sandbox = Sandbox::with(
        "[stages.a]\neach = 'in/*/*'\ncmd = 'cp {{ item.path }} out/{{ item.name }}'\n\
         outs = ['out/{{ item.name }}']\n",
    );
    sandbox.write("in/1/x", "1");
    sandbox.write("in/2/x", "2");
    let done = sandbox.repro(&["run"]);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stderr.contains("items `in/1/x` and `in/2/x` would both write `out/x`"), "{done}");
}

#[test]
fn changed_dep_discards_item() {
    let sandbox = Sandbox::with(
        r#"
[stages.a]
each = "in/*"
deps = ["model"]
cmd = """test ! -e swap || { rm swap; echo B > model; }; \
  cat model {{ item.path }} > up/{{ item.name }}"""
outs = ["up/{{ item.name }}"]
"#,
    );
    sandbox.write("in/x", "x\n");
    sandbox.write("model", "A\n");
    sandbox.write("swap", "");
    let done = sandbox.repro(&["run"]);
    assert_eq!(done.code, 1, "{done}");
    assert!(done.stderr.contains("its dep `model` changed while it ran"), "{done}");
    sandbox.write("model", "A\n");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("up/x"), "A\nx\n");
}

#[test]
fn lock_line_per_item_folder() {
    let sandbox = together();
    sandbox.ok(&["run", "upper"]);
    let lock = sandbox.read("pipeline.lock");
    assert_eq!(
        lock.lines().filter(|line| line.starts_with("out tree ") && line.ends_with(" up")).count(),
        1
    );
    assert!(!lock.contains("a.txt") && !lock.contains("a.up"), "{lock}");
}

#[test]
fn unchanged_items_need_no_trace() {
    let sandbox = together();
    sandbox.ok(&["run", "upper"]);
    sandbox.ran();
    sandbox.remove("cache/traces");
    sandbox.write("in/x/y/e.txt", "e");
    sandbox.remove("in/x/c.txt");
    sandbox.ok(&["run", "upper"]);
    assert_eq!(sandbox.ran(), ["in/x/y/e.txt"]);
    assert_eq!(files(&sandbox.path("up")), ["a.up", "b.up", "x/y/d.up", "x/y/e.up"]);
    // Outs that differ from the lock prove nothing, and without traces every item runs again.
    sandbox.remove("cache/traces");
    sandbox.write("up/a.up", "edited");
    sandbox.write("in/f.txt", "f");
    sandbox.ok(&["run", "upper"]);
    assert_eq!(sandbox.ran().len(), 5);
    assert_eq!(sandbox.read("up/a.up"), "A");
}

#[test]
fn accepted_items_stay_accepted() {
    let sandbox = together();
    sandbox.ok(&["run", "upper"]);
    sandbox.ran();
    sandbox.edit("pipeline.toml", "mark = \"!\"", "mark = \"?\"");
    sandbox.write("in/new.txt", "n");
    sandbox.ok(&["accept", "upper", "--reason", "the mark is not read"]);
    sandbox.write("in/e.txt", "e");
    sandbox.ok(&["run", "upper"]);
    // `new` was added together with the accepted change, so no out was ever made for it.
    assert_eq!(sandbox.ran(), ["in/e.txt", "in/new.txt"]);
}

#[test]
fn each_without_items() {
    let sandbox = Sandbox::with(
        r#"
[stages.split]
cmd = "mkdir parts; for part in $(cat list); do echo $part > parts/$part.txt; done"
deps = ["list"]
outs = ["parts"]

[stages.up]
each = "parts/*.txt"
cmd = "tr a-z A-Z < {{ item.path }} > up/{{ item.name }}; echo {{ item.stem }} >> ran"
outs = ["up/{{ item.name }}"]

[stages.all]
cmd = "ls up | wc -l > all.txt"
deps = ["up"]
outs = ["all.txt"]
"#,
    );
    sandbox.write("list", "");
    let done = sandbox.ok(&["run", "-j1"]);
    assert!(
        done.stderr.contains("up: warning: `parts/*.txt` matches nothing, so there are no items"),
        "{done}"
    );
    assert!(done.stderr.contains("run-1 done"), "{done}");
    assert_eq!(files(&sandbox.path("up")), [""; 0]);
    assert_eq!(sandbox.read("all.txt").trim(), "0");
    sandbox.ok(&["status", "--check"]);
    sandbox.write("list", "a b");
    sandbox.ok(&["run", "-j1"]);
    assert_eq!(sandbox.ran(), ["a", "b"]);
    // No items again: status predicts this from the cache.
    sandbox.write("list", "");
    sandbox.ok(&["status"]);
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    assert_eq!(files(&sandbox.path("up")), [""; 0]);
    assert_eq!(sandbox.read("all.txt").trim(), "0");
}

#[test]
fn each_in_missing_folder() {
    let sandbox = Sandbox::with(
        "[stages.up]\neach = 'inn/*'\ncmd = 'cp {{ item.path }} up/'\n\
         outs = ['up/{{ item.name }}']\n",
    );
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:2: stage `up` depends on `inn/*`, which does not exist and is not an out of any stage
     hint: create it, or correct the path
    ");
    std::fs::create_dir(sandbox.path("inn")).unwrap();
    let done = sandbox.ok(&["run"]);
    assert!(done.stderr.contains("`inn/*` matches nothing"), "{done}");
}

#[test]
fn matrix_with_each() {
    let sandbox = Sandbox::with(
        r#"
[stages.cut]
matrix = { size = [1, 2] }
each = "in/*"
cmd = """head -c {{ matrix.size }} {{ item.path }} > cut/{{ matrix.size }}/{{ item.name }}; \
  echo {{ matrix.size }} {{ item.name }} >> ran"""
outs = ["cut/{{ matrix.size }}/{{ item.name }}"]
"#,
    );
    sandbox.write("in/a", "abc");
    sandbox.write("in/b", "bcd");
    sandbox.ok(&["run", "-j1"]);
    assert_eq!(sandbox.ran().len(), 4);
    assert_eq!((sandbox.read("cut/1/a"), sandbox.read("cut/2/b")), ("a".into(), "bc".into()));
    sandbox.write("in/c", "cde");
    sandbox.ok(&["run", "-j1", "cut@2"]);
    assert_eq!(sandbox.ran(), ["2 c"]);
    // A new value is a new stage; the outs of the other stages stay.
    sandbox.edit("pipeline.toml", "size = [1, 2]", "size = [2, 3]");
    sandbox.ok(&["run", "-j1"]);
    assert_eq!(sandbox.ran(), ["3 a", "3 b", "3 c"]);
}

#[test]
fn items_behind_folder_links() {
    let sandbox = Sandbox::with(
        r#"
[stages.up]
each = "in/**/*.txt"
cmd = """tr a-z A-Z < {{ item.path }} > up/{{ item.dir }}/{{ item.name }}; \
  echo {{ item.path }} >> ran"""
outs = ["up/{{ item.dir }}/{{ item.name }}"]
"#,
    );
    let elsewhere = Sandbox::empty();
    sandbox.write("in/a.txt", "a");
    elsewhere.write("b.txt", "b");
    elsewhere.write("deep/c.txt", "c");
    std::os::unix::fs::symlink(elsewhere.root(), sandbox.path("in/x")).unwrap();
    sandbox.ok(&["run", "-j1"]);
    assert_eq!(sandbox.ran(), ["in/a.txt", "in/x/b.txt", "in/x/deep/c.txt"]);
    assert_eq!(sandbox.read("up/x/deep/c.txt"), "C");
    elsewhere.write("b.txt", "other");
    sandbox.ok(&["run", "-j1"]);
    assert_eq!(sandbox.ran(), ["in/x/b.txt"]);
    // The folder itself replaces the link to it.
    sandbox.remove("in/a.txt");
    std::fs::remove_file(sandbox.path("in/x")).unwrap();
    sandbox.write("in/x/b.txt", "other");
    sandbox.ok(&["run", "-j1"]);
    assert_eq!(sandbox.ran(), [""; 0]);
    assert_eq!(files(&sandbox.path("up")), ["x/b.txt"]);
    assert!(elsewhere.exists("deep/c.txt"));
}

#[test]
fn retry_clears_item_outs() {
    let apart = r#"
[stages.upper]
each = "in/*"
retries = { count = 1, delay = "1s" }
cmd = "echo x >> up/{{ item.name }}; test -e tried || { touch tried up/{{ item.name }}.err; exit 1; }"
outs = ["up/{{ item.name }}", { path = "up/{{ item.name }}.err", optional = true }]
"#;
    let together = apart
        .replace("{{ item.name }}; test", "a; test")
        .replace("up/{{ item.name }}.err; exit", "up/a.err; exit");
    for pipeline in [apart, &together] {
        let sandbox = Sandbox::with(pipeline);
        sandbox.write("in/a", "a");
        sandbox.ok(&["run"]);
        assert!(sandbox.exists("tried"));
        assert_eq!(sandbox.read("up/a"), "x\n");
        assert_eq!(files(&sandbox.path("up")), ["a"]);
    }
}

#[test]
fn always_processes_all_items() {
    let sandbox = Sandbox::with(
        r#"
[stages.upper]
each = "in/*"
always = true
cmd = "echo {{ item.name }} >> ran; cp {{ item.path }} up/{{ item.name }}"
outs = ["up/{{ item.name }}"]
"#,
    );
    sandbox.write("in/a", "a");
    for _ in 0..2 {
        sandbox.ok(&["run"]);
        assert_eq!(sandbox.ran(), ["a"]);
    }
}

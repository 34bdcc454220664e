//! Templates: values in commands.

use crate::sandbox::Sandbox;
use crate::settings::run;
use crate::snapshot;

#[test]
fn values_are_quoted() {
    let sandbox = Sandbox::with(
        "[params]\na = 'x'\n[stages.s]\ncmd = '''\nprintf '%s\\n' {{ params.a }} > o\n\
         printf '%s\\n' '{{ params.a }}' >> o\nprintf '%s\\n' \"{{ params.a }}\" >> o\n'''\n\
         outs = ['o']\n",
    );
    for value in ["x; touch pwned #", "$(touch pwned)", "`touch pwned`", "it's; touch pwned", "\""]
    {
        assert_eq!(run(&sandbox, &[&format!("a={value}")]).code, 0);
        assert_eq!(sandbox.read("o"), format!("{value}\n").repeat(3));
        assert!(!sandbox.exists("pwned"), "{value}");
    }
}

#[test]
fn quoting_stops_at_sh() {
    let sandbox = Sandbox::with(
        "[params]\na = 'x y'\n[stages.s]\nshell = 'python3 -c'\ncmd = \"open('o', 'w').write('{{ \
         params.a }}')\"\nouts = ['o']\n[stages.t]\n\
         cmd = 'echo `echo {{ params.a }}` > t'\nouts = ['t']\n",
    );
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:8: cannot render `cmd` of stage `t`: `x y` has characters that cannot be quoted in backquotes
     hint: put the value elsewhere, or insert it as it is: `{{ … | raw }}`
    ");
    sandbox.edit("pipeline.toml", "`echo {{ params.a }}`", "$(echo {{ params.a }})");
    if sandbox.repro(&["run"]).code == 0 {
        assert_eq!(sandbox.read("o"), "x y");
    }
    assert_eq!(sandbox.read("t"), "x y\n");
}

#[test]
fn items_take_no_filters() {
    let sandbox = Sandbox::with(
        "[stages.s]\neach = 'in/*'\n\
         cmd = \"\"\"cp {{ item.path }} out/{{ item.stem | upper }}\"\"\"\n\
         outs = ['out/{{ item.stem }}']\n",
    );
    sandbox.write("in/a", "x");
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:3: cannot render `cmd` of stage `s`: `item` is used in an expression, but its parts are known only when the stage runs
     hint: write `{{ item.PART }}` and nothing else between the braces
    ");
    sandbox.edit(
        "pipeline.toml",
        "{{ item.path }} out/{{ item.stem | upper }}",
        " \"{{ item.path }}\" 'out/{{ item.stem }}' ",
    );
    sandbox.write("in/b $c", "y");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("out/b $c"), "y");
}

#[test]
fn crlf_in_commands() {
    let unix = "[params]\ntext = \"\"\"\na\nb\"\"\"\n[stages.a]\n\
                cmd = \"\"\"\nset -e\necho hi > o.txt\n\
                \"\"\"\nparams = ['text']\nouts = ['o.txt']\n";
    let sandbox = Sandbox::with(&unix.replace('\n', "\r\n"));
    sandbox.ok(&["run"]);
    sandbox.write("pipeline.toml", unix);
    sandbox.ok(&["status", "--check"]);
}

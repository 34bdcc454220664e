//! `repro remote`: the declared remotes and what works at them. `tests/remotes` tries the stores.

use crate::sandbox::Sandbox;
use crate::snapshot;

const STAGE: &str = "[stages.s]\ncmd = 'true'\n";

fn declared(remotes: &str) -> Sandbox {
    Sandbox::with(&format!("{remotes}{STAGE}"))
}

#[test]
fn list_of_remotes() {
    let sandbox = declared(
        "[remotes.disk]\nurl = '../store'\ndefault = true\n\
         [remotes.my-lab]\nurl = 'S3://bucket//x/'\nauto = 'pull'\n",
    );
    snapshot!(sandbox.repro(&["remote"]), @r#"
    exit 0
    --- stdout
    remote url
    disk ../store default
    my-lab s3://bucket/x auto = "pull"
    "#);
    let mut command = sandbox.command(&["remote", "list", "--json"]);
    command.env("REPRO_REMOTE_MY_LAB_URL", "/mnt/mirror");
    snapshot!(sandbox.finish(&mut command), @r#"
    exit 0
    --- stdout
    [
     {
     "auto": null,
     "default": true,
     "name": "disk",
     "url": "../store",
     "url_from": null
     },
     {
     "auto": "pull",
     "default": false,
     "name": "my-lab",
     "url": "/mnt/mirror",
     "url_from": "REPRO_REMOTE_MY_LAB_URL"
     }
    ]
    "#);
    snapshot!(declared("").repro(&["remote"]), @"
    exit 0
    --- stderr
    there are no remotes; `[remotes.NAME]` declares one
    ");
}

#[test]
fn check_of_a_folder() {
    let sandbox = declared("[remotes.disk]\nurl = 'store'\n[remotes.gone]\nurl = '/not/mounted'\n");
    snapshot!(sandbox.repro(&["remote", "check", "disk"]), @"
    exit 0
    --- stdout
    remote url list read write delete
    disk $ROOT/store works works works works
    ");
    // The probe is deleted again.
    assert!(std::fs::read_dir(sandbox.path("store/probe")).unwrap().next().is_none());
    snapshot!(sandbox.repro(&["remote", "check"]), @"
    exit 3
    --- stdout
    remote url list read write delete
    disk $ROOT/store works works works works
    gone /not/mounted no such place no such place no such place -
    --- stderr
    error: `/not/mounted` cannot be reached
     caused by: the folder `/not` does not exist
     hint: `mkdir -p /not/mounted` creates it, or mount its disk
    ");
    snapshot!(sandbox.repro(&["remote", "check", "dsk"]), @"
    exit 2
    --- stderr
    error: there is no remote `dsk`
     hint: the remotes are `disk`, `gone`
    ");
    snapshot!(declared("").repro(&["remote", "check"]), @r#"
    exit 2
    --- stderr
    error: there are no remotes
     hint: add `[remotes.NAME]` with a `url` to pipeline.toml, such as `url = "s3://bucket/project"`
    "#);
}

/// A port that nobody listens on.
#[test]
fn check_of_an_absent_server() {
    let sandbox = declared("[remotes.web]\nurl = 'http://127.0.0.1:1/x'\ntimeout = '1s'\n");
    let done = sandbox.repro(&["remote", "check"]);
    snapshot!(done, @"
    exit 3
    --- stdout
    remote url list read write delete
    web http://127.0.0.1:1/x unsupported unavailable unsupported -
    --- stderr
    remote `web`: cannot connect: Connection refused (os error 111); trying again for up to [time]
    error: cannot read `probe` of `http://127.0.0.1:1/x`
     caused by: cannot connect: Connection refused (os error 111) ([n] attempts in [time])
     hint: check the address and the network; `HTTPS_PROXY` is used if it is set; the same command continues where this one stopped
    ");
}

#[test]
fn settings_that_are_missing() {
    for (remote, expected) in [
        ("url = 's3://bucket'", "no region"),
        ("url = 'az://box'", "no storage account"),
        ("url = 'gdrive://x'", "REPRO_REMOTE_LAB_REFRESH_TOKEN"),
    ] {
        let sandbox = declared(&format!("[remotes.lab]\n{remote}\n"));
        let done = sandbox.repro(&["remote", "check"]);
        assert_eq!(done.code, 2, "{done}");
        assert!(done.stderr.contains(expected), "{done}");
    }
}

#[test]
fn url_of_the_environment() {
    let sandbox = declared("[remotes.lab]\nurl = 's3://bucket'\nregion = 'eu-1'\n");
    let check = |url: &str| {
        let mut command = sandbox.command(&["remote", "check"]);
        sandbox.finish(command.env("REPRO_REMOTE_LAB_URL", url))
    };
    snapshot!(check("store"), @"
    exit 0
    --- stdout
    remote url list read write delete
    lab $ROOT/store works works works works
    ");
    snapshot!(check("s4://bucket?token=SECRET"), @"
    exit 2
    --- stderr
    error: `REPRO_REMOTE_LAB_URL`: `s4://bucket` has a query or a fragment
     hint: give the settings as keys beside `url`, such as `endpoint`
    ");
}

#[test]
fn secrets_in_the_file() {
    let sandbox = declared(
        "[remotes.a]\nurl = 's3://bucket'\nregion = 'x'\naccess_key_id = 'AK'\n\
         secret_access_key = 'HIDDEN'\n\
         [remotes.my-b]\nurl = 'webdavs://h/x'\npassword = 'HIDDEN'\nuser = 'me'\n\
         [remotes.c]\nurl = 'https://me:HIDDEN@h/x'\n\
         [remotes.d]\nurl = 'gdrive://x'\ngdrive_client_secret = 'HIDDEN'\n\
         [remotes.e]\nurl = 'az://c'\nendpoint = 'https://me:HIDDEN@h'\n\
         [remotes.f]\nurl = 'gs://c'\ncredentials = 'HIDDEN'\n",
    );
    let done = sandbox.repro(&["status"]);
    assert!(!done.stderr.contains("HIDDEN"), "{done}");
    snapshot!(done, @"
    exit 2
    --- stderr
    error: pipeline.toml:4: `access_key_id` of remote `a` is a secret, which must not stand in pipeline.toml
     hint: remove it, and set the variable `AWS_ACCESS_KEY_ID` in the environment instead
    error: pipeline.toml:5: `secret_access_key` of remote `a` is a secret, which must not stand in pipeline.toml
     hint: remove it, and set the variable `AWS_SECRET_ACCESS_KEY` in the environment instead
    error: pipeline.toml:8: `password` of remote `my-b` is a secret, which must not stand in pipeline.toml
     hint: remove it, and set the variable `REPRO_REMOTE_MY_B_PASSWORD` in the environment instead
    error: pipeline.toml:9: `user` of remote `my-b` is a secret, which must not stand in pipeline.toml
     hint: remove it, and set the variable `REPRO_REMOTE_MY_B_USER` in the environment instead
    error: pipeline.toml:11: remote `c`: the URL of `https://h/x` contains a user or a password
     hint: remove it from the file; give it as `REPRO_REMOTE_C_USER` and `REPRO_REMOTE_C_PASSWORD` in the environment
    error: pipeline.toml:14: `gdrive_client_secret` of remote `d` is a secret, which must not stand in pipeline.toml
     hint: remove it, and set the variable `REPRO_REMOTE_D_CLIENT_SECRET` in the environment instead
    error: pipeline.toml:17: `endpoint` of remote `e` is not the URL of a server
     hint: write it without a user; credentials come from the environment
    error: pipeline.toml:20: `credentials` of remote `f` is a secret, which must not stand in pipeline.toml
     hint: remove it, and set the variable `GOOGLE_APPLICATION_CREDENTIALS` in the environment instead
    ");
}

#[test]
fn settings_of_other_stores() {
    let sandbox = declared(
        "[remotes.a]\nurl = '/mnt/x'\nregion = 'x'\ntimeout = '9s'\n\
         [remotes.b]\nurl = 'ssh://h/x'\nendpoint = 'https://h'\n\
         [remotes.c]\nurl = 'gs://b'\npath_style = true\nprofile = 'p'\n\
         [remotes.d]\nurl = 's3://b'\nendpoint = 'minio.example.com'\n\
         [remotes.e]\nurl = 's3:/b'\n[remotes.f]\nurl = 'me@host:data'\n\
         [remotes.g]\nurl = 'ftp://host'\n[remotes.h]\nurl = 'https://h?x=1'\n",
    );
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:3: `region` of remote `a` has no effect on `/mnt/x`
     hint: remove it; it is a setting of `s3://`
    error: pipeline.toml:4: `timeout` of remote `a` has no effect on `/mnt/x`
     hint: remove it; it is a setting of `s3://`, `gs://`, `az://`, `sftp://`, `webdav://`, `webdavs://`, `http://`, `https://`, `gdrive://`
    error: pipeline.toml:7: `endpoint` of remote `b` has no effect on `sftp://h/x`
     hint: remove it; it is a setting of `s3://`, `gs://`, `az://`
    error: pipeline.toml:10: `path_style` of remote `c` has no effect on `gs://b`
     hint: remove it; it is a setting of `s3://`
    error: pipeline.toml:11: `profile` of remote `c` has no effect on `gs://b`
     hint: remove it; it is a setting of `s3://`
    error: pipeline.toml:14: `endpoint` of remote `d` is not the URL of a server
     hint: did you mean `https://minio.example.com`?
    error: pipeline.toml:16: remote `e`: `s3:/b` is neither a folder nor a URL
     hint: did you mean `s3://b`?
    error: pipeline.toml:18: remote `f`: `me@host:data` is neither a folder nor a URL
     hint: for SSH write `ssh://me@host/~/data`, for a folder `./me@host:data`
    error: pipeline.toml:20: remote `g`: `ftp://host` has the unknown scheme `ftp`
     hint: did you mean `sftp://`?
    error: pipeline.toml:22: remote `h`: `https://h` has a query or a fragment
     hint: give the settings as keys beside `url`, such as `endpoint`
    ");
}

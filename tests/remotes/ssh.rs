//! Faults of `ssh` itself.

use std::fs;
use std::path::{Path, PathBuf};

use repro::remote::FaultKind;

use crate::setting::{Setting, Test, expect, text};

pub const ALL: &[(&str, Test)] = &[
    ("ssh's own words", words),
    ("many connections", many),
    ("no `ssh` process is left", no_process_is_left),
    ("denied folder", denied_folder),
    ("full disk", full_disk),
    ("existing file in place of a folder", file_in_the_way),
];

/// Returns the URL of the server, without a path.
fn server(setting: &Setting) -> &str {
    let (scheme, rest) = setting.spec.url.split_once("://").unwrap();
    let host = rest.split('/').next().unwrap();
    &setting.spec.url[..scheme.len() + 3 + host.len()]
}

fn words(setting: &Setting) -> Result<(), String> {
    let mut closed = setting.clone();
    closed.spec.url = "ssh://127.0.0.1:1/x".to_owned();
    let store = closed.open();
    let fault = expect(store.put("x", b"x"), FaultKind::Unavailable)?;
    let error = repro::remote::error(&*store, "write", "x", &fault);
    let hint = error.hint.unwrap_or_default();
    let said = error.causes.join(" ");
    if !said.contains("Connection refused") || !hint.contains("try `ssh -p 1 127.0.0.1`") {
        return Err(format!("{said}: {hint}"));
    }
    Ok(())
}

/// A server drops some of ten connections that log in at once; all calls succeed.
fn many(setting: &Setting) -> Result<(), String> {
    let names: Vec<String> = (0..32).map(|index| format!("at-once/{index}")).collect();
    let stores: Vec<_> = (0..3).map(|_| setting.open()).collect();
    crate::operations::at_once(12, &names, |name| {
        let store = &stores[name.len() % 3];
        store.put(name, name.as_bytes()).map_err(text)
    })
}

fn children() -> Vec<PathBuf> {
    let path = format!("/proc/self/task/{}/children", std::process::id());
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|pid| Path::new("/proc").join(pid)).collect()
}

fn no_process_is_left(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    store.put("left", b"x").map_err(text)?;
    drop(store);
    let left = children();
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
}

fn denied_folder(setting: &Setting) -> Result<(), String> {
    let mut denied = setting.clone();
    // Nobody can write here, not even root.
    denied.spec.url = format!("{}/proc/repro", server(setting));
    let store = denied.open();
    match store.put("x", b"x") {
        Err(fault) if fault.kind == FaultKind::Denied || fault.kind == FaultKind::NoSuchPlace => {
            Ok(())
        }
        result => Err(format!("{result:?}")),
    }
}

fn full_disk(setting: &Setting) -> Result<(), String> {
    let Ok(small) = std::env::var("REPRO_TEST_SMALL") else {
        println!("remotes: SKIPPED sshd: full disk: `unshare -m` gives no mount namespace");
        return Ok(());
    };
    let mut full = setting.clone();
    full.spec.url = format!("{}{small}", server(setting));
    let store = full.open();
    store.put("first", b"x").map_err(text)?;
    let fault = expect(store.put("large", &vec![1; 1 << 20]), FaultKind::Full)?;
    let error = repro::remote::error(&*store, "write", "large", &fault);
    if !error.hint.as_ref().is_some_and(|hint| hint.contains("free space on `127.0.0.1`")) {
        return Err(format!("{:?}", error.hint));
    }
    // The part of the file was removed, so there is room again.
    store.put("second", &vec![1; 100 << 10]).map_err(text)
}

fn file_in_the_way(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    store.put("way/file", b"x").map_err(text)?;
    match store.put("way/file/below", b"x") {
        Err(_) => {}
        Ok(()) => return Err("it succeeded".to_owned()),
    }
    // The connection still serves.
    store.put("way/other", b"x").map_err(text)?;
    Ok(())
}

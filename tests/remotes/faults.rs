//! Faults of a store behind HTTP, which a proxy injects: either the call is repeated and succeeds,
//! or its message is right. No message contains a secret.

use std::time::Duration;

use repro::remote::{Backend, Fault, FaultKind};

use crate::operations::{at_once, bytes};
use crate::proxy::{Act, Proxy};
use crate::setting::{Setting, Test, expect, text};

pub const ALL: &[(&str, Test)] = &[
    ("429 without Retry-After", busy),
    ("429 with Retry-After", busy_for_a_second),
    ("429 for an hour", busy_for_an_hour),
    ("429 for ever", busy_for_ever),
    ("429 to many at once", busy_many),
    ("500, 502, 503", failing),
    ("resets", resets),
    ("body cut short", cut),
    ("body always cut short", always_cut),
    ("stall", stall),
    ("stall within a body", stall_in_body),
    ("507", full),
    ("501 to conditional puts", unconditional),
    ("403 with secrets", denied),
    ("echoed request", echoed),
    ("range ignored", range_ignored),
    ("closed port", closed_port),
    ("unknown host", unknown_host),
    ("wrong certificate", wrong_certificate),
    ("page of a proxy", page),
];

struct Case {
    proxy: Proxy,
    store: Box<dyn Backend>,
}

/// Opens the store of a setting behind a proxy with a script.
fn case(setting: &Setting, script: &[Act], rest: Act) -> Case {
    let endpoint = setting.spec.endpoint.as_ref().unwrap();
    let target = endpoint.rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Proxy::start(target, script, rest);
    let mut setting = setting.clone();
    setting.spec.endpoint = Some(format!("http://127.0.0.1:{}", proxy.port));
    Case { store: setting.open(), proxy }
}

fn requests(case: &Case, expected: usize) -> Result<(), String> {
    let seen: Vec<String> =
        case.proxy.seen().into_iter().map(|(_, head)| first_line(&head)).collect();
    if seen.len() == expected { Ok(()) } else { Err(format!("{expected} expected: {seen:#?}")) }
}

fn first_line(head: &str) -> String {
    head.lines().next().unwrap_or_default().to_owned()
}

/// Writes and reads through a script of faults; each fault costs one request.
fn passes(setting: &Setting, script: &[Act]) -> Result<(), String> {
    let content = bytes(300_000, 7);
    let writing = case(setting, script, Act::Pass);
    writing.store.put("faults/file", &content).map_err(text)?;
    requests(&writing, script.len() + 1)?;
    let reading = case(setting, script, Act::Pass);
    let found = reading.store.get("faults/file", Some(1000..250_000)).map_err(text)?;
    requests(&reading, script.len() + 1)?;
    if found == content[1000..250_000] { Ok(()) } else { Err("the bytes differ".to_owned()) }
}

/// Returns all that a user sees of a fault, which must not contain a secret.
fn message(store: &dyn Backend, fault: &Fault) -> Result<String, String> {
    let error = repro::remote::error(store, "write", "packs/ab", fault);
    let hint = error.hint.unwrap_or_default();
    let said = format!("{}\n{}\n{hint}", error.what, error.causes.join("\n"));
    for secret in ["TESTSECRET", "Signature=", "AWS4-HMAC", "credential=", "SIGNED"] {
        if said.to_lowercase().contains(&secret.to_lowercase()) {
            return Err(format!("`{secret}` is in the message: {said}"));
        }
    }
    Ok(said)
}

fn contains(said: &str, parts: &[&str]) -> Result<(), String> {
    match parts.iter().find(|part| !said.contains(**part)) {
        Some(part) => Err(format!("`{part}` is not in the message: {said}")),
        None => Ok(()),
    }
}

fn busy(setting: &Setting) -> Result<(), String> {
    passes(setting, &[Act::Answer(429, "", ""), Act::Answer(429, "", "slow down")])
}

fn busy_for_a_second(setting: &Setting) -> Result<(), String> {
    let case = case(setting, &[Act::Answer(429, "retry-after: 1\r\n", "")], Act::Pass);
    case.store.put("faults/file", b"x").map_err(text)?;
    requests(&case, 2)?;
    let seen = case.proxy.seen();
    let pause = seen[1].0 - seen[0].0;
    // A lower bound holds on a machine of any speed.
    if pause >= Duration::from_secs(1) { Ok(()) } else { Err(format!("paused for {pause:?}")) }
}

fn busy_for_an_hour(setting: &Setting) -> Result<(), String> {
    let case = case(setting, &[], Act::Answer(503, "retry-after: 3600\r\n", ""));
    let kind = FaultKind::Busy(Some(Duration::from_secs(3600)));
    let fault = expect(case.store.put("faults/file", b"x"), kind)?;
    requests(&case, 1)?;
    let said = message(&*case.store, &fault)?;
    contains(&said, &["503", "s3://bucket/some/prefix", "packs/ab", "`jobs`", "continues"])
}

fn busy_for_ever(setting: &Setting) -> Result<(), String> {
    let case = case(setting, &[], Act::Answer(429, "", ""));
    let fault = expect(case.store.put("faults/file", b"x"), FaultKind::Busy(None))?;
    contains(&message(&*case.store, &fault)?, &["429", " attempts in ", "`jobs`"])
}

fn busy_many(setting: &Setting) -> Result<(), String> {
    let case = case(setting, &[const { Act::Answer(429, "", "") }; 8], Act::Pass);
    let names: Vec<String> = (0..40).map(|index| format!("faults/many/{index}")).collect();
    at_once(8, &names, |name| case.store.put(name, name.as_bytes()).map_err(text))?;
    requests(&case, 48)
}

fn failing(setting: &Setting) -> Result<(), String> {
    let page = "<html><body>Bad Gateway</body></html>";
    let script = [Act::Answer(500, "", ""), Act::Answer(502, "", page), Act::Answer(503, "", "")];
    passes(setting, &script)
}

fn resets(setting: &Setting) -> Result<(), String> {
    passes(setting, &[Act::Reset, Act::Reset])
}

fn cut(setting: &Setting) -> Result<(), String> {
    let content = bytes(300_000, 7);
    case(setting, &[], Act::Pass).store.put("faults/file", &content).map_err(text)?;
    let case = case(setting, &[Act::Cut(0), Act::Cut(100_000)], Act::Pass);
    let found = case.store.get("faults/file", None).map_err(text)?;
    requests(&case, 3)?;
    if found == content { Ok(()) } else { Err("the bytes differ".to_owned()) }
}

fn always_cut(setting: &Setting) -> Result<(), String> {
    case(setting, &[], Act::Pass).store.put("faults/file", &bytes(9000, 7)).map_err(text)?;
    let case = case(setting, &[], Act::Cut(5000));
    let fault = expect(case.store.get("faults/file", None), FaultKind::Truncated)?;
    requests(&case, 3)?;
    contains(&message(&*case.store, &fault)?, &["ended early", "(3 attempts"])
}

fn stall(setting: &Setting) -> Result<(), String> {
    passes(setting, &[Act::Stall])?;
    let case = case(setting, &[Act::Pass], Act::Stall);
    case.store.put("faults/file", b"x").map_err(text)?;
    let fault = expect(case.store.put("faults/file", b"x"), FaultKind::Unavailable)?;
    contains(
        &message(&*case.store, &fault)?,
        &["no answer within 1s", "check the address and the network"],
    )
}

fn stall_in_body(setting: &Setting) -> Result<(), String> {
    let content = bytes(300_000, 7);
    case(setting, &[], Act::Pass).store.put("faults/file", &content).map_err(text)?;
    let case = case(setting, &[Act::StallBody], Act::Pass);
    let found = case.store.get("faults/file", None).map_err(text)?;
    requests(&case, 2)?;
    if found == content { Ok(()) } else { Err("the bytes differ".to_owned()) }
}

fn full(setting: &Setting) -> Result<(), String> {
    let case = case(setting, &[], Act::Answer(507, "", "no room"));
    let fault = expect(case.store.put("faults/file", b"x"), FaultKind::Full)?;
    requests(&case, 1)?;
    contains(&message(&*case.store, &fault)?, &["507", "no room", "repro gc --remote", "continues"])
}

fn unconditional(setting: &Setting) -> Result<(), String> {
    let case = case(setting, &[], Act::Pass);
    case.store.put("faults/file", b"x").map_err(text)?;
    case.store.put("faults/file", b"y").map_err(text)?;
    // B2 answers 501 to a condition, and refuses some checksums.
    for (_, head) in case.proxy.seen() {
        let head = head.to_lowercase();
        for header in ["if-match", "if-none-match", "x-amz-checksum", "x-amz-sdk-checksum"] {
            if head.contains(header) {
                return Err(format!("`{header}` is in {head}"));
            }
        }
    }
    let case = self::case(setting, &[], Act::Answer(501, "", ""));
    expect(case.store.put("faults/file", b"x"), FaultKind::Unsupported)?;
    requests(&case, 1)
}

fn denied(setting: &Setting) -> Result<(), String> {
    let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>It does not match \
                https://h/x?X-Amz-Signature=SIGNED for TESTSECRET0123456789</Message>\
                <StringToSign>AWS4-HMAC-SHA256</StringToSign></Error>";
    let case = case(setting, &[], Act::Answer(403, "", body));
    let fault = expect(case.store.put("faults/file", b"x"), FaultKind::Denied)?;
    requests(&case, 1)?;
    let said = message(&*case.store, &fault)?;
    contains(&said, &["403 SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY", "`[remotes.lab]`"])
}

fn echoed(setting: &Setting) -> Result<(), String> {
    let case = case(setting, &[], Act::Echo(400));
    let fault = expect(case.store.put("faults/file", b"x"), FaultKind::Other)?;
    message(&*case.store, &fault).map(drop)?;
    // What programs and logs may print.
    let debugged = format!("{fault:?} {:?}", case.store);
    if debugged.contains("AWS4") { Err(debugged) } else { Ok(()) }
}

fn range_ignored(setting: &Setting) -> Result<(), String> {
    let case = case(setting, &[], Act::Answer(200, "", "0123456789"));
    let found = case.store.get("faults/file", Some(3..6)).map_err(text)?;
    if found != b"345" {
        return Err(format!("{found:?}"));
    }
    expect(case.store.get("faults/file", Some(8..12)), FaultKind::Truncated).map(drop)
}

fn closed_port(setting: &Setting) -> Result<(), String> {
    let proxy = Proxy::start(1, &[], Act::Pass);
    let port = proxy.port;
    drop(proxy);
    let setting = setting.clone().endpoint(&format!("http://127.0.0.1:{port}"));
    let store = setting.open();
    let fault = expect(store.put("faults/file", b"x"), FaultKind::Unavailable)?;
    contains(&message(&*store, &fault)?, &["cannot connect", "refused", " attempts in "])
}

fn unknown_host(setting: &Setting) -> Result<(), String> {
    let store = setting.clone().endpoint("http://no-such-host.invalid").open();
    let result = store.put("faults/file", b"x");
    let fault = result.err().ok_or("it succeeded")?;
    contains(&message(&*store, &fault)?, &["cannot connect"])
}

fn wrong_certificate(setting: &Setting) -> Result<(), String> {
    // The proxy answers a greeting of TLS in plain text.
    let proxy = Proxy::start(1, &[], Act::Reset);
    let store = setting.clone().endpoint(&format!("https://127.0.0.1:{}", proxy.port)).open();
    let result = store.put("faults/file", b"x");
    message(&*store, &result.err().ok_or("it succeeded")?).map(drop)
}

fn page(setting: &Setting) -> Result<(), String> {
    let page = "<html><head><title>Login</title></head><body>Please sign in</body></html>";
    let case = case(setting, &[], Act::Answer(407, "", page));
    let fault = expect(case.store.put("faults/file", b"x"), FaultKind::Denied)?;
    let said = message(&*case.store, &fault)?;
    if said.contains("<html") { Err(said) } else { contains(&said, &["407"]) }
}

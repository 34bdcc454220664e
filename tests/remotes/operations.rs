//! The operations of the contract of [`Backend`].

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use repro::remote::{Backend, FaultKind};

use crate::project;
use crate::setting::{Setting, Test, expect, text};

pub const WRITABLE: &[(&str, Test)] = &[
    ("list, before the first file", list_before),
    ("put, get", put_get),
    ("overwrite", overwrite),
    ("empty file", empty_file),
    ("range", range),
    ("range past the end", past_the_end),
    ("get missing", get_missing),
    ("list nested", list_nested),
    ("list after put", list_after_put),
    ("list missing", list_missing),
    ("delete", delete),
    ("delete missing", delete_missing),
    ("16 MiB", large),
    ("200 files", many),
    ("odd names", odd_names),
    ("concurrent puts", concurrent),
    ("push, pull", project::push_pull),
];

/// For stores whose files are replaced as a whole, even by two writers at once.
pub const WHOLE: &[(&str, Test)] = &[("same file at once", same_file)];

pub const READ_ONLY: &[(&str, Test)] = &[
    ("range", read_range),
    ("range past the end", read_past_the_end),
    ("get missing", get_missing),
    ("16 MiB", read_large),
    ("odd names", read_odd_names),
    ("writing is refused", read_only),
    ("pull", project::pull_only),
];

/// Bytes that differ at each place.
pub fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

const LARGE: usize = 16 << 20;
pub const ODD: [&str; 6] = [
    "odd/.hidden",
    "odd/..twice",
    "odd/a-b_c.d",
    "odd/-dash",
    "odd/UPPER.lower",
    "odd/0/1/2/3/4/5",
];

/// Puts the files that [`READ_ONLY`] reads.
pub fn prepare(store: &dyn Backend) {
    store.put("range/file", b"0123456789").unwrap();
    store.put("large/file", &bytes(LARGE, 1)).unwrap();
    for name in ODD {
        store.put(name, name.as_bytes()).unwrap();
    }
}

fn check(condition: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what()) }
}

fn equal(found: &[u8], expected: &[u8]) -> Result<(), String> {
    check(found == expected, || {
        format!("{} bytes differ from the {} expected", found.len(), expected.len())
    })
}

fn put(store: &dyn Backend, path: &str, bytes: &[u8]) -> Result<(), String> {
    store.put(path, bytes).map_err(text)
}

fn names(store: &dyn Backend, folder: &str) -> Result<BTreeSet<String>, String> {
    let listed = store.list(folder).map_err(text)?;
    let count = listed.len();
    let names: BTreeSet<String> = listed.into_iter().map(|file| file.path).collect();
    check(names.len() == count, || "a file is listed twice".to_owned())?;
    Ok(names)
}

fn list_before(setting: &Setting) -> Result<(), String> {
    check(names(&*setting.open(), "index")?.is_empty(), || "it is not empty".to_owned())
}

fn put_get(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    put(&*store, "put/a/b/file", b"some bytes")?;
    equal(&store.get("put/a/b/file", None).map_err(text)?, b"some bytes")?;
    // Another client sees it.
    equal(&setting.open().get("put/a/b/file", None).map_err(text)?, b"some bytes")
}

fn overwrite(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    for content in [&b"first, and longer"[..], b"second", b"third text"] {
        put(&*store, "heads", content)?;
        equal(&store.get("heads", None).map_err(text)?, content)?;
    }
    Ok(())
}

fn empty_file(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    put(&*store, "empty/file", b"")?;
    equal(&store.get("empty/file", None).map_err(text)?, b"")
}

fn range(setting: &Setting) -> Result<(), String> {
    put(&*setting.open(), "range/file", b"0123456789")?;
    read_range(setting)
}

fn read_range(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    for (range, expected) in
        [(0..10, &b"0123456789"[..]), (3..7, b"3456"), (9..10, b"9"), (0..1, b"0"), (4..4, b"")]
    {
        equal(&store.get("range/file", Some(range)).map_err(text)?, expected)?;
    }
    Ok(())
}

fn past_the_end(setting: &Setting) -> Result<(), String> {
    put(&*setting.open(), "range/file", b"0123456789")?;
    read_past_the_end(setting)
}

fn read_past_the_end(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    for range in [5..11, 10..12, 100..200] {
        expect(store.get("range/file", Some(range)), FaultKind::Truncated)?;
    }
    Ok(())
}

fn get_missing(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    expect(store.get("missing", None), FaultKind::Missing)?;
    expect(store.get("missing/a/b", Some(0..5)), FaultKind::Missing).map(drop)
}

fn list_nested(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    let files = ["nested/a", "nested/b/c", "nested/b/d/e", "nested/f/g/h/i"];
    for file in files {
        put(&*store, file, file.as_bytes())?;
    }
    // A name with the same start is another folder.
    put(&*store, "nested2/x", b"x")?;
    let expected: BTreeSet<String> = files.iter().map(|file| (*file).to_owned()).collect();
    let found = names(&*store, "nested")?;
    check(found == expected, || format!("{found:?}"))?;
    let found = names(&*store, "nested/b")?;
    let expected = ["nested/b/c", "nested/b/d/e"].map(str::to_owned).into();
    check(found == expected, || format!("{found:?}"))
}

fn list_after_put(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    for index in 0..5 {
        let path = format!("after/{index}");
        put(&*store, &path, &bytes(100 + index, 1))?;
        let listed = store.list("after").map_err(text)?;
        let found = listed.iter().find(|file| file.path == path);
        let found = found.ok_or_else(|| format!("`{path}` is not listed"))?;
        check(found.bytes == 100 + index as u64, || format!("{found:?}"))?;
        if let Some(modified) = found.modified {
            let age = SystemTime::now().duration_since(modified).unwrap_or_default();
            check(age < Duration::from_secs(3600), || format!("its age is {age:?}"))?;
        }
    }
    Ok(())
}

fn list_missing(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    put(&*store, "heads", b"x")?;
    for folder in ["not-there", "not/there"] {
        check(names(&*store, folder)?.is_empty(), || "it is not empty".to_owned())?;
    }
    Ok(())
}

fn delete(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    put(&*store, "delete/a", b"x")?;
    put(&*store, "delete/b", b"x")?;
    store.delete("delete/a").map_err(text)?;
    expect(store.get("delete/a", None), FaultKind::Missing)?;
    let found = names(&*store, "delete")?;
    check(found == ["delete/b".to_owned()].into(), || format!("{found:?}"))
}

fn delete_missing(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    store.delete("missing").map_err(text)?;
    store.delete("missing/a/b").map_err(text)
}

fn large(setting: &Setting) -> Result<(), String> {
    put(&*setting.open(), "large/file", &bytes(LARGE, 1))?;
    read_large(setting)
}

fn read_large(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    let expected = bytes(LARGE, 1);
    equal(&store.get("large/file", None).map_err(text)?, &expected)?;
    let range = 1_000_003..9_000_001;
    let found = store.get("large/file", Some(range)).map_err(text)?;
    equal(&found, &expected[1_000_003..9_000_001])
}

fn many(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    let paths: Vec<String> =
        (0..200).map(|index| format!("many/{:02x}/{index}", index % 16)).collect();
    let threads = store.parallelism();
    at_once(threads, &paths, |path| put(&*store, path, path.as_bytes()))?;
    let found = names(&*store, "many")?;
    check(found == paths.iter().cloned().collect(), || format!("{} files", found.len()))?;
    at_once(threads, &paths, |path| equal(&store.get(path, None).map_err(text)?, path.as_bytes()))
}

fn odd_names(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    for name in ODD {
        put(&*store, name, name.as_bytes())?;
    }
    read_odd_names(setting)?;
    let found = names(&*store, "odd")?;
    check(found == ODD.map(str::to_owned).into(), || format!("{found:?}"))
}

fn read_odd_names(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    for name in ODD {
        equal(&store.get(name, None).map_err(text)?, name.as_bytes())?;
    }
    Ok(())
}

fn concurrent(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    let seeds: Vec<u64> = (0..24).collect();
    at_once(12, &seeds, |seed| {
        let path = format!("concurrent/{seed}");
        let content = bytes(100_000 + usize::try_from(*seed).unwrap(), *seed);
        put(&*store, &path, &content)?;
        equal(&store.get(&path, None).map_err(text)?, &content)
    })
}

/// Several clients write one file: what another reads is one of them, whole.
fn same_file(setting: &Setting) -> Result<(), String> {
    let seeds: Vec<u64> = (1..=4).collect();
    let content = |seed: u64| bytes(50_000, seed);
    put(&*setting.open(), "same/file", &content(1))?;
    at_once(4, &seeds, |seed| {
        let store = setting.open();
        for _ in 0..3 {
            put(&*store, "same/file", &content(*seed))?;
            let found = store.get("same/file", None).map_err(text)?;
            let is_whole = seeds.iter().any(|seed| content(*seed) == found);
            check(is_whole, || format!("a mixture of {} bytes", found.len()))?;
        }
        Ok(())
    })
}

fn read_only(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    expect(store.put("new", b"x"), FaultKind::Unsupported)?;
    expect(store.delete("range/file"), FaultKind::Unsupported)?;
    expect(store.list("range"), FaultKind::Unsupported).map(drop)
}

pub fn no_such_place(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    let fault = expect(store.put("new", b"x"), FaultKind::NoSuchPlace)?;
    let error = repro::remote::error(&*store, "write", "new", &fault);
    check(error.hint.is_some(), || "there is no hint".to_owned())?;
    // A place that does not exist is not an empty one.
    expect(store.list("index"), FaultKind::NoSuchPlace).map(drop)
}

pub fn denied(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    for result in
        [store.put("new", b"x"), store.get("heads", None).map(drop), store.list("index").map(drop)]
    {
        let fault = expect(result, FaultKind::Denied)?;
        let error = repro::remote::error(&*store, "write", "new", &fault);
        let said = format!("{} {:?} {:?}", error.what, error.causes, error.hint);
        check(!said.contains("WRONGSECRET"), || format!("a secret is shown: {said}"))?;
        check(error.hint.is_some(), || "there is no hint".to_owned())?;
    }
    Ok(())
}

/// Calls a function for each item, on several threads.
pub fn at_once<T: Sync>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let run = || -> Result<(), String> {
        while let Some(item) = items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            work(item)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })
}

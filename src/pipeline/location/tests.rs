//! Tests of the places of URLs.

use proptest::prelude::*;

use super::*;

#[test]
fn places_of_urls() {
    for (text, place) in [
        ("/mnt/data", "/mnt/data"),
        ("../shared", "../shared"),
        ("./a:b", "./a:b"),
        ("file:///mnt/data", "/mnt/data"),
        ("file://localhost/mnt", "/mnt"),
        ("s3://bucket", "s3://bucket"),
        ("S3://bucket//a/./b/", "s3://bucket/a/b"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("gcs://bucket/a", "gs://bucket/a"),
        ("az://box/a", "az://box/a"),
        ("azblob://box/a", "az://box/a"),
        ("sftp://host/data", "sftp://host/data"),
        ("ssh://me@host:2222/data/x", "sftp://me@host:2222/data/x"),
        ("ssh://host/~/data", "sftp://host/~/data"),
        ("ssh://host", "sftp://host/"),
        ("ssh://[::1]:22/x", "sftp://[::1]:22/x"),
        ("webdav://host:8080/dav/x", "webdav://host:8080/dav/x"),
        ("webdavs://host", "webdavs://host"),
        ("https://host/a%20b", "https://host/a b"),
        ("http://127.0.0.1:80/", "http://127.0.0.1:80"),
        ("gdrive://a/b", "gdrive://a/b"),
    ] {
        assert_eq!(Location::parse(text).unwrap().to_string(), place, "{text}");
    }
}

#[test]
fn refused_urls() {
    for (text, what, hint) in [
        ("", "is empty", "s3://BUCKET"),
        ("s4://bucket", "unknown scheme `s4`", "did you mean `s3://`?"),
        ("ftp://host/x", "unknown scheme `ftp`", "did you mean `sftp://`?"),
        ("s3:bucket/x", "neither a folder nor a URL", "did you mean `s3://bucket/x`?"),
        ("s3:/bucket", "neither a folder nor a URL", "did you mean `s3://bucket`?"),
        ("me@host:data", "neither a folder nor a URL", "ssh://me@host/~/data"),
        ("host:/data", "neither a folder nor a URL", "ssh://host/data"),
        ("file://mnt/x", "names a host", "file:///mnt/x"),
        ("s3://", "no valid name of a bucket", "s3://BUCKET/PREFIX"),
        ("az:///x", "no valid name of a container", "az://CONTAINER/PREFIX"),
        ("s3://b/../c", "contains `..`", "without"),
        ("s3://b?endpoint=x", "has a query", "`endpoint`"),
        ("ssh://-oProxyCommand=x/y", "no valid host", "ssh://USER@HOST"),
        ("ssh://-l@host/y", "no valid host or user", "ssh://USER@HOST"),
        ("ssh://host:99999/y", "no valid port", "65535"),
        ("ssh://me:secret@host/y", "contains a password", "use a key"),
        ("https://me:secret@host/y", "contains a user", "REPRO_REMOTE_<NAME>_PASSWORD"),
        ("webdav://secret@host/y", "contains a user", "REPRO_REMOTE_<NAME>_USER"),
        ("s3://AK:secret@b/y", "contains a user", "environment"),
        ("https:///x", "no valid host", "https://HOST/FOLDER"),
        ("https://h/x?token=secret", "has a query", "keys beside `url`"),
    ] {
        let bad = Location::parse(text).unwrap_err();
        assert!(bad.what.contains(what), "{text}: {}", bad.what);
        assert!(bad.hint.contains(hint), "{text}: {}", bad.hint);
        assert!(!format!("{bad:?}").contains("secret"), "{text}: {bad:?}");
    }
}

proptest! {
    #[test]
    fn any_text(text in "(s3|ssh|https|webdav|file|gdrive|x)?(://|:)?[ -$&-~é@:/?#]{0,20}") {
        if let Ok(location) = Location::parse(&text) {
            // What is shown is a URL for the same place.
            let again = Location::parse(&location.to_string());
            if !matches!(location, Location::Folder(_)) {
                prop_assert_eq!(again.unwrap(), location);
            }
        }
    }
}

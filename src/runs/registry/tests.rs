//! Tests of the registry on a real store.

use std::time::Duration;

use super::*;
use crate::digest::Digest;
use crate::error::Kind;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Duration::from_secs(3)).unwrap();
    (dir, store)
}

fn new(source: &str) -> NewVersion {
    let content = Some(Content::File(Digest::of(source.as_bytes())));
    let path = Some("model.onnx".to_owned());
    NewVersion { source: source.to_owned(), content, path, ..NewVersion::default() }
}

fn found(store: &Store, text: &str) -> Result<u64> {
    store.find_version(&VersionName::parse(text)?).map(|version| version.version)
}

#[test]
fn names_of_versions() {
    let parsed = |text: &str| VersionName::parse(text).map(|name| (name.model, name.which)).ok();
    let genre = |which| Some(("genre".to_owned(), which));
    assert_eq!(parsed("genre"), genre(Which::Latest));
    assert_eq!(parsed("genre/latest"), genre(Which::Latest));
    assert_eq!(parsed("genre/3"), genre(Which::Number(3)));
    assert_eq!(parsed("genre@a-b"), genre(Which::Alias("a-b".into())));
    for text in ["", "@a", "/3", "genre/x", "genre/3@a", "genre/-1", "a:b"] {
        assert_eq!(parsed(text), None, "{text}");
    }
}

#[test]
fn numbers_are_given_once() {
    let (_dir, store) = store();
    assert!(store.register_model("genre", None, &BTreeMap::new()).unwrap());
    assert!(!store.register_model("genre", Some("other"), &BTreeMap::new()).unwrap());
    let numbers = [1, 2].map(|_| store.register_version("genre", &new("a")).unwrap());
    assert_eq!(numbers, [1, 2]);
    store.remove_version("genre", 2).unwrap();
    assert_eq!(store.register_version("genre", &new("b")).unwrap(), 3);
    assert!(store.import_version("genre", 7, &new("c")).unwrap());
    assert!(!store.import_version("genre", 7, &new("d")).unwrap());
    assert_eq!(store.register_version("genre", &new("e")).unwrap(), 8);
    let versions = store.model_versions("genre").unwrap();
    let numbers: Vec<u64> = versions.iter().map(|one| one.version).collect();
    assert_eq!(numbers, [8, 7, 3, 1]);
    assert_eq!(versions[1].content, new("c").content);
    assert_eq!(store.registered_contents().unwrap().len(), 4);
}

#[test]
fn aliases_move_and_go() {
    let (_dir, store) = store();
    store.register_model("genre", None, &BTreeMap::new()).unwrap();
    let error = found(&store, "genre").unwrap_err();
    assert_eq!(error.what, "model `genre` has no versions");
    store.register_version("genre", &new("a")).unwrap();
    store.register_version("genre", &new("b")).unwrap();
    store.set_alias("genre", "production", 1).unwrap();
    assert_eq!(found(&store, "genre@production").unwrap(), 1);
    store.set_alias("genre", "production", 2).unwrap();
    assert_eq!(found(&store, "genre@production").unwrap(), 2);
    assert_eq!(store.model_version("genre", 2).unwrap().unwrap().aliases, ["production"]);
    assert_eq!(store.model_version("genre", 1).unwrap().unwrap().aliases, [""; 0]);
    let error = found(&store, "genre@prodction").unwrap_err();
    assert_eq!(
        (error.kind, error.hint.as_deref()),
        (Kind::Missing, Some("did you mean `genre@production`?"),)
    );
    assert_eq!(found(&store, "gnre").unwrap_err().hint.unwrap(), "did you mean `genre`?");
    store.remove_version("genre", 2).unwrap();
    assert!(found(&store, "genre@production").is_err());
    store.remove_alias("genre", "production").unwrap();
    assert!(store.set_alias("genre", "latest", 1).is_err());
    assert_eq!(store.set_alias("genre", "x", 9).unwrap_err().kind, Kind::Missing);
}

#[test]
fn renamed_with_everything() {
    let (_dir, store) = store();
    let tags = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    store.register_model("genre", Some("text"), &tags).unwrap();
    store.register_model("other", None, &BTreeMap::new()).unwrap();
    store.register_version("genre", &NewVersion { tags: tags.clone(), ..new("a") }).unwrap();
    store.set_alias("genre", "best", 1).unwrap();
    assert!(!store.rename_model("genre", "other").unwrap());
    assert!(store.rename_model("genre", "genres").unwrap());
    let model = store.registered_model("genres").unwrap().unwrap();
    assert_eq!((model.tags.clone(), model.aliases["best"]), (tags.clone(), 1));
    let version = store.model_version("genres", 1).unwrap().unwrap();
    assert_eq!((version.tags, version.aliases), (tags, vec!["best".to_owned()]));
    assert_eq!(store.registered_model("genre").unwrap(), None);
    store.remove_model("genres").unwrap();
    assert_eq!(store.all_model_versions().unwrap(), []);
    assert_eq!(store.remove_model("genres").unwrap_err().kind, Kind::Missing);
}

#[test]
fn stages_of_older_clients() {
    let (_dir, store) = store();
    store.register_model("genre", None, &BTreeMap::new()).unwrap();
    for _ in 0..2 {
        store.register_version("genre", &new("a")).unwrap();
    }
    store.set_stage("genre", 1, "production", Archive::Nothing).unwrap();
    store.set_stage("genre", 2, "Production", Archive::Others).unwrap();
    let stages: Vec<String> =
        store.model_versions("genre").unwrap().into_iter().map(|one| one.stage).collect();
    assert_eq!(stages, ["Production", "Archived"]);
    assert_eq!(store.set_stage("genre", 1, "x", Archive::Nothing).unwrap_err().kind, Kind::Usage);
}

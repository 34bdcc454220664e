//! The schema of `pipeline.toml`, as an editor gets it.

use crate::sandbox::Sandbox;

#[test]
fn schema_outside_project() {
    let done = Sandbox::empty().ok(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

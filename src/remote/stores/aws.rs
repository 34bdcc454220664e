//! The region of a bucket: from the settings, the environment, the configuration of AWS's tools,
//! or the name of the endpoint.

use std::path::PathBuf;

use super::environment::Env;
use crate::pipeline::RemoteSpec;

/// Returns the region; `None` if nothing names one.
pub(super) fn region(spec: &RemoteSpec, endpoint: Option<&str>, env: Env<'_>) -> Option<String> {
    spec.region
        .clone()
        .or_else(|| endpoint.and_then(region_of_host))
        .or_else(|| env("AWS_REGION"))
        .or_else(|| env("AWS_DEFAULT_REGION"))
        .or_else(|| of_profile(spec, env))
        // Stores other than AWS accept any, or this one.
        .or_else(|| endpoint.map(|_| "us-east-1".to_owned()))
}

/// Returns REGION of `https://s3.REGION.example.com`, as most providers name their endpoints.
fn region_of_host(endpoint: &str) -> Option<String> {
    let host = endpoint.split_once("://")?.1;
    let region = host.strip_prefix("s3.")?.split('.').next()?;
    (region.contains('-') && region.ends_with(|c: char| c.is_ascii_digit()))
        .then(|| region.to_owned())
}

fn of_profile(spec: &RemoteSpec, env: Env<'_>) -> Option<String> {
    let file = env("AWS_CONFIG_FILE").map(PathBuf::from);
    let file = file.or_else(|| Some(PathBuf::from(env("HOME")?).join(".aws/config")))?;
    let text = std::fs::read_to_string(file).ok()?;
    let profile = spec.profile.clone().or_else(|| env("AWS_PROFILE"));
    value(&text, profile.as_deref().unwrap_or("default"), "region")
}

/// Returns the value of a key in the section of a profile.
fn value(text: &str, profile: &str, key: &str) -> Option<String> {
    let mut is_within = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let section = section.trim();
            is_within = section.strip_prefix("profile ").unwrap_or(section).trim() == profile;
        } else if is_within
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_hosts() {
        for (endpoint, region) in [
            ("https://s3.us-west-004.backblazeb2.com", Some("us-west-004")),
            ("https://s3.eu-central-1.wasabisys.com", Some("eu-central-1")),
            ("https://x.r2.cloudflarestorage.com", None),
            ("http://s3.local:9000", None),
            ("http://127.0.0.1:9000", None),
        ] {
            assert_eq!(region_of_host(endpoint).as_deref(), region, "{endpoint}");
        }
    }

    #[test]
    fn region_of_a_profile() {
        let text = "[default]\nregion=a-1\n[profile lab]\n output = json\n region = b-2 \n";
        for (profile, region) in [("default", Some("a-1")), ("lab", Some("b-2")), ("x", None)] {
            assert_eq!(value(text, profile, "region").as_deref(), region, "{profile}");
        }
    }
}

//! Remedies for faults, by their kind and the kind of store.

use super::backend::FaultKind;
use crate::pipeline::{Location, SshPlace, own_variable};

/// Returns the hint for a fault at a place; `None` if there is nothing to do but to wait.
pub(super) fn remedy(name: &str, location: &Location, kind: FaultKind) -> Option<String> {
    match kind {
        FaultKind::Denied => Some(credentials(name, location)),
        FaultKind::NoSuchPlace => Some(creation(location)),
        FaultKind::Full => Some(match location {
            Location::Folder(path) => format!("free space on the disk of `{path}`"),
            Location::Sftp(place) => format!("free space on `{}`", place.host),
            _ => "raise the quota, or delete what nobody needs with `repro gc --remote`".to_owned(),
        }),
        FaultKind::Unavailable => Some(match location {
            Location::Sftp(place) => format!("try `ssh {}`", address(place)),
            Location::Folder(path) => format!("is the file system of `{path}` mounted?"),
            _ => "check the address and the network; `HTTPS_PROXY` is used if it is set".to_owned(),
        }),
        FaultKind::Busy(_) => Some(format!(
            "try again later, or set `jobs` in `[remotes.{}]` to a smaller number",
            or_any(name)
        )),
        FaultKind::Unsupported => match location {
            Location::Http { .. } => Some(
                "a web server is a remote to pull from; push to the store behind it".to_owned(),
            ),
            _ => None,
        },
        FaultKind::Missing | FaultKind::Truncated | FaultKind::Other => None,
    }
}

/// Returns the name of a remote, or a placeholder for a place that no remote has.
fn or_any(name: &str) -> &str {
    if name.is_empty() { "NAME" } else { name }
}

fn credentials(name: &str, location: &Location) -> String {
    let own = |ending: &str| own_variable(name, ending);
    match location {
        Location::S3 { .. } => format!(
            "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or `AWS_PROFILE` or `profile` in \
             `[remotes.{}]`; they need the permissions to list, read, write and delete",
            or_any(name)
        ),
        Location::Gcs { .. } => {
            "run `gcloud auth application-default login`, or set `GOOGLE_APPLICATION_CREDENTIALS` \
             to the file of a key"
                .to_owned()
        }
        Location::Azure { .. } => {
            "run `az login`, or set `AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ACCOUNT_KEY` \
             or `AZURE_STORAGE_SAS_TOKEN`"
                .to_owned()
        }
        Location::Sftp(place) => format!(
            "`ssh {}` must work without a question; `ssh-copy-id` installs a key, and the user \
             must be able to write to `{}`",
            address(place),
            place.path
        ),
        Location::WebDav { .. } | Location::Http { .. } if name.is_empty() => {
            "write a line `machine HOST login NAME password SECRET` into `~/.netrc`".to_owned()
        }
        Location::WebDav { .. } | Location::Http { .. } => format!(
            "set `{}` and `{}`, or `{}`, in the environment",
            own("USER"),
            own("PASSWORD"),
            own("TOKEN")
        ),
        Location::Drive { .. } => format!(
            "set `{}`, `{}` and `{}` to those of your own OAuth client",
            own("CLIENT_ID"),
            own("CLIENT_SECRET"),
            own("REFRESH_TOKEN")
        ),
        Location::Folder(path) => format!("make `{path}` writable for yourself"),
    }
}

fn creation(location: &Location) -> String {
    match location {
        Location::S3 { bucket, .. } => format!(
            "`aws s3 mb s3://{bucket}` creates it (with `--endpoint-url` for a store other than \
             AWS)"
        ),
        Location::Gcs { bucket, .. } => {
            format!("`gcloud storage buckets create gs://{bucket}` creates it")
        }
        Location::Azure { container, .. } => {
            format!("`az storage container create --name {container}` creates it")
        }
        Location::Folder(path) => format!("`mkdir -p {path}` creates it, or mount its disk"),
        Location::Sftp(place) => {
            format!("`ssh {} mkdir -p {}` creates it", address(place), place.path)
        }
        Location::WebDav { .. } | Location::Http { .. } | Location::Drive { .. } => {
            "create the folder, or correct `url`".to_owned()
        }
    }
}

/// Returns the arguments of `ssh` for a place.
fn address(place: &SshPlace) -> String {
    let port = place.port.map_or(String::new(), |port| format!("-p {port} "));
    let user = place.user.as_ref().map_or(String::new(), |user| format!("{user}@"));
    format!("{port}{user}{}", place.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_name_what_to_type() {
        for (url, kind, part) in [
            ("s3://b", FaultKind::Denied, "AWS_SECRET_ACCESS_KEY"),
            ("s3://b", FaultKind::NoSuchPlace, "aws s3 mb s3://b"),
            ("gs://b", FaultKind::Denied, "GOOGLE_APPLICATION_CREDENTIALS"),
            ("gs://b", FaultKind::NoSuchPlace, "gcloud storage buckets create gs://b"),
            ("az://c", FaultKind::Denied, "AZURE_STORAGE_ACCOUNT_KEY"),
            ("az://c", FaultKind::NoSuchPlace, "az storage container create --name c"),
            ("ssh://me@h:2222/d", FaultKind::Denied, "`ssh -p 2222 me@h` must work"),
            ("ssh://h/d", FaultKind::Unavailable, "try `ssh h`"),
            ("webdav://h/d", FaultKind::Denied, "REPRO_REMOTE_MY_LAB_PASSWORD"),
            ("https://h/d", FaultKind::Unsupported, "to pull from"),
            ("gdrive://d", FaultKind::Denied, "REPRO_REMOTE_MY_LAB_REFRESH_TOKEN"),
            ("/mnt/d", FaultKind::Full, "/mnt/d"),
            ("s3://b", FaultKind::Busy(None), "`jobs`"),
            ("s3://b", FaultKind::Unavailable, "HTTPS_PROXY"),
        ] {
            let hint = remedy("my-lab", &Location::parse(url).unwrap(), kind).unwrap();
            assert!(hint.contains(part), "{url} {kind:?}: {hint}");
            let of_any = remedy("", &Location::parse(url).unwrap(), kind).unwrap();
            assert!(!of_any.contains("``") && !of_any.contains(".]"), "{url} {kind:?}: {of_any}");
        }
    }
}

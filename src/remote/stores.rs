//! Opens the store of a place: settings and the environment → a client. Secrets come from the
//! environment and the files of the providers' own tools, never from `pipeline.toml`.

mod aws;
mod environment;

use std::time::Duration;

use opendal::services::{Azblob, Gcs, Gdrive, Http, S3, Webdav};
use opendal::{HttpTransporter, OperationContext, Operator};

pub(super) use self::environment::Env;
use super::cloud::{Cloud, Listing};
use super::http::Transport;
use super::http_client::SILENCE;
use super::netrc;
use crate::error::{Error, Result};
use crate::pipeline::{Location, RemoteSpec, own_variable};

/// Returns the longest wait without progress.
pub(super) fn timeout(spec: &RemoteSpec) -> Duration {
    spec.timeout.unwrap_or(SILENCE)
}

/// The way to ask a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// With credentials.
    Signed,
    /// As everybody may, for what is public.
    Anonymous,
}

/// Returns the subject of messages about settings: a declared remote, or a URL without one.
fn called(spec: &RemoteSpec) -> String {
    match spec.name.as_str() {
        "" => format!("`{}`", spec.url),
        name => format!("remote `{name}`"),
    }
}

/// Returns the table of `pipeline.toml` that a setting belongs to.
fn table(spec: &RemoteSpec) -> String {
    match spec.name.as_str() {
        "" => format!("a table `[remotes.NAME]` with `url = \"{}\"`", spec.url),
        name => format!("`[remotes.{name}]`"),
    }
}

/// Opens a store behind opendal.
///
/// # Errors
/// A setting or a variable that the store needs is missing or wrong.
pub(super) fn open(
    spec: &RemoteSpec,
    location: &Location,
    access: Access,
    env: Env<'_>,
) -> Result<Cloud> {
    let mut server = None;
    let is_anonymous = access == Access::Anonymous;
    let (operator, parallelism, listing) = match location {
        Location::S3 { bucket, prefix } => {
            server = s3_endpoint(spec, env);
            let builder = s3(spec, bucket, prefix, server.as_deref(), env)?;
            let builder = if is_anonymous { builder.skip_signature() } else { builder };
            (Operator::new(builder), 16, Listing::Deep)
        }
        Location::Gcs { bucket, prefix } => {
            let mut builder = Gcs::default().bucket(bucket).root(prefix);
            server.clone_from(&spec.endpoint);
            if let Some(endpoint) = &server {
                builder = builder.endpoint(endpoint);
            }
            if is_anonymous {
                builder = builder.skip_signature();
            }
            (Operator::new(builder), 16, Listing::Deep)
        }
        Location::Azure { container, prefix } => {
            server = azure_endpoint(spec, env);
            let builder = azure(spec, container, prefix, server.as_deref(), env)?;
            let builder = if is_anonymous { builder.skip_signature() } else { builder };
            (Operator::new(builder), 16, Listing::Deep)
        }
        Location::WebDav { origin, path } => {
            (web_dav(spec, origin, path, env), 8, Listing::ByFolder)
        }
        Location::Http { origin, path } => (web(spec, origin, path, env), 8, Listing::None),
        Location::Drive { path } => (drive(spec, path, env)?, 4, Listing::ByFolder),
        Location::Folder(_) | Location::Sftp(_) => panic!("BUG: not a store of opendal"),
    };
    let failed = |what: String| Error::usage(format!("cannot use {}", called(spec))).because(what);
    let operator = operator.map_err(|err| failed(super::redact::redact(&err.to_string())))?;
    let transport = Transport::new(timeout(spec)).map_err(failed)?;
    let context = OperationContext::new().with_http_transport(HttpTransporter::new(transport));
    // The place is also the identity of what is known about the remote: two servers can have
    // buckets of one name.
    let host = server.as_deref().map(|server| server.rsplit("://").next().unwrap_or_default());
    let place = match host {
        Some(host) => format!("{location} ({})", host.trim_end_matches('/')),
        None => location.to_string(),
    };
    Ok(Cloud { operator: operator.with_context(context), place, parallelism, listing })
}

type Opened = opendal::Result<Operator>;

fn s3_endpoint(spec: &RemoteSpec, env: Env<'_>) -> Option<String> {
    let endpoint = spec.endpoint.clone().or_else(|| env("AWS_ENDPOINT_URL_S3"));
    endpoint.or_else(|| env("AWS_ENDPOINT_URL"))
}

fn s3(
    spec: &RemoteSpec,
    bucket: &str,
    prefix: &str,
    endpoint: Option<&str>,
    env: Env<'_>,
) -> Result<S3> {
    let region = aws::region(spec, endpoint, env).ok_or_else(|| {
        Error::usage(format!("{} has no region", called(spec))).hint(format!(
            "add `region = \"…\"` to {} in pipeline.toml, or set `AWS_REGION`; a store other than \
             AWS needs an `endpoint`",
            table(spec)
        ))
    })?;
    let mut builder = S3::default().bucket(bucket).root(prefix).region(&region);
    // A host name for each bucket exists at AWS only, and no certificate covers a dot in it.
    let by_path = spec.path_style.unwrap_or(endpoint.is_some() || bucket.contains('.'));
    if !by_path {
        builder = builder.enable_virtual_host_style();
    }
    if let Some(endpoint) = endpoint {
        builder = builder.endpoint(endpoint);
    }
    if let Some(profile) = &spec.profile {
        builder = builder.profile(profile);
    }
    Ok(builder)
}

fn azure_account(env: Env<'_>) -> Option<String> {
    env("AZURE_STORAGE_ACCOUNT_NAME").or_else(|| env("AZURE_STORAGE_ACCOUNT"))
}

/// Returns the URL of the server; `None` if only a connection string can name it.
fn azure_endpoint(spec: &RemoteSpec, env: Env<'_>) -> Option<String> {
    let of_account = |name: String| format!("https://{name}.blob.core.windows.net");
    let named = || {
        let text = env("AZURE_STORAGE_CONNECTION_STRING")?;
        let field = |key: &str| {
            text.split(';').find_map(|part| part.trim().strip_prefix(key)).map(str::to_owned)
        };
        field("BlobEndpoint=").or_else(|| field("AccountName=").map(of_account))
    };
    spec.endpoint.clone().or_else(named).or_else(|| azure_account(env).map(of_account))
}

fn azure(
    spec: &RemoteSpec,
    container: &str,
    prefix: &str,
    endpoint: Option<&str>,
    env: Env<'_>,
) -> Result<Azblob> {
    let connection = env("AZURE_STORAGE_CONNECTION_STRING").filter(|_| spec.endpoint.is_none());
    let mut builder = match (connection, endpoint) {
        (Some(text), _) => Azblob::from_connection_string(&text).map_err(|_| {
            Error::usage("`AZURE_STORAGE_CONNECTION_STRING` is not a connection string")
                .hint("`az storage account show-connection-string` prints it")
        })?,
        (None, Some(endpoint)) => Azblob::default().endpoint(endpoint),
        (None, None) => {
            return Err(Error::usage(format!("{} has no storage account", called(spec))).hint(
                format!(
                    "add `endpoint = \"https://ACCOUNT.blob.core.windows.net\"` to {} in \
                     pipeline.toml, or set `AZURE_STORAGE_ACCOUNT_NAME`",
                    table(spec)
                ),
            ));
        }
    };
    builder = builder.container(container).root(prefix);
    if let Some(account) = azure_account(env) {
        builder = builder.account_name(&account);
    }
    if let Some(key) = env("AZURE_STORAGE_ACCOUNT_KEY").or_else(|| env("AZURE_STORAGE_KEY")) {
        builder = builder.account_key(&key);
    }
    Ok(builder)
}

fn web_dav(spec: &RemoteSpec, origin: &str, path: &str, env: Env<'_>) -> Opened {
    let builder = Webdav::default().endpoint(origin).root(path);
    if let Some(token) = env(&own_variable(&spec.name, "TOKEN")) {
        return Operator::new(builder.token(&token));
    }
    let (user, password) = login(spec, origin, env);
    Operator::new(builder.username(&user).password(&password))
}

/// Returns the user and the password for a web server: of the remote's own variables, or of the
/// line of the host in `~/.netrc`; empty without them.
fn login(spec: &RemoteSpec, origin: &str, env: Env<'_>) -> (String, String) {
    let own = |ending: &str| env(&own_variable(&spec.name, ending));
    let of_netrc = || netrc::credentials(netrc::host(origin));
    let named = own("USER").zip(own("PASSWORD")).or_else(of_netrc);
    named.unwrap_or_else(|| (own("USER").unwrap_or_default(), String::new()))
}

fn web(spec: &RemoteSpec, origin: &str, path: &str, env: Env<'_>) -> Opened {
    let builder = Http::default().endpoint(origin).root(path);
    if let Some(token) = env(&own_variable(&spec.name, "TOKEN")) {
        return Operator::new(builder.token(&token));
    }
    let (user, password) = login(spec, origin, env);
    Operator::new(builder.username(&user).password(&password))
}

fn drive(spec: &RemoteSpec, path: &str, env: Env<'_>) -> Result<Opened> {
    let own = |ending: &str| env(&own_variable(&spec.name, ending));
    let builder = Gdrive::default().root(path);
    if let Some(token) = own("TOKEN") {
        return Ok(Operator::new(builder.access_token(&token)));
    }
    match (own("CLIENT_ID"), own("CLIENT_SECRET"), own("REFRESH_TOKEN")) {
        (Some(id), Some(secret), Some(refresh)) => {
            Ok(Operator::new(builder.client_id(&id).client_secret(&secret).refresh_token(&refresh)))
        }
        _ => {
            let names = ["CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN"]
                .map(|ending| format!("`{}`", own_variable(&spec.name, ending)));
            Err(Error::usage(format!("remote `{}` has no credentials", spec.name)).hint(format!(
                "set {}, {} and {} to those of an OAuth client of your own, which the \
                 documentation of providers says how to make",
                names[0], names[1], names[2]
            )))
        }
    }
}

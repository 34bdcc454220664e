//! Credentials for hosts, from the file that `NETRC` names or `~/.netrc`, as curl reads it.

use std::path::PathBuf;

/// Returns the login and the password for a host.
pub(super) fn credentials(host: &str) -> Option<(String, String)> {
    let named = std::env::var_os("NETRC").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".netrc"));
    let text = crate::regular_file::read_following(&named.or_else(home)?).ok()?;
    find(&String::from_utf8_lossy(&text), host)
}

/// Returns the host of `https://HOST:PORT`.
pub(super) fn host(origin: &str) -> &str {
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

fn find(text: &str, host: &str) -> Option<(String, String)> {
    let mut words = text
        .lines()
        .map(|line| if line.trim_start().starts_with('#') { "" } else { line })
        .flat_map(str::split_whitespace);
    let (mut is_host, mut login, mut password) = (false, None, None);
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" => {
                if is_host && password.is_some() {
                    break;
                }
                is_host = word == "default" || words.next() == Some(host);
                (login, password) = (None, None);
            }
            "login" if is_host => login = words.next(),
            "password" if is_host => password = words.next(),
            _ => {}
        }
    }
    let password = password.filter(|_| is_host)?;
    Some((login.unwrap_or_default().to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let text = "# machine c login x password y\nmachine a login me password s3cret\n\
                    machine b\n  login you\n  password other\n";
        let pair = |login: &str, password: &str| Some((login.to_owned(), password.to_owned()));
        assert_eq!(find(text, "a"), pair("me", "s3cret"));
        assert_eq!(find(text, "b"), pair("you", "other"));
        assert_eq!(find(text, "c"), None);
        assert_eq!(find("default login x password y", "c"), pair("x", "y"));
    }
}

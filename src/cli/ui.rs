//! `repro ui`: the dashboard, and the server for MLflow's clients.

use std::io::{ErrorKind, IsTerminal as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use clap::Args;

use super::browser::open_in_browser;
use crate::error::{Error, Result, exit};
use crate::exec::signals;
use crate::serve::{Options, Server, Token};
use crate::terminal::{self, stdout};

/// First port that is tried without `--port`.
const PORT: u16 = 7878;
/// Number of ports that are tried before the system chooses one.
const TRIED: u16 = 20;

/// Serve the dashboard of this project, and MLflow's tracking API, until Ctrl-C
///
/// The first line on stdout is the URL of the dashboard. Scripts that log to MLflow log here with
/// the same URL in `MLFLOW_TRACKING_URI`. The server can be reached only from this machine, unless
/// `--host` says otherwise.
#[derive(Debug, Args)]
pub(super) struct UiArgs {
    /// Port to listen on; 0 for any free one [default: 7878, or the next free one]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// IP address to listen on, such as 0.0.0.0 for all of this machine [default: 127.0.0.1]
    #[arg(long, value_name = "ADDR", requires = "token_file")]
    host: Option<IpAddr>,
    /// File with a secret that every request must know
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Do not open the dashboard in the browser
    #[arg(long)]
    no_open: bool,
}

impl UiArgs {
    /// Runs the command. Relative paths start at `here`.
    ///
    /// # Errors
    /// The port is taken, the token cannot be read, or the server cannot start.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let token = self.token_file.map(|file| Token::read(&here.join(file))).transpose()?;
        let host = self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let listener = listen(host, self.port)?;
        let (end, ended) = mpsc::channel();
        let at_signal = end.clone();
        let _signals = signals::watch(move || match at_signal.send(End::Signal) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })?;
        let is_secret = token.is_some();
        let options = Options { root: root.to_owned(), listener, token };
        let at_end = move || drop(end.send(End::Server));
        let server = Server::start_and_tell(options, at_end)?;
        let url = url(server.address());
        stdout::say!("{url}");
        if !self.no_open && std::io::stdout().is_terminal() {
            open_in_browser(url.as_ref()).unwrap_or_else(|error| terminal::warn_of(&error));
        }
        if is_secret {
            terminal::note("the page asks for the token; MLflow: `MLFLOW_TRACKING_TOKEN`");
        }
        let code = wait(&ended);
        drop(server);
        code
    }
}

/// The reason that the server ends.
#[derive(Debug)]
enum End {
    Signal,
    /// The server ended by itself.
    Server,
}

/// Waits for the end, and returns the exit code.
fn wait(ended: &mpsc::Receiver<End>) -> Result<u8> {
    match ended.recv() {
        // The senders are dropped only if both threads have ended.
        Ok(End::Signal) | Err(_) => Ok(exit::OK),
        Ok(End::Server) => Err(Error::environment("the server has ended by itself")
            .hint("start it again; what it has answered is stored")),
    }
}

/// Listens on the port that the user named, or else on the first free one.
fn listen(host: IpAddr, port: Option<u16>) -> Result<TcpListener> {
    if let Some(port) = port {
        return bind(host, port).map_err(|err| refused(host, port, &err));
    }
    for port in PORT..PORT + TRIED {
        match bind(host, port) {
            Err(err) if err.kind() == ErrorKind::AddrInUse => {}
            Err(err) => return Err(refused(host, port, &err)),
            Ok(listener) => return Ok(listener),
        }
    }
    bind(host, 0).map_err(|err| refused(host, 0, &err))
}

fn bind(host: IpAddr, port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(host, port))
}

fn refused(host: IpAddr, port: u16, err: &std::io::Error) -> Error {
    let hint = match err.kind() {
        ErrorKind::AddrInUse => "choose another port, or leave out `--port` for the next free one",
        ErrorKind::AddrNotAvailable => "`--host` takes an address of this machine",
        ErrorKind::PermissionDenied => "ports below 1024 belong to the system: choose a higher one",
        _ => "choose another address or port",
    };
    let address = SocketAddr::new(host, port);
    Error::environment(format!("cannot listen on {address}")).because(err).hint(hint)
}

/// Returns the URL by which a browser on this machine reaches an address.
fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}/", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_server_is_an_error() {
        for (end, expected) in [
            (End::Signal, Ok(exit::OK)),
            (End::Server, Err("the server has ended by itself".to_owned())),
        ] {
            let (tell, ended) = mpsc::channel();
            tell.send(end).unwrap();
            assert_eq!(wait(&ended).map_err(|error| error.what), expected);
        }
    }
}

//! Real servers on loopback ports, in temporary folders.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::setting::{Setting, Suite};
use crate::{operations, project};

pub struct Server {
    pub settings: Vec<Setting>,
    _processes: Vec<Process>,
    _folder: TempDir,
}

type Start = fn() -> Result<Server, String>;

pub const ALL: &[(&str, Start)] = &[
    ("folder", folder),
    ("s3s-fs", s3s_fs),
    ("moto", moto),
    ("azurite", azurite),
    ("sshd", sshd),
    ("rclone webdav", web_dav),
    ("nginx", nginx),
    ("nginx https", nginx_tls),
    ("faults", faults),
];

/// A process that ends with this value.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    fn new(folder: TempDir, processes: Vec<Process>, mut settings: Vec<Setting>) -> Server {
        let home = folder.path().join("home");
        fs::create_dir_all(&home).unwrap();
        for setting in &mut settings {
            setting.home.clone_from(&home);
        }
        Server { settings, _processes: processes, _folder: folder }
    }
}

fn folder() -> Result<Server, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let setting = Setting::new(Suite::Writable, path.to_str().unwrap());
    let missing = Setting::new(Suite::NoSuchPlace, dir.path().join("a/b").to_str().unwrap());
    Ok(Server::new(dir, Vec::new(), vec![setting, missing]))
}

/// Finds a program by a variable, on `PATH` or in the folders of administrators.
fn program(variable: &str, name: &str) -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        return path.exists().then_some(path).ok_or(format!("`{variable}` names no file"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or(format!("`{name}` is not installed (`{variable}` can name it)"))
}

/// Starts a server on a port that the kernel chose, and waits until it listens.
fn start(command: impl Fn(u16) -> Command) -> Result<(Process, u16), String> {
    let mut last = String::new();
    // Another process may take the port in between.
    for _ in 0..3 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = command(port);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|err| format!("{command:?}: {err}"))?;
        let stderr = child.stderr.take().unwrap();
        let words = std::thread::spawn(move || {
            let mut text = String::new();
            let mut stderr = stderr;
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut process = Process(child);
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline && process.0.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok((process, port));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(process);
        last = words.join().unwrap();
    }
    Err(format!("the server does not start: {last}"))
}

const KEY: &str = "TESTKEY";
const SECRET: &str = "TESTSECRET0123456789";

fn s3_settings(port: u16) -> Setting {
    Setting::new(Suite::Writable, "s3://bucket/some/prefix")
        .endpoint(&format!("http://127.0.0.1:{port}"))
        .variables(&[("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)])
}

fn start_s3s(dir: &Path) -> Result<(Process, u16), String> {
    let program = program("REPRO_S3S_FS", "s3s-fs")?;
    let data = dir.join("data");
    fs::create_dir_all(data.join("bucket")).unwrap();
    start(|port| {
        let mut command = Command::new(&program);
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--access-key", KEY, "--secret-key", SECRET]).arg(&data);
        command
    })
}

fn s3s_fs() -> Result<Server, String> {
    let dir = tempfile::tempdir().unwrap();
    let (process, port) = start_s3s(dir.path())?;
    // It creates a bucket that does not exist, so the place is not tested here.
    let writable = s3_settings(port);
    let wrong = writable
        .suite(Suite::Denied)
        .variables(&[("AWS_SECRET_ACCESS_KEY", "WRONGSECRET0123456789")]);
    let none = writable
        .suite(Suite::NoCredentials)
        .variables(&[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]);
    Ok(Server::new(dir, vec![process], vec![writable, wrong, none]))
}

fn faults() -> Result<Server, String> {
    let dir = tempfile::tempdir().unwrap();
    let (process, port) = start_s3s(dir.path())?;
    let mut setting = s3_settings(port).suite(Suite::Faults);
    setting.spec.timeout = Some(Duration::from_secs(1));
    Ok(Server::new(dir, vec![process], vec![setting]))
}

fn moto() -> Result<Server, String> {
    let program = program("REPRO_MOTO", "moto_server")?;
    let dir = tempfile::tempdir().unwrap();
    let (process, port) = start(|port| {
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command
    })?;
    let status = request(port, "PUT /bucket HTTP/1.1\r\nContent-Length: 0\r\n");
    assert!(status.starts_with("HTTP/1.1 200"), "{status}");
    let writable = s3_settings(port);
    let mut missing = writable.suite(Suite::NoSuchPlace);
    missing.spec.url = "s3://no-such-bucket/x".to_owned();
    let observed = writable.suite(Suite::Observed);
    Ok(Server::new(dir, vec![process], vec![writable, missing, observed]))
}

/// Sends a request without a body and returns the answer.
fn request(port: u16, head: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!("{head}Host: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// The account and the key that Azurite's documentation publishes.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Creates a container with the standard library of Python, as no client here creates one.
const CONTAINER: &str = r#"
import base64, datetime, hashlib, hmac, sys, urllib.request
port, account, key = sys.argv[1:]
date = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
headers = f"x-ms-date:{date}\nx-ms-version:2021-08-06"
resource = f"/{account}/{account}/box\nrestype:container"
text = "PUT" + "\n" * 12 + headers + "\n" + resource
sign = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
request = urllib.request.Request(
    f"http://127.0.0.1:{port}/{account}/box?restype=container", method="PUT",
    headers={"x-ms-date": date, "x-ms-version": "2021-08-06",
             "Authorization": f"SharedKey {account}:{base64.b64encode(sign).decode()}"})
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
"#;

fn azurite() -> Result<Server, String> {
    let program = program("REPRO_AZURITE", "azurite-blob")?;
    let dir = tempfile::tempdir().unwrap();
    let (process, port) = start(|port| {
        let mut command = Command::new(&program);
        command.args(["--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort"]);
        command.args([&port.to_string(), "--skipApiVersionCheck", "--loose", "--silent"]);
        command.current_dir(dir.path());
        command
    })?;
    let mut python = Command::new("python3");
    python.args(["-c", CONTAINER, &port.to_string(), ACCOUNT, ACCOUNT_KEY]);
    let made = python.output().map_err(|err| format!("`python3` is not installed: {err}"))?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let writable = Setting::new(Suite::Writable, "az://box/some/prefix")
        .endpoint(&format!("http://127.0.0.1:{port}/{ACCOUNT}"))
        .variables(&[
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", ACCOUNT_KEY),
        ]);
    let mut missing = writable.suite(Suite::NoSuchPlace);
    missing.spec.url = "az://no-such-container".to_owned();
    let wrong = writable
        .suite(Suite::Denied)
        .variables(&[("AZURE_STORAGE_ACCOUNT_KEY", "V1JPTkdTRUNSRVQwMTIzNDU2Nzg5")]);
    let none = writable
        .suite(Suite::NoCredentials)
        .variables(&[("AZURE_STORAGE_ACCOUNT_NAME", ""), ("AZURE_STORAGE_ACCOUNT_KEY", "")]);
    Ok(Server::new(dir, vec![process], vec![writable, missing, wrong, none]))
}

fn sshd() -> Result<Server, String> {
    let (server, client) = (program("REPRO_SSHD", "sshd")?, program("REPRO_SSH", "ssh")?);
    let keygen = program("REPRO_SSH_KEYGEN", "ssh-keygen")?;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for key in ["host", "user", "other"] {
        let made = Command::new(&keygen)
            .args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)])
            .stdin(Stdio::null())
            .status();
        assert!(made.unwrap().success());
    }
    fs::copy(at("user.pub"), at("authorized")).unwrap();
    if rustix::process::getuid().is_root() {
        // The folder in which the unprivileged half of sshd runs.
        fs::create_dir_all("/run/sshd").unwrap();
    }
    fs::create_dir(at("small")).unwrap();
    let mounts = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    let has_mounts = mounts.is_ok_and(|status| status.success());
    let config = |port: u16| {
        format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\n\
             PermitRootLogin yes\nSubsystem sftp internal-sftp\n",
            at("host"),
            at("authorized")
        )
    };
    let (process, port) = start(|port| {
        fs::write(at("sshd_config"), config(port)).unwrap();
        let mut command =
            Command::new(if has_mounts { Path::new("unshare") } else { server.as_path() });
        if has_mounts {
            // A disk that is soon full, which only the server sees.
            let script = "mount -t tmpfs -o size=300k none \"$0\" && exec \"$@\"";
            command.args(["-m", "sh", "-c", script, &at("small")]).arg(&server);
        }
        command.args(["-D", "-e", "-f", &at("sshd_config")]);
        command
    })?;
    let host = fs::read_to_string(at("host.pub")).unwrap();
    fs::write(at("known"), format!("[127.0.0.1]:{port} {host}")).unwrap();
    fs::write(at("unknown"), "").unwrap();
    // `ssh` reads the configuration in the home folder of the user's record, not in `HOME`.
    let shim = |name: &str, key: &str, known: &str| {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        let config = folder.join("config");
        let (key, known) = (at(key), at(known));
        let text = format!(
            "Host *\n IdentityFile {key}\n IdentitiesOnly yes\n UserKnownHostsFile {known}\n \
             GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking yes\n"
        );
        fs::write(&config, text).unwrap();
        let script =
            format!("#!/bin/sh\nexec '{}' -F '{}' \"$@\"\n", client.display(), config.display());
        fs::write(folder.join("ssh"), script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.join("ssh"), mode).unwrap();
        format!("{}:/usr/bin:/bin", folder.display())
    };
    let path = shim("good", "user", "known");
    let writable = Setting::new(Suite::Writable, &format!("ssh://127.0.0.1:{port}{}", at("store")))
        .variables(&[("PATH", &path)]);
    let mut missing = writable.suite(Suite::NoSuchPlace);
    missing.spec.url = format!("sftp://127.0.0.1:{port}{}", at("no/such"));
    let wrong =
        writable.suite(Suite::Denied).variables(&[("PATH", &shim("wrong", "other", "known"))]);
    let strange = writable
        .suite(Suite::NoCredentials)
        .variables(&[("PATH", &shim("strange", "user", "unknown"))]);
    let mut special = writable.suite(Suite::Ssh);
    if has_mounts {
        special = special.variables(&[("REPRO_TEST_SMALL", &at("small"))]);
    }
    Ok(Server::new(dir, vec![process], vec![writable, missing, wrong, strange, special]))
}

fn web_dav() -> Result<Server, String> {
    let program = program("REPRO_RCLONE", "rclone")?;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let (process, port) = start(|port| {
        let mut command = Command::new(&program);
        command.args(["serve", "webdav", "--addr", &format!("127.0.0.1:{port}")]);
        command.args(["--user", "me", "--pass", "TESTPASSWORD", "--config", "/dev/null"]);
        command.arg(&data);
        command
    })?;
    let writable =
        Setting::new(Suite::InPlace, &format!("webdav://127.0.0.1:{port}/some/prefix")).variables(
            &[("REPRO_REMOTE_LAB_USER", "me"), ("REPRO_REMOTE_LAB_PASSWORD", "TESTPASSWORD")],
        );
    let wrong =
        writable.suite(Suite::Denied).variables(&[("REPRO_REMOTE_LAB_PASSWORD", "WRONGSECRET")]);
    let none = writable
        .suite(Suite::NoCredentials)
        .variables(&[("REPRO_REMOTE_LAB_USER", ""), ("REPRO_REMOTE_LAB_PASSWORD", "")]);
    Ok(Server::new(dir, vec![process], vec![writable, wrong, none]))
}

fn nginx() -> Result<Server, String> {
    let (dir, process, port) = start_nginx("")?;
    let url = format!("http://127.0.0.1:{port}/files");
    Ok(Server::new(dir, vec![process], vec![Setting::new(Suite::ReadOnly, &url)]))
}

/// The same behind TLS, with a certificate that only this test trusts.
fn nginx_tls() -> Result<Server, String> {
    program("REPRO_OPENSSL", "openssl")?;
    let (dir, process, port) = start_nginx("ssl")?;
    let certificate = dir.path().join("certificate.pem");
    let url = format!("https://localhost:{port}/files");
    let setting = Setting::new(Suite::ReadOnly, &url)
        .variables(&[("SSL_CERT_FILE", certificate.to_str().unwrap())]);
    Ok(Server::new(dir, vec![process], vec![setting]))
}

fn start_nginx(ssl: &str) -> Result<(TempDir, Process, u16), String> {
    let program = program("REPRO_NGINX", "nginx")?;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap().to_owned();
    let store = Setting::new(Suite::ReadOnly, &format!("{root}/data/files")).open_at(dir.path());
    fs::create_dir(dir.path().join("data")).unwrap();
    operations::prepare(&*store);
    let pushed = Setting::new(Suite::ReadOnly, &format!("{root}/data/pushed"));
    project::push(&dir.path().join("project"), &pushed.spec)?;
    let tls = match ssl {
        "" => String::new(),
        _ => {
            certificate(dir.path());
            format!("ssl_certificate {root}/certificate.pem; ssl_certificate_key {root}/key.pem;")
        }
    };
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let config = |port: u16| {
        format!(
            "{user} daemon off; master_process off; pid {root}/pid; error_log stderr;\n\
             events {{}}\n\
             http {{ access_log off; client_body_temp_path {root}/1; proxy_temp_path {root}/2;\n\
             fastcgi_temp_path {root}/3; uwsgi_temp_path {root}/4; scgi_temp_path {root}/5;\n\
             server {{ listen 127.0.0.1:{port} {ssl}; root {root}/data; {tls} }} }}\n"
        )
    };
    let (process, port) = start(|port| {
        fs::write(dir.path().join("nginx.conf"), config(port)).unwrap();
        let mut command = Command::new(&program);
        command.arg("-c").arg(dir.path().join("nginx.conf")).arg("-p").arg(dir.path());
        command
    })?;
    Ok((dir, process, port))
}

fn certificate(dir: &Path) {
    let made = Command::new("openssl")
        .current_dir(dir)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

//! Serves until a signal: starts the mock, says where it is, and ends it.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use acr_mock::{AcrMock, Ready, Registry, StartError};
use tempfile::{NamedTempFile, TempPath};
use tokio::sync::oneshot;

use crate::Failure;
use crate::cli::{self, Settings};
use crate::log::{Level, Log};
use crate::signals::{Signal, Signals};

pub(crate) async fn serve(settings: &Settings, log: &Log) -> Result<(), Failure> {
    // First of all, so that a signal during the start leaves no file behind.
    let end = End::watch(settings.args.exit_on_stdin_close)?;
    if let Some(file) = &settings.args.ready_file {
        // Whoever waits for it must not find that of an earlier run.
        remove_stale(file)?;
    }
    let mock = start(settings, log)?;
    let ca = match mock.ca_pem() {
        Some(pem) => CaFile::write(pem, settings.args.ca_out.as_deref(), log)?,
        None => {
            if settings.args.ca_out.is_some() {
                log.write(
                    Level::Warn,
                    &"no CA file is written: plain http has no certificate",
                );
            }
            None
        }
    };
    announce(settings, &mock, ca.as_ref())?;
    log.write(Level::Info, &format_args!("ready at {}", mock.endpoint()));

    let reason = end.wait().await;
    log.write(Level::Info, &format_args!("ends: {reason}"));
    mock.try_shutdown().map_err(|_| Failure {
        text: "the server panicked; the message is above".to_owned(),
        exit: ExitCode::FAILURE,
    })
}

pub(crate) fn start(settings: &Settings, log: &Log) -> Result<AcrMock, Failure> {
    let mut registry = Registry::builder()
        .profile(settings.args.profile)
        .anonymous_pull(settings.args.anonymous_pull);
    if let Some(bytes) = settings.args.max_bytes {
        registry = registry.max_bytes(bytes);
    }
    for user in &settings.users {
        registry = registry.user(&user.name, &user.password);
    }
    for entra in &settings.entra_tokens {
        registry = registry.entra_token(&entra.token, entra.permissions.clone());
    }
    if settings.args.accept_any_entra_token {
        registry = registry.accept_any_entra_token();
    } else if settings.args.refuse_entra_tokens {
        registry = registry.refuse_entra_tokens();
    }
    let log = log.clone();
    let mut builder = AcrMock::builder()
        .registry(registry.build())
        .plain_http(settings.args.plain_http)
        .listen(settings.args.listen)
        .local(settings.args.control.0)
        .authority(settings.args.authority.0)
        .head_timeout(settings.args.head_timeout)
        .body_timeout(settings.args.body_timeout)
        .idle_timeout(settings.args.idle_timeout)
        .workers(settings.args.workers)
        .on_event(move |event| log.event(event));
    for host in &settings.hosts {
        builder = builder.host(host);
    }
    if let Some(name) = &settings.registry {
        builder = builder.registry_name(name.clone());
    }
    builder.start().map_err(|error| match error {
        StartError::InvalidHost { .. } => Failure {
            text: format!("--host: {error}"),
            exit: ExitCode::from(cli::USAGE),
        },
        error => Failure::of(&format!("cannot start{}", flag(settings, &error)), &error),
    })
}

/// The option whose address cannot be listened at, where it named one.
fn flag(settings: &Settings, error: &StartError) -> &'static str {
    let (StartError::AddressInUse { address }
    | StartError::Listen { address, .. }
    | StartError::NotLocal { address }
    | StartError::OpenAuthority { address }) = error
    else {
        return "";
    };
    let args = &settings.args;
    match Some(*address) {
        named if named == Some(args.listen) => " (--listen)",
        named if named == args.control.0 => " (--control)",
        named if named == args.authority.0 => " (--authority)",
        _ => "",
    }
}

/// Says where the server is: in the ready file first, so that who has read the line finds the file too.
fn announce(settings: &Settings, mock: &AcrMock, ca: Option<&CaFile>) -> Result<(), Failure> {
    let ready = ready(settings, mock, ca);
    let line = line(&ready)?;
    if let Some(file) = &settings.args.ready_file {
        write_ready(file, &ready)?;
    }
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(line.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(|error| Failure::of("cannot write the ready line to stdout", &error))
}

/// Writes the ready file, readable by this user alone: it holds the password.
pub(crate) fn write_ready(file: &Path, ready: &Ready) -> Result<(), Failure> {
    write_by_rename(file, &line(ready)?, false)
}

fn line(ready: &Ready) -> Result<String, Failure> {
    let line = serde_json::to_string(ready);
    let line = line.map_err(|error| Failure::of("cannot write the ready line", &error))?;
    Ok(line + "\n")
}

/// What the ready line says.
pub(crate) fn ready(settings: &Settings, mock: &AcrMock, ca: Option<&CaFile>) -> Ready {
    let mut ready = mock.ready();
    ready.ca = ca.map(|ca| ca.path().to_owned());
    if let Some(user) = settings.users.first() {
        (ready.username, ready.password) = (user.name.clone(), user.password.clone());
    }
    ready
}

/// The file with the CA's certificate.
pub(crate) enum CaFile {
    /// Removed when dropped.
    Temporary(TempPath),
    Kept(PathBuf),
}

impl CaFile {
    /// Writes it, unless nobody has said where and there is no folder for temporary files, as in an image that has
    /// nothing but this program: the ready line has the certificate itself too.
    pub(crate) fn write(pem: &str, out: Option<&Path>, log: &Log) -> Result<Option<Self>, Failure> {
        if let Some(out) = out {
            write_by_rename(out, pem, true)?;
            return Ok(Some(Self::Kept(out.to_owned())));
        }
        match temporary(&std::env::temp_dir(), ".pem", pem, true) {
            Ok(file) => Ok(Some(Self::Temporary(file.into_temp_path()))),
            Err(error) => {
                let folder = std::env::temp_dir();
                let folder = folder.display();
                log.write(
                    Level::Warn,
                    &format_args!("no CA file is written, for {folder} takes none: {error}"),
                );
                Ok(None)
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Temporary(path) => path,
            Self::Kept(path) => path,
        }
    }
}

/// Writes a file that is there either whole or not at all.
pub(crate) fn write_by_rename(path: &Path, text: &str, public: bool) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let written = temporary(folder, ".tmp", text, public)
        .and_then(|file| file.persist(path).map_err(|error| error.error));
    written
        .map(drop)
        .map_err(|error| Failure::of(&format!("cannot write {}", path.display()), &error))
}

fn temporary(folder: &Path, suffix: &str, text: &str, public: bool) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("acr-mock-").suffix(suffix);
    #[cfg(unix)]
    if public {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o644));
    }
    #[cfg(not(unix))]
    let _ = public;
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.flush()?;
    Ok(file)
}

pub(crate) fn remove_stale(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::of(
            &format!("cannot replace {}", path.display()),
            &error,
        )),
        _ => Ok(()),
    }
}

/// What ends the program.
struct End {
    signals: Signals,
    stdin: Option<oneshot::Receiver<()>>,
}

impl End {
    fn watch(stdin: bool) -> Result<Self, Failure> {
        let stdin = if stdin { Some(watch_stdin()?) } else { None };
        let signals = Signals::watch()?;
        Ok(Self { signals, stdin })
    }

    async fn wait(mut self) -> &'static str {
        let stdin = async {
            match self.stdin {
                Some(closed) => drop(closed.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            signal = self.signals.next() => match signal {
                Signal::Interrupt => "SIGINT",
                _ => "SIGTERM",
            },
            () = stdin => "stdin was closed",
        }
    }
}

/// Reads stdin to its end on a thread of its own, which the end of the program does not wait for.
fn watch_stdin() -> Result<oneshot::Receiver<()>, Failure> {
    let (closed, receiver) = oneshot::channel::<()>();
    let read = move || {
        let mut buffer = [0_u8; 4096];
        let mut stdin = io::stdin().lock();
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        drop(closed);
    };
    let thread = std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(read);
    thread.map_err(|error| Failure::of("cannot watch stdin", &error))?;
    Ok(receiver)
}

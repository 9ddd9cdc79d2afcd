//! Starts the binary, reads what it says, and talks to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A running binary; killed if the test ends before it does.
pub(crate) struct Mock {
    pub(crate) child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
}

/// How it ended, and what it said after what was read already.
pub(crate) struct End {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Mock {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments).stdin(Stdio::piped()))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, stdout }
    }

    /// The next line of stdout, which is awaited.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("stdout is text");
        line
    }

    pub(crate) fn ready(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| {
            let _ = self.child.kill();
            let mut stderr = String::new();
            let mut pipe = self.child.stderr.take().expect("stderr is piped");
            let _ = pipe.read_to_string(&mut stderr);
            panic!("no ready line ({error}): {line:?}, stderr: {stderr}")
        })
    }

    pub(crate) fn terminate(mut self, signal: &str) -> End {
        self.send(signal);
        self.end()
    }

    /// The same, but nobody reads what it says.
    pub(crate) fn terminate_unread(mut self, signal: &str) -> ExitStatus {
        self.send(signal);
        self.child.wait().expect("it ends")
    }

    pub(crate) fn send(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("`kill` runs").success());
    }

    pub(crate) fn wait(mut self) -> End {
        self.end()
    }

    fn end(&mut self) -> End {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout
            .read_to_string(&mut stdout)
            .expect("stdout is text");
        self.child
            .stderr
            .take()
            .expect("stderr is piped")
            .read_to_string(&mut stderr)
            .expect("stderr is text");
        End {
            status: self.child.wait().expect("it ends"),
            stdout,
            stderr,
        }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary with these arguments, and with no settings from the environment of the test.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_acr-mock"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ACR_MOCK_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end: for starts that fail.
pub(crate) fn run(arguments: &[&str]) -> End {
    finish(&mut command(arguments))
}

pub(crate) fn finish(command: &mut Command) -> End {
    let output = command.stdin(Stdio::null()).output();
    let output = output.expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    End {
        status: output.status,
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

pub(crate) fn text<'a>(ready: &'a Value, member: &str) -> &'a str {
    ready[member]
        .as_str()
        .unwrap_or_else(|| panic!("`{member}` is text: {ready}"))
}

pub(crate) fn get(server: &str, path: &str) -> (u16, String) {
    get_with(server, path, "")
}

/// Status and body of a GET over plain http.
pub(crate) fn get_with(server: &str, path: &str, headers: &str) -> (u16, String) {
    send(
        server,
        &format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n{headers}Connection: close\r\n\r\n"),
    )
}

/// The status to an exchange of this Entra token.
pub(crate) fn exchange(server: &str, token: &str) -> u16 {
    let form = format!("grant_type=access_token&service={server}&access_token={token}");
    let request = format!(
        "POST /oauth2/exchange HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
        form.len()
    );
    send(server, &request).0
}

/// Status and body of what is served to these bytes.
pub(crate) fn send(server: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server).expect("the mock listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    stream
        .write_all(request.as_bytes())
        .expect("the mock takes it");
    let mut response = String::new();
    stream
        .read_to_string(&mut response)
        .expect("the mock responds");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status line").parse();
    let status = status.expect("a status");
    (status, body.to_owned())
}

//! The servers that are held against each other: each a process of its own, with the same image in it.

use std::any::Any;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use acr_client::{ContainerRegistryClient, Credential};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::load::{self, Target};
use crate::Result;
use crate::bench::raw_http::parse;
use crate::bench::usage;
use crate::image::Image;
use crate::interop::docker_registry::DockerRegistry;
use crate::interop::mock::MockProcess;
use crate::interop::process::Running;

const REPOSITORY: &str = "bench/app";
const USER: &str = "bench";
const PASSWORD: &str = "bench-password";
/// How many tags the repository gets, and how many of them a page has.
const TAGS: usize = 150;
const PAGE: usize = 100;

/// A server, and what is asked of it. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    /// Kept for its end.
    _process: Box<dyn Any>,
    pid: u32,
    address: SocketAddr,
    /// A manifest by its tag.
    pub(super) manifest: Target,
    /// A page of tags with their properties.
    pub(super) page: Target,
}

/// What a load has cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// Requests in a second.
    pub(super) rate: f64,
    /// The server's CPU time for one of them in microseconds, where it is known.
    pub(super) micros: Option<f64>,
}

impl Server {
    /// The program acr-mock over plain http, with its log at this level in this file.
    pub(super) async fn mock(level: &str, log: &Path) -> Result<Self> {
        let user = format!("{USER}:{PASSWORD}");
        let process = MockProcess::start_logging(
            &["--plain-http", "--user", &user],
            level,
            File::create(log)?.into(),
        )?;
        let address = process.ready("login_server")?.parse()?;
        let endpoint = process.ready("endpoint")?;
        fill(endpoint, Credential::password(USER, PASSWORD), TAGS).await?;
        let token = Some(token(address)?);
        let pid = process.pid();
        Ok(Self::new(process, pid, address, token))
    }

    /// The bare server, which gives the responses of that one.
    pub(super) fn bare(mock: &Self, folder: &Path) -> Result<Self> {
        let [manifest, page] = [("manifest", &mock.manifest), ("page", &mock.page)];
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "serve-bare"]);
        for (name, target) in [manifest, page] {
            let file = folder.join(name);
            fs::write(&file, target.send(mock.address)?)?;
            command.arg(file);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Running::start(&mut command)?;
        let stdout = process.0.stdout.take();
        let stdout = stdout.ok_or("the bare server has no stdout")?;
        let pid = process.0.id();
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse()?;
        let authorization = mock.manifest.authorization.clone();
        Ok(Self::new(process, pid, address, authorization))
    }

    /// docker-registry, which has no pages and asks for no password here.
    pub(super) async fn docker_registry() -> Result<Self> {
        let registry = DockerRegistry::start(false)?;
        fill(&registry.endpoint(), Credential::anonymous(), 1).await?;
        let (pid, address) = (registry.pid(), registry.login_server().parse()?);
        Ok(Self::new(registry, pid, address, None))
    }

    fn new(
        process: impl Any,
        pid: u32,
        address: SocketAddr,
        authorization: Option<String>,
    ) -> Self {
        usage::pin(pid, 0);
        let target = |path| Target {
            path,
            authorization: authorization.clone(),
        };
        Self {
            _process: Box::new(process),
            pid,
            address,
            manifest: target(format!("/v2/{REPOSITORY}/manifests/{}", tag(0))),
            page: target(format!("/acr/v1/{REPOSITORY}/_tags?n={PAGE}")),
        }
    }

    /// Loads the server with one of its targets.
    pub(super) fn load(&self, target: &Target) -> Result<Cost> {
        let before = usage::of_process(self.pid);
        let load = load::run(self.address, target)?;
        let used = usage::of_process(self.pid).zip(before);
        let micros = |(after, before): (Duration, Duration)| {
            after.saturating_sub(before).as_secs_f64() * 1e6 / load.requests.max(1) as f64
        };
        Ok(Cost {
            rate: load.rate(),
            micros: used.map(micros),
        })
    }
}

fn tag(number: usize) -> String {
    format!("v{number:03}")
}

/// Puts an image in, under so many tags.
async fn fill(endpoint: &str, credential: Credential, tags: usize) -> Result<()> {
    let client = ContainerRegistryClient::builder(endpoint)
        .credential(credential)
        .danger_allow_http(true)
        .build()?;
    let repository = client.repository_client(REPOSITORY)?;
    let image = Image::fixture("v1")?;
    image.push(&repository, &tag(0)).await?;
    for number in 1..tags {
        repository
            .set_manifest(tag(number), &image.manifests[0])
            .await?;
    }
    Ok(())
}

/// The value of `Authorization` with a token for what is asked.
fn token(address: SocketAddr) -> Result<String> {
    let login = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let target = Target {
        path: format!(
            "/oauth2/token?service={address}&scope=repository:{REPOSITORY}:metadata_read,pull"
        ),
        authorization: Some(format!("Basic {login}")),
    };
    let response = target.send(address)?;
    let (_, body) = parse(&response).ok_or("the response has no body")?;
    let body: Value = serde_json::from_slice(&body)?;
    let token = body["access_token"]
        .as_str()
        .ok_or("the response has no token")?;
    Ok(format!("Bearer {token}"))
}

//! How long others wait while one large operation is carried out.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use acr_mock::{AcrMock, Registry, ServerEvent};

use crate::Result;
use crate::bench::raw_http::read_response;
use crate::bench::spread::median;

/// How many things the large operations are about.
const MANY: u32 = 1_000_000;
/// How many runs each operation gets, and as many without it.
const RUNS: usize = 5;
/// How long a run lasts at least, and how long one goes on after its operation.
const LENGTH: Duration = Duration::from_millis(1_000);
const AFTER: Duration = Duration::from_millis(200);
/// How often the others ask.
const PAUSE: Duration = Duration::from_millis(1);

/// Measures and prints all kinds; gives the most milliseconds that one adds to the longest wait.
pub(super) fn measure() -> Result<f64> {
    let scene = Scene::new()?;
    let (digest, last) = scene.fill(TAGS)?;
    let by_digest = format!("GET /acr/v1/bench/many/_tags?digest={last}");
    let manifest = format!("GET /acr/v1/bench/many/_manifests/{digest}");
    let delete = "DELETE /acr/v1/bench/many";
    let mut most = 0.0_f64;
    for (operation, line, filling) in [
        ("_tags?digest=", &*by_digest, None),
        ("a manifest's 10^6 tags", &manifest, None),
        ("delete 10^6 tags", delete, Some(TAGS)),
        ("delete 10^6 images", delete, Some(IMAGES)),
    ] {
        most = most.max(scene.wait(operation, line, filling)?);
    }
    Ok(most)
}

/// Requests that fill the repository. They are heard of on the server's thread, so that its allocator holds what is put in,
/// as it holds what clients push.
const TAGS: &str = "/bench/tags";
const IMAGES: &str = "/bench/images";

struct Scene {
    _mock: AcrMock,
    filled: Mutex<Receiver<Result<(String, String)>>>,
    address: SocketAddr,
    head: String,
}

impl Scene {
    fn new() -> Result<Self> {
        let registry = Registry::new();
        let (told, filled) = channel();
        let filling = registry.clone();
        let mock = AcrMock::builder()
            .registry(registry)
            .plain_http(true)
            .on_event(move |event| {
                let filling = match event {
                    ServerEvent::Request { path: TAGS, .. } => add_tags(&filling),
                    ServerEvent::Request { path: IMAGES, .. } => add_images(&filling),
                    _ => return,
                };
                // The other end is there as long as the scene.
                let _ = told.send(filling);
            })
            .start()?;
        mock.seed("bench/app")?.image("v1")?;
        let token = mock.access_token("repository:*:delete,metadata_read,pull")?;
        let address = mock.local_addr();
        let head = head(address, &token);
        Ok(Self {
            _mock: mock,
            filled: Mutex::new(filled),
            address,
            head,
        })
    }

    /// Fills the repository with many things; gives the digests of its first and last manifest.
    fn fill(&self, path: &str) -> Result<(String, String)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(format!("GET {path}{}", self.head).as_bytes())?;
        let filled = self.filled.lock().map_err(|_| "the scene has panicked")?;
        filled.recv()?
    }

    /// The runs of one operation, each after `filling`: what it adds to the longest wait, by the medians of the runs with
    /// and without it.
    fn wait(&self, operation: &str, line: &str, filling: Option<&str>) -> Result<f64> {
        let (mut with, mut without, mut took) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            if let Some(path) = filling {
                self.fill(path)?;
            }
            without.push(self.longest(None)?.0);
            let (longest, time) = self.longest(Some(line))?;
            with.push(longest);
            took.push(time);
        }
        let [with, without, took] = [with, without, took].map(|times| median(&times));
        println!(
            "longest wait beside {operation}, which takes {took:.0} ms: {with:.1} ms, without it {without:.1} ms"
        );
        Ok(with - without)
    }

    /// The longest that a request took in a run, and how long its operation took, both in milliseconds.
    fn longest(&self, operation: Option<&str>) -> Result<(f64, f64)> {
        longest(self.address, &self.head, || {
            operation.map_or(Ok(()), |line| self.send(line))
        })
    }

    /// Carries the operation out. Its response is thrown away as it comes, so that this takes no time from the server.
    fn send(&self, line: &str) -> Result<()> {
        let mut stream = TcpStream::connect(self.address)?;
        let head = self.head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        stream.write_all(format!("{line}{head}").as_bytes())?;
        let mut first = [0; "HTTP/1.1 200".len()];
        stream.read_exact(&mut first)?;
        let mut buffer = vec![0; 256 * 1024];
        while stream.read(&mut buffer)? > 0 {}
        match &first[first.len() - 3..] {
            b"200" | b"202" => Ok(()),
            _ => Err(format!("{} to {line}", String::from_utf8_lossy(&first)).into()),
        }
    }
}

/// What follows the method and the path in a request's head.
pub(in crate::bench) fn head(address: SocketAddr, token: &str) -> String {
    format!(" HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// The longest that a request took while something was done, and how long that took, both in milliseconds.
pub(in crate::bench) fn longest(
    address: SocketAddr,
    head: &str,
    operation: impl FnOnce() -> Result<()>,
) -> Result<(f64, f64)> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let others = scope.spawn(|| ask(address, head, &ended));
        // The others are at it when the operation comes.
        thread::sleep(AFTER);
        let start = Instant::now();
        let outcome = operation();
        let took = start.elapsed();
        thread::sleep(AFTER.max(LENGTH.saturating_sub(took)));
        ended.store(true, Ordering::Relaxed);
        let longest = others.join().map_err(|_| "the others panicked")??;
        outcome.map(|()| (milliseconds(longest), milliseconds(took)))
    })
}

/// Asks for a manifest again and again; gives the longest time that this took.
fn ask(address: SocketAddr, head: &str, ended: &AtomicBool) -> Result<Duration> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let request = format!("GET /v2/bench/app/manifests/v1{head}");
    let mut longest = Duration::ZERO;
    while !ended.load(Ordering::Relaxed) {
        let start = Instant::now();
        stream.write_all(request.as_bytes())?;
        read_response(&mut stream)?;
        longest = longest.max(start.elapsed());
        thread::sleep(PAUSE);
    }
    Ok(longest)
}

/// A manifest under 10^6 tags, and one under the last tag of all.
fn add_tags(registry: &Registry) -> Result<(String, String)> {
    let many = registry.seed("bench/many")?;
    let image = many.image("first")?;
    for number in 0..MANY {
        many.manifest(Some(&format!("v1.0.{number}")), &image)?;
    }
    let last = many.image("zzz")?;
    Ok((image.digest.to_string(), last.digest.to_string()))
}

fn add_images(registry: &Registry) -> Result<(String, String)> {
    let many = registry.seed("bench/many")?;
    let image = many.image("first")?;
    for _ in 1..MANY {
        many.untagged_image()?;
    }
    Ok((image.digest.to_string(), image.digest.to_string()))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

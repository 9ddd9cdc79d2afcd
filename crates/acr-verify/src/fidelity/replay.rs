//! Plays the exchanges of a session on a fresh registry, and compares each response with its recording.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use acr_mock::snapshot::Content;
use acr_mock::{Clock, Registry, Snapshot};
use acr_protocol::{Digest, Route};
use acr_record::Exchange;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{CONNECTION, DATE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};

use super::compare::{Context, Difference, NO_RESPONSE, compare};
use super::placeholder::resolve_digests;
use super::preconditions::STORAGE;
use super::rename::rename;
use super::request::{self, CLIENT_ID};
use super::service;
use super::state::{RealBytes, State};
use super::step::{Step, text};
use super::upload::{Target, Uploads, upload_id};
use crate::Result;

/// What has become of an exchange.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its id; its place, if it has none.
    pub id: String,
    /// File and line.
    pub place: String,
    /// What it is about.
    pub area: String,
    /// Whether it matches.
    pub verdict: Verdict,
}

/// How a replay has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The response is the recorded one.
    Match,
    /// It differs.
    Mismatch(Vec<Difference>),
    /// It was not replayed, for this reason.
    Skipped(String),
}

/// Sends a request to a registry.
pub type Send<'a> = dyn FnMut(Request<Bytes>) -> Result<Response<Bytes>> + 'a;

/// Plays the exchanges of a session, each with its place, in their order on one fresh registry, which `connect` makes
/// reachable. `real_bytes` finds the real bytes of a digest, if somebody has them.
///
/// # Errors
///
/// The registry cannot be reached.
pub(super) fn replay_session(
    mut session: Vec<(String, Exchange)>,
    real_bytes: &RealBytes,
    connect: &dyn Fn(Registry) -> Result<Box<Send<'static>>>,
) -> Result<Vec<Outcome>> {
    resolve_digests(session.iter_mut().map(|(_, exchange)| exchange));
    let mut steps = Vec::new();
    let mut outcomes = Vec::new();
    for (place, exchange) in session {
        let is_named = !exchange.id.is_empty();
        let mut outcome = Outcome {
            id: if is_named { &exchange.id } else { &place }.clone(),
            area: exchange.area.clone().unwrap_or_else(|| area(&exchange)),
            place,
            verdict: Verdict::Match,
        };
        match Step::new(exchange) {
            Ok(step) => steps.push(step),
            Err(reason) => outcome.verdict = Verdict::Skipped(reason),
        }
        outcomes.push(outcome);
    }
    let clock = ReplayClock::default();
    let registry = service::registry(&steps).clock(clock.clone()).build();
    let time = steps.iter().find_map(service::time_of);
    clock.set(time.unwrap_or_else(SystemTime::now));
    let login_server = steps.iter().find_map(service::login_server);
    let mut replay = Replay {
        send: connect(registry.clone())?,
        registry,
        clock,
        login_server: login_server.unwrap_or_else(|| SOME_REGISTRY.to_owned()),
        uploads: Uploads::default(),
        redirects: BTreeMap::new(),
    };
    let mut state = State::new(&steps, real_bytes);
    let replayed = |outcome: &&mut Outcome| outcome.verdict == Verdict::Match;
    let replayed = outcomes.iter_mut().filter(replayed);
    for ((index, step), outcome) in steps.iter().enumerate().zip(replayed) {
        let no_response = |error| {
            vec![Difference::new(
                NO_RESPONSE,
                "response",
                step.status(),
                error,
            )]
        };
        let differences = replay.step(index, step, &mut state);
        let differences = differences.unwrap_or_else(no_response);
        if !differences.is_empty() {
            outcome.verdict = Verdict::Mismatch(differences);
        }
    }
    Ok(outcomes)
}

/// The area of an exchange that names none, by its path.
fn area(exchange: &Exchange) -> String {
    let path = exchange.request.target();
    let response = exchange.response.as_ref();
    if response.is_some_and(|response| response.status == 401) || path == "/v2/" {
        return "auth".to_owned();
    }
    let parts = [
        ("/oauth2/", "auth"),
        ("/blobs/uploads", "upload"),
        ("/blobs/", "blob"),
        ("/referrers/", "referrers"),
        ("manifests", "manifest"),
        ("tags", "tag"),
        ("/acr/v1/", "repository"),
        ("_catalog", "repository"),
    ];
    let found = parts.iter().find(|(part, _)| path.contains(part));
    found.map_or("error", |(_, area)| area).to_owned()
}

/// Sends requests to a registry in the same process, and adds the headers that a server does.
pub(super) fn in_process(registry: Registry) -> Box<Send<'static>> {
    Box::new(move |request| {
        let connection = request.headers().get(CONNECTION).cloned();
        let response = wait(registry.handle(request.map(Full::new)));
        let is_chunked = response.body().size_hint().exact().is_none();
        let (mut head, body) = response.into_parts();
        let bytes = wait(body.collect())?.to_bytes();
        let keep_alive = HeaderValue::from_static("keep-alive");
        head.headers
            .insert(CONNECTION, connection.unwrap_or(keep_alive));
        head.headers.insert(DATE, HeaderValue::from_static("now"));
        if is_chunked {
            head.headers
                .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        Ok(Response::from_parts(head, bytes))
    })
}

/// Waits for a future that nobody else works on.
fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Some(output) = future.as_mut().now_or_never() {
            return output;
        }
    }
}

struct Replay {
    registry: Registry,
    clock: ReplayClock,
    send: Box<Send<'static>>,
    login_server: String,
    uploads: Uploads,
    /// Where the storage gave blobs.
    redirects: BTreeMap<Digest, String>,
}

/// The login server of a recording that hides its own.
const SOME_REGISTRY: &str = "myregistry.azurecr.io";

impl Replay {
    fn step(
        &mut self,
        index: usize,
        step: &Step,
        state: &mut State<'_>,
    ) -> Result<Vec<Difference>> {
        if let Some(time) = service::time_of(step) {
            self.clock.set(time);
        }
        let login_server = service::login_server(step).unwrap_or_else(|| self.login_server.clone());
        let body = request::body(step, &login_server, &self.registry);
        let upload = self.upload_target(step, &body, state, &login_server)?;
        self.change_content(|content| state.prepare(index, step, content));
        let outcome = self.exchange(step, &login_server, body, upload, state);
        self.change_content(|content| state.conclude(index, content));
        outcome
    }

    /// Sends the request, follows a redirect that the recorder has hidden, and compares.
    fn exchange(
        &mut self,
        step: &Step,
        login_server: &str,
        body: Bytes,
        upload: Option<Target>,
        state: &mut State<'_>,
    ) -> Result<Vec<Difference>> {
        let recorded = step.exchange.request.target();
        let (host, target) = match (&step.data, &upload) {
            (Some(digest), _) => (self.login_server.clone(), self.data_target(step, digest)?),
            (_, Some(upload)) => (login_server.to_owned(), upload.path_and_query.clone()),
            _ => (login_server.to_owned(), recorded),
        };
        let request = request::request(step, &host, &target, body.clone(), &self.registry)?;
        let client_id = text(request.headers(), CLIENT_ID).map(str::to_owned);
        let head = request.headers().clone();
        let mut response = (self.send)(request)?;
        self.uploads.note(step, &body, &response);
        let mut is_storage = step.data.is_some();
        let read = match &step.route {
            Some(Route::GetBlob(operation)) => Some(operation.digest.clone()),
            Some(Route::HeadBlob(operation)) => Some(operation.digest.clone()),
            _ => step.data.clone(),
        };
        if let (Some(digest), 307) = (&read, response.status().as_u16()) {
            let location = text(response.headers(), "Location").unwrap_or_default();
            let (_, target) = split_url(location).ok_or("the redirect leads nowhere")?;
            self.redirects.insert(digest.clone(), target);
            if !step.response.status.is_redirection() {
                let target = self.data_target(step, digest)?;
                response = (self.send)(followed(step, &head, login_server, &target)?)?;
                is_storage = true;
            }
        }
        let shown = text(response.headers(), "Docker-Content-Digest");
        let shown = read.or_else(|| Digest::new(shown?).ok());
        let context = Context {
            storage: is_storage,
            client_id,
            filler: shown.is_some_and(|digest| state.is_filler(&digest)),
        };
        let id = upload.as_ref().map(|upload| upload.id.clone());
        let claimed = upload.and_then(|upload| upload.digest);
        if let (Some((filler, digest)), 201) = (&claimed, response.status().as_u16()) {
            state.note_filler(digest);
            self.change_content(|content| stand_in(filler, digest, content));
        }
        Ok(compare(
            step,
            &rename(step, response, id.as_deref(), claimed),
            &context,
        ))
    }

    fn upload_target(
        &mut self,
        step: &Step,
        body: &Bytes,
        state: &State<'_>,
        login_server: &str,
    ) -> Result<Option<Target>> {
        if upload_id(&step.exchange.request.path).is_none() {
            return Ok(None);
        }
        // Nothing may be in the way of a request that brings an upload about, such as a lock.
        let content = self.registry.snapshot();
        self.registry.restore(Snapshot::default());
        let (registry, send) = (&self.registry, &mut self.send);
        let repository = step.route.as_ref().and_then(Route::repository);
        let token =
            repository.map(|name| registry.access_token(&format!("repository:{name}:pull,push")));
        let token = token.transpose()?.unwrap_or_default();
        let mut open = |mut request: Request<Bytes>| {
            *request.uri_mut() = format!("https://{login_server}{}", request.uri()).parse()?;
            let bearer = HeaderValue::try_from(format!("Bearer {token}"))?;
            request
                .headers_mut()
                .insert(http::header::AUTHORIZATION, bearer);
            send(request)
        };
        let target = self.uploads.target(step, body, state, &mut open);
        self.registry.restore(content);
        target
    }

    /// Where the mock has a blob that is read at the storage: a redirect says so, one of its own if no step brought one.
    fn data_target(&mut self, step: &Step, digest: &Digest) -> Result<String> {
        if !self.redirects.contains_key(digest) {
            let content = self.registry.snapshot();
            let blob = content.blobs.get(digest);
            let home = blob.and_then(|blob| blob.repositories.first());
            let home = home.map_or(STORAGE, |home| home.as_str());
            let token = self
                .registry
                .access_token(&format!("repository:{home}:pull"))?;
            let request = Request::get(format!(
                "https://{}/v2/{home}/blobs/{digest}",
                self.login_server
            ))
            .header("Authorization", format!("Bearer {token}"))
            .body(Bytes::new())?;
            let response = (self.send)(request)?;
            let target = text(response.headers(), "Location").and_then(split_url);
            let (_, target) = target.ok_or("no repository redirects to the blob")?;
            self.redirects.insert(digest.clone(), target);
        }
        if step.status() == 403 {
            // A signature that no longer holds.
            let late = service::time_of(step).unwrap_or_else(|| self.clock.now());
            self.clock.set(late + Duration::from_secs(20 * 60 + 1));
        }
        // The storage responds in the version that the URL names.
        let version = step
            .query("sv")
            .or_else(|| step.header("x-ms-version").map(str::to_owned));
        let target = &self.redirects[digest];
        Ok(match (version, target.split_once("&sv=")) {
            (Some(version), Some((before, behind))) => {
                let rest = behind.find('&').map_or("", |end| &behind[end..]);
                format!("{before}&sv={version}{rest}")
            }
            _ => target.clone(),
        })
    }

    fn change_content(&self, change: impl FnOnce(&mut Snapshot)) {
        let before = self.registry.snapshot();
        let mut after = before.clone();
        change(&mut after);
        if before != after {
            self.registry.restore(after);
        }
    }
}

/// The request to the storage that a client has sent when it followed a redirect.
fn followed(step: &Step, head: &HeaderMap, host: &str, target: &str) -> Result<Request<Bytes>> {
    let mut request = step.exchange.request.to_http(Bytes::new())?;
    *request.uri_mut() = format!("https://{host}{target}").parse()?;
    *request.headers_mut() = head.clone();
    request.headers_mut().remove("Authorization");
    request.headers_mut().remove(HOST);
    Ok(request)
}

/// Lets filler stand for the content that it was uploaded for.
fn stand_in(filler: &Digest, digest: &Digest, content: &mut Snapshot) {
    if let Some(mut blob) = content.blobs.remove(filler) {
        let size = blob.content.into_bytes().len() as u64;
        blob.content = Content::Filler {
            size,
            known: BTreeMap::new(),
        };
        content.blobs.insert(digest.clone(), blob);
    }
}

/// Host and target of an absolute URL.
fn split_url(url: &str) -> Option<(String, String)> {
    let (_, rest) = url.split_once("://")?;
    let at = rest.find('/')?;
    Some((rest[..at].to_owned(), rest[at..].to_owned()))
}

/// A clock that stands at the time of the recording, step by step, in either direction: so many seconds after 1970.
#[derive(Clone, Debug, Default)]
struct ReplayClock(Arc<AtomicU64>);

impl ReplayClock {
    fn set(&self, time: SystemTime) {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        self.0
            .store(since.unwrap_or_default().as_secs(), Ordering::Relaxed);
    }
}

impl Clock for ReplayClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    /// Ends at once: in a replay nobody waits.
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + std::marker::Send>> {
        Box::pin(ready(()))
    }
}

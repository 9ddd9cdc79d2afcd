//! What the tests send with, and what they read responses with.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use acr_mock::{Body, ConnectionReset, Registry, RegistryBuilder, VirtualClock};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

pub(crate) const HOST: &str = "mock.azurecr.io";
/// When every test begins, so that times in bodies can be written out.
pub(crate) const START: &str = "2023-02-15T08:59:14.3176692Z";
/// The same in the 100 ns units that markers count in.
pub(crate) const START_TICKS: u64 = 638_120_483_543_176_692;

/// The scopes of what is done in the repository `app`.
pub(crate) const PULL: &str = "repository:app:pull";
pub(crate) const PUSH: &str = "repository:app:pull,push";
pub(crate) const READ: &str = "repository:app:metadata_read";
pub(crate) const WRITE: &str = "repository:app:metadata_write";
pub(crate) const DELETE: &str = "repository:app:delete";

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The attributes of what no lock holds.
pub(crate) const OPEN: &str =
    r#"{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}"#;
pub(crate) const NOT_ROUTED: &str = "404 page not found\n";
pub(crate) const DISALLOWED: &str = concat!(
    r#"{"errors":[{"code":"REGISTRY_DISALLOWED_OPERATION","message":"The operation is disallowed on this registry, "#,
    r#"repository or image. View troubleshooting steps at "#,
    r#"https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation","detail":{}}]}"#,
    "\n"
);

/// The body of an error without a detail.
pub(crate) fn error(code: &str, message: &str) -> String {
    format!(
        "{}\n",
        json!({ "errors": [{ "code": code, "message": message }] })
    )
}

/// The body of an error with a detail.
pub(crate) fn error_with(code: &str, message: &str, detail: Value) -> String {
    format!(
        "{}\n",
        json!({ "errors": [{ "code": code, "message": message, "detail": detail }] })
    )
}

/// A registry whose time stands still, and a way to talk to it.
pub(crate) struct Raw {
    pub(crate) registry: Registry,
    pub(crate) clock: VirtualClock,
}

impl Raw {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(settings: impl FnOnce(RegistryBuilder) -> RegistryBuilder) -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::new(1_676_451_554, 317_669_200);
        let clock = VirtualClock::starting_at(start);
        let registry = settings(Registry::builder().clock(clock.clone())).build();
        Self { registry, clock }
    }

    /// A request without credentials.
    pub(crate) fn ask(&self, method: Method, path: impl AsRef<str>) -> Ask<'_> {
        let path = path.as_ref();
        let uri = if path.starts_with('/') {
            format!("https://{HOST}{path}")
        } else {
            path.to_owned()
        };
        let request = Request::builder().method(method).uri(uri);
        Ask {
            raw: self,
            request,
            body: Bytes::new(),
        }
    }

    /// A request without credentials, such as `GET /v2/`.
    pub(crate) fn line(&self, line: &str) -> Ask<'_> {
        let (method, path) = line.split_once(' ').unwrap();
        self.ask(method.parse().unwrap(), path)
    }

    pub(crate) fn get(&self, path: impl AsRef<str>) -> Ask<'_> {
        self.ask(Method::GET, path)
    }

    pub(crate) fn head(&self, path: impl AsRef<str>) -> Ask<'_> {
        self.ask(Method::HEAD, path)
    }

    pub(crate) fn put(&self, path: impl AsRef<str>) -> Ask<'_> {
        self.ask(Method::PUT, path)
    }

    pub(crate) fn post(&self, path: impl AsRef<str>) -> Ask<'_> {
        self.ask(Method::POST, path)
    }

    pub(crate) fn patch(&self, path: impl AsRef<str>) -> Ask<'_> {
        self.ask(Method::PATCH, path)
    }

    pub(crate) fn delete(&self, path: impl AsRef<str>) -> Ask<'_> {
        self.ask(Method::DELETE, path)
    }

    /// The refresh token for an Entra token.
    pub(crate) fn refresh_token(&self, entra: &str) -> String {
        let form = format!("grant_type=access_token&service={HOST}&access_token={entra}");
        let response = self.post("/oauth2/exchange?api-version=2021-07-01");
        response.form(form).expect(200).member("refresh_token")
    }

    /// An access token for these scopes, by way of an Entra token.
    pub(crate) fn token(&self, scope: &str) -> String {
        let refresh = self.refresh_token("entra");
        let form = format!(
            "grant_type=refresh_token&service={HOST}&scope={}&refresh_token={refresh}",
            escape(scope)
        );
        let response = self.post("/oauth2/token?api-version=2021-07-01");
        response.form(form).expect(200).member("access_token")
    }

    /// An access token for these scopes that no request was made for.
    pub(crate) fn issued(&self, scope: &str) -> String {
        self.registry.access_token(scope).unwrap()
    }

    /// Uploads a blob in one request; returns its digest.
    #[track_caller]
    pub(crate) fn push_blob(&self, repository: &str, content: &[u8]) -> String {
        let digest = digest(content);
        self.post(format!("/v2/{repository}/blobs/uploads/?digest={digest}"))
            .scope(&format!("repository:{repository}:pull,push"))
            .body(content.to_vec())
            .expect(201);
        digest
    }

    /// Sets a manifest; returns its digest.
    #[track_caller]
    pub(crate) fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &str,
    ) -> String {
        self.put(format!("/v2/{repository}/manifests/{reference}"))
            .scope(&format!("repository:{repository}:pull,push"))
            .header("content-type", media_type)
            .body(bytes.to_owned())
            .expect(201);
        digest(bytes.as_bytes())
    }

    /// The request that sets a manifest of the repository `app`.
    pub(crate) fn set_manifest(
        &self,
        reference: &str,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Ask<'_> {
        self.put(format!("/v2/app/manifests/{reference}"))
            .scope(PUSH)
            .header("content-type", media_type)
            .body(bytes)
    }

    /// Pushes a small image, whose content is made of its tag; returns the manifest's digest.
    #[track_caller]
    pub(crate) fn push_image(&self, repository: &str, tag: &str) -> String {
        let manifest = self.image(repository, tag);
        self.push_manifest(repository, tag, OCI_MANIFEST, &manifest)
    }

    /// Uploads the blobs of a small image; returns its manifest.
    #[track_caller]
    pub(crate) fn image(&self, repository: &str, label: &str) -> String {
        let layer = format!("layer of {label}");
        let config = json!({ "architecture": "amd64", "os": "linux", "label": label }).to_string();
        let layer_digest = self.push_blob(repository, layer.as_bytes());
        let config_digest = self.push_blob(repository, config.as_bytes());
        json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": { "mediaType": OCI_CONFIG, "digest": config_digest, "size": config.len() },
            "layers": [{ "mediaType": OCI_LAYER, "digest": layer_digest, "size": layer.len() }],
        })
        .to_string()
    }

    /// Sets switches, such as `{"writeEnabled":false}`, at `/acr/v1/...`.
    #[track_caller]
    pub(crate) fn set_locks(&self, repository: &str, below: &str, switches: &str) -> RawResponse {
        let response = self
            .patch(format!("/acr/v1/{repository}{below}"))
            .scope(&format!("repository:{repository}:metadata_write"))
            .header("content-type", "application/json")
            .body(switches.to_owned());
        response.expect(200)
    }
}

/// A response that may be lost or late.
pub(crate) type Attempt = BoxFuture<'static, Result<Response<Body>, ConnectionReset>>;

/// A request in the making.
pub(crate) struct Ask<'a> {
    raw: &'a Raw,
    request: http::request::Builder,
    body: Bytes,
}

impl Ask<'_> {
    /// Adds a token for these scopes.
    pub(crate) fn scope(self, scope: &str) -> Self {
        let token = self.raw.token(scope);
        self.bearer(&token)
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn basic(self, user: &str, password: &str) -> Self {
        let login = STANDARD.encode(format!("{user}:{password}"));
        self.header("authorization", &format!("Basic {login}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn form(self, form: impl Into<String>) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(form.into())
    }

    #[track_caller]
    pub(crate) fn send(self) -> RawResponse {
        let request = self.request.body(Full::new(self.body)).unwrap();
        deliver(self.raw, request)
    }

    /// Sends it, and expects this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> RawResponse {
        self.send().expect(status)
    }

    #[track_caller]
    pub(crate) fn expect_json(self, status: u16, body: &str) -> RawResponse {
        self.send().expect_json(status, body)
    }

    #[track_caller]
    pub(crate) fn expect_code(self, status: u16, code: &str) -> RawResponse {
        self.send().expect_code(status, code)
    }

    #[track_caller]
    pub(crate) fn expect_empty(self, status: u16) -> RawResponse {
        self.send().expect_empty(status)
    }

    #[track_caller]
    pub(crate) fn expect_not_routed(self) -> RawResponse {
        self.send().expect_not_routed()
    }

    #[track_caller]
    pub(crate) fn expect_disallowed(self) -> RawResponse {
        self.send().expect_disallowed()
    }

    /// Sends what may be lost on the way, or never be served.
    pub(crate) fn attempt(self) -> Attempt {
        let request = self.request.body(Full::new(self.body)).unwrap();
        self.raw.registry.try_handle(request).boxed()
    }

    /// Sends the body in pieces of so many bytes, and without a length, as a client that streams does.
    #[track_caller]
    pub(crate) fn send_in_pieces(self, size: usize) -> RawResponse {
        let pieces = self.body.chunks(size);
        let pieces = pieces.map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))));
        let pieces: Vec<Result<_, Infallible>> = pieces.collect();
        let body = StreamBody::new(futures_util::stream::iter(pieces));
        deliver(self.raw, self.request.body(body).unwrap())
    }
}

#[track_caller]
fn deliver<B>(raw: &Raw, request: Request<B>) -> RawResponse
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let line = format!("{} {}", request.method(), request.uri());
    let response = raw.registry.handle(request).now_or_never();
    let (head, body) = response
        .expect("a registry waits for nothing but the body")
        .into_parts();
    let announced = http_body::Body::size_hint(&body).exact();
    let body = body.collect().now_or_never().unwrap().unwrap().to_bytes();
    RawResponse {
        line,
        status: head.status.as_u16(),
        headers: head.headers,
        announced,
        body,
    }
}

/// A response, as it stands on the wire.
#[derive(Debug)]
pub(crate) struct RawResponse {
    line: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The length that a server would send; none where it would send the body chunked.
    pub(crate) announced: Option<u64>,
    pub(crate) body: Bytes,
}

impl RawResponse {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "{}: {}",
            self.line,
            String::from_utf8_lossy(&self.body)
        );
        self
    }

    #[track_caller]
    pub(crate) fn expect_header(&self, name: &str, value: impl AsRef<str>) {
        assert_eq!(self.header(name), value.as_ref(), "{}: {name}", self.line);
    }

    /// Expects a status, and a JSON body to the letter with the length of it.
    #[track_caller]
    pub(crate) fn expect_json(self, status: u16, body: &str) -> Self {
        let response = self.expect(status);
        assert_eq!(response.text(), body, "{}", response.line);
        response.expect_header("content-type", "application/json; charset=utf-8");
        response.expect_header("content-length", body.len().to_string());
        response
    }

    /// Expects a status, and the code of the first error.
    #[track_caller]
    pub(crate) fn expect_code(self, status: u16, code: &str) -> Self {
        let response = self.expect(status);
        response.has_code(code);
        response
    }

    #[track_caller]
    pub(crate) fn has_code(&self, code: &str) {
        assert_eq!(self.json()["errors"][0]["code"], code, "{}", self.line);
    }

    #[track_caller]
    pub(crate) fn has_challenge_error(&self, error: &str) {
        let challenge = self.header("www-authenticate");
        let end = format!(",error=\"{error}\"");
        assert!(challenge.ends_with(&end), "{}: {challenge}", self.line);
    }

    /// Expects a status and no bytes, with a length that says so.
    #[track_caller]
    pub(crate) fn expect_empty(self, status: u16) -> Self {
        let response = self.expect(status);
        assert_eq!(response.text(), "", "{}", response.line);
        response.expect_header("content-length", "0");
        response
    }

    /// Expects the plain 404 for what matches no grammar.
    #[track_caller]
    pub(crate) fn expect_not_routed(self) -> Self {
        let response = self.expect(404);
        assert_eq!(response.text(), NOT_ROUTED, "{}", response.line);
        response.expect_header("content-type", "text/plain; charset=utf-8");
        response.expect_header("content-length", "19");
        response.expect_header("docker-distribution-api-version", "registry/2.0");
        let line = &response.line;
        assert!(response.has("x-ms-correlation-request-id"), "{line}");
        for absent in ["www-authenticate", "access-control-expose-headers"] {
            assert!(!response.has(absent), "{line}: {absent}");
        }
        response
    }

    /// Expects the 405 of a lock.
    #[track_caller]
    pub(crate) fn expect_disallowed(self) -> Self {
        self.expect_json(405, DISALLOWED)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        let value = value
            .unwrap_or_else(|| panic!("{}: no header {name} in {:?}", self.line, self.headers));
        value.to_str().unwrap()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A member of the JSON body, which is a text.
    #[track_caller]
    pub(crate) fn member(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The sha256 digest of bytes.
pub(crate) fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// The sha512 digest of bytes.
pub(crate) fn digest_512(content: &[u8]) -> String {
    format!("sha512:{}", hex::encode(Sha512::digest(content)))
}

/// Text as it stands in a query or a form.
pub(crate) fn escape(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The claims of a token, read as three of the official SDKs read them: by the standard base64 alphabet.
#[track_caller]
pub(crate) fn claims(token: &str) -> Value {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    serde_json::from_slice(&STANDARD_NO_PAD.decode(parts[1]).unwrap()).unwrap()
}

/// `n` digits as a digest that belongs to nothing.
pub(crate) fn nowhere() -> String {
    format!("sha256:{}", "7e02".repeat(16))
}

/// The `manifest` member of a single read in the repository `app`.
#[track_caller]
pub(crate) fn properties(raw: &Raw, digest: &str) -> Value {
    let path = format!("/acr/v1/app/_manifests/{digest}");
    let response = raw.get(path).scope("repository:app:metadata_read").send();
    response.expect(200).json()["manifest"].clone()
}

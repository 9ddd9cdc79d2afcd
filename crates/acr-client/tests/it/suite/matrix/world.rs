//! The registry that every cell begins with, and plain requests to it.

use acr_client::transport::Body;
use acr_client::{Credential, Digest, Manifest};
use acr_mock::RegistryBuilder;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;

use crate::suite::backend::{Backend, HOST, Served};

pub(super) const APP: &str = "samples/app";
pub(super) const SOURCE: &str = "samples/source";

/// A registry with a repository in which there is something of every kind.
pub(super) struct World {
    pub(super) served: Served,
    /// Under the tag `v1`.
    pub(super) image: Manifest,
    /// Of two images, under the tag `v2`.
    pub(super) index: Manifest,
    /// Refers to the image; has no tag.
    pub(super) signature: Manifest,
    pub(super) target: Target,
}

/// What an operation works on.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) repository: String,
    pub(super) tag: String,
    pub(super) digest: Digest,
    /// What a push sends.
    pub(super) manifest: Manifest,
    pub(super) blob: Digest,
    pub(super) source: String,
    pub(super) source_blob: Digest,
    /// Of an upload that holds nothing yet.
    pub(super) location: String,
}

/// What an upload sends.
pub(super) const CONTENT: &str = "content of an upload";

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(super) async fn with(settings: impl FnOnce(RegistryBuilder) -> RegistryBuilder) -> Self {
        let served = Served::on(Backend::InProcess, settings);
        let app = served.seed(APP);
        let (image, index) = (app.image("v1").unwrap(), app.index("v2").unwrap());
        let signature = app
            .artifact(&image.digest, "application/vnd.example.signature")
            .unwrap();
        let target = Target {
            repository: APP.to_owned(),
            tag: "v1".to_owned(),
            digest: image.digest.clone(),
            manifest: image.clone(),
            blob: app
                .blob("application/octet-stream", "content of a blob")
                .digest,
            source: SOURCE.to_owned(),
            source_blob: served
                .seed(SOURCE)
                .blob("application/octet-stream", "content of the source")
                .digest,
            location: String::new(),
        };
        let mut world = Self {
            served,
            image,
            index,
            signature,
            target,
        };
        let start = Plain::new(Method::POST, format!("/v2/{APP}/blobs/uploads/"));
        let started = world
            .send_with(start, &format!("repository:{APP}:pull,push"))
            .await;
        world.target.location = started.headers["location"].to_str().unwrap().to_owned();
        world
    }

    /// Names of which nothing is there; a repository only where no item in one can be missing.
    pub(super) fn missing(&self, operation: &str) -> Target {
        let nowhere = Digest::sha256("nowhere");
        let by_repository = [
            "get_repository_properties",
            "update_repository_properties",
            "delete_repository",
            "list_tag_properties",
            "list_manifest_properties",
            "list_tags",
            "list_referrers",
            "start_upload",
        ];
        let repository = if by_repository.contains(&operation) {
            "no/where"
        } else {
            APP
        };
        let manifest = self.image.as_image().unwrap();
        let config = acr_client::Descriptor::new(manifest.config.media_type, nowhere.clone(), 7);
        Target {
            repository: repository.to_owned(),
            tag: "none".to_owned(),
            digest: nowhere.clone(),
            manifest: Manifest::try_from(&acr_client::ImageManifest::new(config, manifest.layers))
                .unwrap(),
            blob: nowhere.clone(),
            source: SOURCE.to_owned(),
            source_blob: nowhere,
            location: self.target.location.replace("/uploads/", "/uploads/0"),
        }
    }

    /// Sends a request with a token for these scopes.
    pub(super) async fn send_with(&self, mut plain: Plain, scope: &str) -> RawResponse {
        let token = self.served.registry.access_token(scope).unwrap();
        plain
            .headers
            .push(("authorization", format!("Bearer {token}")));
        self.send(plain).await
    }

    pub(super) async fn send(&self, plain: Plain) -> RawResponse {
        let mut request = Request::builder()
            .method(plain.method)
            .uri(format!("https://{HOST}{}", plain.path));
        for (name, value) in plain.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::bytes(plain.body)).unwrap();
        let (head, body) = self.served.registry.handle(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        RawResponse {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        }
    }

    pub(super) fn client(&self, credential: Credential) -> acr_client::ContainerRegistryClient {
        self.served.client(credential)
    }
}

/// A request without any type of ours.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl Plain {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.headers.push(("content-type", content_type.to_owned()));
        self.body = body.into();
        self
    }
}

/// A response without any type of ours.
#[derive(Debug)]
pub(super) struct RawResponse {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl RawResponse {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The code of its first error; none in a response without a body.
    pub(super) fn code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(body["errors"][0]["code"].as_str()?.to_owned())
    }
}

//! The registry that every cell begins with, and plain requests to it.

use std::fmt::Display;

use acr_client::transport::Body;
use acr_client::{ChangeableAttributes, Digest, Manifest, RepositoryClient};
use acr_mock::RegistryBuilder;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;

use super::case::Item;
use crate::suite::backend::{Backend, HOST, START, Served};

pub(super) const APP: &str = "samples/app";
pub(super) const SOURCE: &str = "samples/source";
/// What an upload sends.
pub(super) const CONTENT: &str = "content of an upload";
pub(super) const BLOB: &str = "content of a blob";

/// What an update sends.
pub(super) const UPDATE: ChangeableAttributes = ChangeableAttributes {
    can_delete: None,
    can_write: Some(true),
    can_read: None,
    can_list: None,
};
/// The switches in a body.
pub(super) const OPEN: &str =
    r#"{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}"#;
/// What bodies of properties begin with.
pub(super) const AROUND: &str = r#""registry":"mock.azurecr.io","imageName":"samples/app""#;

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
    pub(super) source_blob: Digest,
    /// Of an upload that holds nothing yet.
    pub(super) location: String,
}

/// Which part of a target is not there.
#[derive(Clone, Copy)]
pub(super) enum What {
    Repository,
    /// An item in the repository.
    Item,
}

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
            blob: app.blob("application/octet-stream", BLOB).digest,
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

    /// One who may do everything, in the repository.
    pub(super) fn app(&self) -> RepositoryClient {
        self.served.repository(APP)
    }

    /// The time of so many ticks after the start. The image, the two images of the index, the index and the signature
    /// came one tick after each other.
    pub(super) fn time(&self, ticks: u8) -> String {
        START.replace("2Z", &format!("{}Z", 2 + ticks))
    }

    /// Closes switches.
    pub(super) async fn close(&self, item: &Item, change: ChangeableAttributes) {
        let app = self.app();
        match item {
            Item::Repository => drop(app.update_repository_properties(change).await.unwrap()),
            Item::Tag => drop(app.update_tag_properties("v1", change).await.unwrap()),
            Item::Manifest => {
                let changed = app
                    .update_manifest_properties(&self.image.digest, change)
                    .await;
                changed.unwrap();
            }
        }
    }

    /// Names of which nothing is there.
    pub(super) fn missing(&self, what: What) -> Target {
        let nowhere = Digest::sha256("nowhere");
        let repository = match what {
            What::Repository => "no/where",
            What::Item => APP,
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
            source_blob: nowhere,
            location: self.target.location.replace("/uploads/", "/uploads/0"),
        }
    }

    /// Sends a request with a token for these scopes.
    pub(super) async fn send_with(&self, plain: Plain, scope: &str) -> RawResponse {
        let token = self.served.registry.access_token(scope).unwrap();
        self.send(plain.authorized(format!("Bearer {token}"))).await
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

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Sends [`UPDATE`].
    pub(super) fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path).body("application/json", r#"{"writeEnabled":true}"#)
    }

    pub(super) fn form(path: &str, form: String) -> Self {
        Self::new(Method::POST, path).body("application/x-www-form-urlencoded", form)
    }

    pub(super) fn authorized(mut self, authorization: impl Into<String>) -> Self {
        self.headers.push(("authorization", authorization.into()));
        self
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

    /// A member of its body.
    pub(super) fn member(&self, name: &str) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        body[name].as_str().unwrap().to_owned()
    }

    /// The code of its first error; none in a response without a body.
    pub(super) fn code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(body["errors"][0]["code"].as_str()?.to_owned())
    }
}

/// A plain response where all goes well.
pub(super) struct Expected {
    status: u16,
    body: String,
    /// The body holds what no test can foresee, so its beginning is compared.
    is_beginning: bool,
    /// A beginning is enough.
    headers: Vec<(&'static str, String)>,
}

impl Expected {
    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            body: String::new(),
            is_beginning: false,
            headers: Vec::new(),
        }
    }

    /// A body of an object with these members, as the service writes it.
    pub(super) fn json(status: u16, members: impl Display) -> Self {
        let expected = Self::empty(status).body(format!("{{{members}}}\n"));
        expected.header("content-type", "application/json; charset=utf-8")
    }

    pub(super) fn beginning(status: u16, body: &str) -> Self {
        Self {
            is_beginning: true,
            ..Self::empty(status).body(body)
        }
    }

    pub(super) fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    #[track_caller]
    pub(super) fn expect(&self, response: &RawResponse) {
        let text = response.text();
        assert_eq!(response.status, self.status, "{text}");
        if self.is_beginning {
            assert!(text.starts_with(&self.body), "{text}");
        } else {
            assert_eq!(text, self.body);
        }
        for (name, value) in &self.headers {
            let given = response.headers.get(*name);
            let given = given.unwrap_or_else(|| panic!("no header {name}"));
            let given = given.to_str().unwrap();
            assert!(given.starts_with(value), "{name}: {given}");
        }
    }
}

//! The plain request of each operation, the scope that it needs, and the plain response where all goes well.

use http::Method;

use super::world::{APP, CONTENT, Plain, Target, World};
use crate::suite::backend::{HOST, START};

/// What an update sends.
const UPDATE: &str = r#"{"writeEnabled":true}"#;
const OPEN: &str =
    r#"{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}"#;

/// The request, without credentials.
pub(super) fn request(operation: &str, at: &Target) -> Plain {
    let Target {
        repository,
        tag,
        digest,
        blob,
        location,
        ..
    } = at;
    let acr = |rest: &str| format!("/acr/v1/{repository}{rest}");
    let v2 = |rest: &str| format!("/v2/{repository}/{rest}");
    let get = |path: String| Plain::new(Method::GET, path);
    let head = |path: String| Plain::new(Method::HEAD, path);
    let delete = |path: String| Plain::new(Method::DELETE, path);
    let patch = |path: String| Plain::new(Method::PATCH, path).body("application/json", UPDATE);
    let form = |path: &str, form: String| {
        Plain::new(Method::POST, path).body("application/x-www-form-urlencoded", form)
    };
    match operation {
        "list_repository_names" => get("/acr/v1/_catalog".to_owned()),
        "get_repository_properties" => get(acr("")),
        "update_repository_properties" => patch(acr("")),
        "delete_repository" => delete(acr("")),
        "list_tag_properties" => get(acr("/_tags")),
        "get_tag_properties" => get(acr(&format!("/_tags/{tag}"))),
        "update_tag_properties" => patch(acr(&format!("/_tags/{tag}"))),
        "delete_tag" => delete(acr(&format!("/_tags/{tag}"))),
        "list_manifest_properties" => get(acr("/_manifests?n=1&orderby=timeasc")),
        "get_manifest_properties" => get(acr(&format!("/_manifests/{digest}"))),
        "update_manifest_properties" => patch(acr(&format!("/_manifests/{digest}"))),
        "ping" => get("/v2/".to_owned()),
        "list_repositories" => get("/v2/_catalog".to_owned()),
        "list_tags" => get(v2("tags/list")),
        "get_manifest" => get(v2(&format!("manifests/{tag}"))),
        "head_manifest" => head(v2(&format!("manifests/{tag}"))),
        "set_manifest" => Plain::new(Method::PUT, v2(&format!("manifests/{tag}")))
            .body(at.manifest.media_type.as_str(), at.manifest.bytes.clone()),
        "delete_manifest" => delete(v2(&format!("manifests/{digest}"))),
        "list_referrers" => get(v2(&format!("referrers/{digest}"))),
        "head_blob" => head(v2(&format!("blobs/{blob}"))),
        "get_blob" => get(v2(&format!("blobs/{blob}"))),
        "delete_blob" => delete(v2(&format!("blobs/{blob}"))),
        "mount_blob" => {
            let from = at.source.replace('/', "%2F");
            Plain::new(
                Method::POST,
                v2(&format!(
                    "blobs/uploads/?from={from}&mount={}",
                    at.source_blob
                )),
            )
        }
        "start_upload" => Plain::new(Method::POST, v2("blobs/uploads/")),
        "get_upload_status" => get(location.clone()),
        "upload_chunk" => {
            Plain::new(Method::PATCH, location).body("application/octet-stream", CONTENT)
        }
        "complete_upload" => {
            let digest = acr_client::Digest::sha256(CONTENT);
            let path = format!("{location}&digest={digest}");
            Plain::new(Method::PUT, path).body("application/octet-stream", CONTENT)
        }
        "cancel_upload" => delete(location.clone()),
        "exchange_entra_token" => form(
            "/oauth2/exchange",
            format!("grant_type=access_token&service={HOST}&access_token=of+an+owner"),
        ),
        "request_access_token" => form(
            "/oauth2/token",
            // Anonymous access, which needs no other token first.
            format!("grant_type=password&service={HOST}&scope=repository%3A{repository}%3Apull"),
        ),
        "request_access_token_with_login" => get(format!(
            "/oauth2/token?service={HOST}&scope=repository%3A{repository}%3Apull"
        )),
        other => panic!("the table has an operation without a request: {other}"),
    }
}

/// The scopes that a token needs; none for those that any token or none will do.
pub(super) fn scope(operation: &str, at: &Target) -> String {
    let actions = match operation {
        "list_repository_names" | "list_repositories" => return "registry:catalog:*".to_owned(),
        "ping"
        | "exchange_entra_token"
        | "request_access_token"
        | "request_access_token_with_login" => {
            return String::new();
        }
        "get_repository_properties"
        | "list_tag_properties"
        | "get_tag_properties"
        | "list_manifest_properties"
        | "get_manifest_properties"
        | "list_tags" => "metadata_read",
        "update_repository_properties" | "update_tag_properties" | "update_manifest_properties" => {
            "metadata_write"
        }
        "delete_repository" | "delete_tag" | "delete_manifest" | "delete_blob"
        | "cancel_upload" => "delete",
        "get_manifest" | "head_manifest" | "list_referrers" | "head_blob" | "get_blob"
        | "get_upload_status" => "pull",
        "mount_blob" => {
            return format!(
                "repository:{}:pull,push repository:{}:pull",
                at.repository, at.source
            );
        }
        "set_manifest" | "start_upload" | "upload_chunk" | "complete_upload" => "pull,push",
        other => panic!("the table has an operation without a scope: {other}"),
    };
    format!("repository:{}:{actions}", at.repository)
}

/// The plain response where all goes well: a status, what its body is, and headers.
pub(super) struct Expected {
    pub(super) status: u16,
    pub(super) body: String,
    /// A beginning is enough.
    pub(super) headers: Vec<(&'static str, String)>,
}

pub(super) fn expected(operation: &str, world: &World) -> Expected {
    let World {
        image,
        index,
        signature,
        target,
        ..
    } = world;
    let (digest, media_type) = (&image.digest, &image.media_type);
    let blob_path = |digest: &acr_client::Digest| format!("/v2/{APP}/blobs/{digest}");
    let upload = || {
        (
            "location",
            target.location.split('?').next().unwrap().to_owned(),
        )
    };
    let json = |status: u16, body: String| Expected {
        status,
        body: format!("{{{body}}}\n"),
        headers: vec![("content-type", "application/json; charset=utf-8".to_owned())],
    };
    let empty = |status: u16, headers: Vec<(&'static str, String)>| Expected {
        status,
        body: String::new(),
        headers,
    };
    // A tick after each other: the image, the index's two images, the index, the signature.
    let end = format!("{}6Z", START.strip_suffix("2Z").unwrap());
    let around = format!(r#""registry":"{HOST}","imageName":"{APP}""#);
    let times = format!(r#""createdTime":"{START}","lastUpdateTime":"{START}""#);
    let tag = |name: &str, digest: &acr_client::Digest, times: &str| {
        format!(
            r#"{{"name":"{name}","digest":"{digest}",{times},"signed":false,"changeableAttributes":{OPEN}}}"#
        )
    };
    let manifest = format!(
        r#"{{"digest":"{digest}","imageSize":{},{times},"architecture":"amd64","os":"linux","mediaType":"{media_type}","configMediaType":"application/vnd.oci.image.config.v1+json","tags":["v1"],"changeableAttributes":{OPEN}}}"#,
        image.as_image().unwrap().layers[0].size
    );
    let content_headers = || {
        vec![
            ("content-type", media_type.to_string()),
            ("content-length", image.bytes.len().to_string()),
            ("docker-content-digest", digest.to_string()),
            ("etag", format!("\"{digest}\"")),
        ]
    };
    match operation {
        "list_repository_names" | "list_repositories" => {
            json(200, format!(r#""repositories":["{APP}"]"#))
        }
        "get_repository_properties" | "update_repository_properties" => json(
            200,
            format!(
                r#"{around},"createdTime":"{START}","lastUpdateTime":"{end}","manifestCount":5,"tagCount":2,"changeableAttributes":{OPEN}"#
            ),
        ),
        "delete_repository" => {
            let children = index.as_index().unwrap().manifests;
            let mut digests: Vec<String> = children
                .iter()
                .map(|child| child.digest.to_string())
                .collect();
            digests.extend([digest, &index.digest, &signature.digest].map(ToString::to_string));
            digests.sort();
            json(
                202,
                format!(
                    r#""manifestsDeleted":["{}"],"tagsDeleted":["v1","v2"]"#,
                    digests.join("\",\"")
                ),
            )
        }
        "list_tag_properties" => {
            let third = format!("{}5Z", START.strip_suffix("2Z").unwrap());
            let index_times = format!(r#""createdTime":"{third}","lastUpdateTime":"{third}""#);
            let tags = [
                tag("v1", digest, &times),
                tag("v2", &index.digest, &index_times),
            ];
            json(200, format!(r#"{around},"tags":[{}]"#, tags.join(",")))
        }
        "get_tag_properties" | "update_tag_properties" => json(
            200,
            format!(r#"{around},"tag":{}"#, tag("v1", digest, &times)),
        ),
        "delete_tag" => empty(
            202,
            vec![("x-ms-int-docker-content-digest", digest.to_string())],
        ),
        "list_manifest_properties" => {
            let mut expected = json(200, format!(r#"{around},"manifests":[{manifest}]"#));
            let next = format!(
                "</acr/v1/{APP}/_manifests?last=638120483543176692%26sha256%3A{}&n=1&orderby=timeasc>",
                digest.hex()
            );
            expected
                .headers
                .push(("link", format!("{next}; rel=\"next\"")));
            expected
        }
        "get_manifest_properties" | "update_manifest_properties" => {
            json(200, format!(r#"{around},"manifest":{manifest}"#))
        }
        "ping" => Expected {
            body: "{}".to_owned(),
            ..json(200, String::new())
        },
        "list_tags" => json(200, format!(r#""name":"{APP}","tags":["v1","v2"]"#)),
        "get_manifest" => Expected {
            status: 200,
            body: String::from_utf8(image.bytes.to_vec()).unwrap(),
            headers: content_headers(),
        },
        "head_manifest" => empty(200, content_headers()),
        "set_manifest" => empty(
            201,
            vec![
                ("location", format!("/v2/{APP}/manifests/{digest}")),
                ("docker-content-digest", digest.to_string()),
            ],
        ),
        "delete_manifest" | "delete_blob" => empty(202, vec![("content-length", "0".to_owned())]),
        "list_referrers" => {
            let index_type = "application/vnd.oci.image.index.v1+json";
            let referrer = format!(
                r#"{{"mediaType":"{}","digest":"{}","size":{},"artifactType":"application/vnd.example.signature"}}"#,
                signature.media_type,
                signature.digest,
                signature.bytes.len()
            );
            Expected {
                headers: vec![("content-type", index_type.to_owned())],
                ..json(
                    200,
                    format!(
                        r#""schemaVersion":2,"mediaType":"{index_type}","manifests":[{referrer}]"#
                    ),
                )
            }
        }
        "head_blob" => empty(
            200,
            vec![
                ("content-length", "content of a blob".len().to_string()),
                ("content-type", "application/octet-stream".to_owned()),
                ("docker-content-digest", target.blob.to_string()),
            ],
        ),
        // The page that comes with a redirect repeats its target, which is signed; a test of the mock looks at it.
        "get_blob" => Expected {
            status: 307,
            body: "<a href=".to_owned(),
            headers: vec![
                ("location", "https://mock.data.invalid/".to_owned()),
                ("docker-content-digest", target.blob.to_string()),
            ],
        },
        "mount_blob" => empty(
            201,
            vec![
                ("location", blob_path(&target.source_blob)),
                ("docker-content-digest", target.source_blob.to_string()),
            ],
        ),
        "start_upload" => empty(
            202,
            vec![
                ("location", format!("/v2/{APP}/blobs/uploads/")),
                ("range", "0-0".to_owned()),
            ],
        ),
        "get_upload_status" => empty(204, vec![upload(), ("range", "0-0".to_owned())]),
        "upload_chunk" => empty(
            202,
            vec![upload(), ("range", format!("0-{}", CONTENT.len() - 1))],
        ),
        "complete_upload" => {
            let digest = acr_client::Digest::sha256(CONTENT);
            empty(
                201,
                vec![
                    ("location", blob_path(&digest)),
                    ("docker-content-digest", digest.to_string()),
                ],
            )
        }
        "cancel_upload" => empty(204, vec![("docker-upload-uuid", String::new())]),
        "exchange_entra_token" => Expected {
            body: r#"{"refresh_token":"#.to_owned(),
            ..json(200, String::new())
        },
        "request_access_token" | "request_access_token_with_login" => Expected {
            body: r#"{"access_token":"#.to_owned(),
            ..json(200, String::new())
        },
        other => panic!("the table has an operation without a response: {other}"),
    }
}

/// Whether the body holds what no test can foresee, so that its beginning is compared.
pub(super) fn is_opaque(operation: &str) -> bool {
    operation == "get_blob" || super::token::is_of_tokens(operation)
}

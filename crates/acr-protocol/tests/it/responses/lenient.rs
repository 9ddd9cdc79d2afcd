//! JSON as Go's decoder takes it: `null`, absent members, `{}` for a list without items.

use acr_protocol::Platform;
use acr_protocol::manifest::{ImageIndex, ImageManifest};

use super::*;

fn decode<O: Operation>(operation: &O, status: u16, body: &str) -> O::Output {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let (head, ()) = response.into_parts();
    let decoded = operation.decode(&head, Bytes::from(body.to_owned()));
    decoded.unwrap_or_else(|error| panic!("{} of {body}: {error}", O::SPEC.name))
}

#[test]
fn an_empty_list_may_be_null_absent_or_an_empty_object() {
    let (repository, query) = (name("a"), ListQuery::default());
    for member in ["{}", r#"{"x":1}"#, "{M:null}", "{M:[]}"] {
        let body = |list: &str| member.replace('M', &format!("\"{list}\""));
        let names = ListRepositoryNames {
            query: query.clone(),
        };
        assert!(decode(&names, 200, &body("repositories")).items.is_empty());
        let names = ListRepositories {
            query: query.clone(),
        };
        assert!(decode(&names, 200, &body("repositories")).items.is_empty());
        let tags = ListTags {
            repository: repository.clone(),
            query: query.clone(),
        };
        assert!(decode(&tags, 200, &body("tags")).items.is_empty());
        let tags = ListTagProperties {
            repository: repository.clone(),
            query: query.clone(),
            order: ArtifactTagOrder::None,
            digest: None,
        };
        assert!(decode(&tags, 200, &body("tags")).items.is_empty());
        let manifests = ListManifestProperties {
            repository: repository.clone(),
            query: query.clone(),
            order: ArtifactManifestOrder::None,
        };
        assert!(decode(&manifests, 200, &body("manifests")).items.is_empty());
        let digest = Digest::sha256(b"");
        let referrers = ListReferrers {
            repository: repository.clone(),
            digest,
            artifact_type: None,
            query: query.clone(),
        };
        assert!(decode(&referrers, 200, &body("manifests")).items.is_empty());
        let deleted = decode(
            &DeleteRepository {
                repository: repository.clone(),
            },
            202,
            &body("tagsDeleted"),
        );
        assert!(deleted.deleted().unwrap().deleted_tags.is_empty());
    }
}

#[test]
fn null_is_the_empty_value_of_whatever_it_stands_for() {
    let digest = Digest::sha256(b"");
    let descriptor = format!(
        r#"{{"mediaType":null,"digest":"{digest}","size":null,"urls":null,"data":null,"annotations":{{"k":null,"l":"m"}},"artifactType":null,"platform":{{"architecture":null,"os":null,"os.version":null,"os.features":null,"variant":null}}}}"#
    );
    let index: ImageIndex = serde_json::from_str(&format!(
        r#"{{"schemaVersion":null,"mediaType":null,"artifactType":null,"manifests":[{descriptor}],"subject":null,"annotations":null}}"#
    ))
    .unwrap();
    let entry = &index.manifests[0];
    assert_eq!((entry.media_type.as_str(), entry.size), ("", 0));
    assert_eq!(
        (&*entry.annotations["k"], &*entry.annotations["l"]),
        ("", "m")
    );
    assert_eq!(entry.platform, Some(Platform::default()));
    let image: ImageManifest = serde_json::from_str(&format!(
        r#"{{"schemaVersion":null,"config":{descriptor},"layers":null,"annotations":null}}"#
    ))
    .unwrap();
    assert!(image.layers.is_empty() && image.schema_version == 0);
    let properties = r#"{"registry":null,"imageName":"a","createdTime":"2024-01-24T06:16:24Z","lastUpdateTime":"2024-01-24T06:16:24Z","manifestCount":null,"changeableAttributes":null}"#;
    let properties: RepositoryProperties = serde_json::from_str(properties).unwrap();
    assert_eq!((properties.manifest_count, properties.tag_count), (0, 0));
}

#[test]
fn a_manifest_is_known_by_its_type_in_any_case() {
    let manifest = Manifest::new(
        r#"{"manifests":null}"#,
        "application/vnd.OCI.image.index.v1+JSON",
    );
    assert!(manifest.as_index().unwrap().manifests.is_empty());
    assert!(manifest.as_image().is_err());
}

#[test]
fn what_is_sent_stays_strict() {
    let index = serde_json::to_string(&ImageIndex::new(Vec::new())).unwrap();
    assert!(
        index.contains(r#""manifests":[]"#) && !index.contains("null"),
        "{index}"
    );
}

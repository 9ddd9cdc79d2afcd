//! Manifests: bytes that stay as they are, references that are checked, and what stands beside them.

use acr_client::models::Platform;
use acr_client::{
    Descriptor, Digest, ErrorKind, ImageIndex, ImageManifest, ListReferrersOptions, Manifest,
    MediaType, RepositoryClient,
};
use serde_json::json;

use crate::suite::backend::Served;

/// A config and a layer, as a manifest names them.
async fn blobs(app: &RepositoryClient, label: &str) -> (Descriptor, Descriptor) {
    let config = app
        .upload_blob(json!({ "architecture": "arm64", "os": "linux", "label": label }).to_string())
        .await;
    let layer = app.upload_blob(format!("layer of {label}")).await.unwrap();
    (
        Descriptor::new(
            MediaType::OCI_CONFIG,
            config.as_ref().unwrap().digest.clone(),
            config.unwrap().size,
        ),
        Descriptor::new(MediaType::OCI_LAYER_GZIP, layer.digest, layer.size),
    )
}

async fn image(app: &RepositoryClient, label: &str) -> Manifest {
    let (config, layer) = blobs(app, label).await;
    Manifest::try_from(&ImageManifest::new(config, vec![layer])).unwrap()
}

#[tokio::test]
async fn every_byte_of_a_manifest_comes_back() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let (config, layer) = blobs(&app, "odd").await;
    // Blanks, order, numbers, escapes and an end that no serialiser would write.
    let text = format!(
        "\n{{ \"layers\":[{{\"size\":{},\"digest\":\"{}\",\"mediaType\":\"{}\"}}],\r\n\t\"x\":1.50e0, \"\\u0061\":\"\\/\",\"config\":{{\"mediaType\":\"{}\",\"size\":{},\"digest\":\"{}\"}},\"schemaVersion\":2}}  \n\n",
        layer.size, layer.digest, layer.media_type, config.media_type, config.size, config.digest
    );
    let manifest = Manifest::new(text.clone(), MediaType::OCI_MANIFEST);
    assert_eq!(manifest.digest, Digest::sha256(&text));
    let accepted = app.set_manifest("odd", &manifest).await.unwrap();
    assert_eq!(accepted.digest, manifest.digest);
    for found in [
        app.get_manifest("odd").await.unwrap(),
        app.get_manifest(&manifest.digest).await.unwrap(),
    ] {
        assert_eq!(found.bytes, text);
        assert_eq!(found, manifest);
        assert_eq!(found.as_image().unwrap().layers[0].digest, layer.digest);
    }
}

#[tokio::test]
async fn a_whole_image_of_two_platforms_goes_up_and_down() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let mut children = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let image = image(&app, architecture).await;
        app.set_manifest(&image.digest, &image).await.unwrap();
        children.push(
            image
                .descriptor()
                .with_platform(Platform::new("linux", architecture)),
        );
    }
    let index = ImageIndex::new(children);
    app.set_manifest("v1", index).await.unwrap();

    let found = app.get_manifest("v1").await.unwrap().as_index().unwrap();
    for architecture in ["amd64", "arm64"] {
        let child = found
            .for_platform(&Platform::new("linux", architecture))
            .unwrap();
        let image = app.get_manifest(&child.digest).await.unwrap();
        assert_eq!(
            (image.bytes.len() as u64, &image.media_type),
            (child.size, &child.media_type)
        );
        for blob in image.as_image().unwrap().blobs() {
            let bytes = app.download_blob(&blob.digest).await.unwrap().bytes(1_000);
            let bytes = bytes.await.unwrap();
            assert_eq!(bytes.len() as u64, blob.size);
        }
    }
    assert_eq!(app.list_tags().collect_all().await.unwrap(), ["v1"]);
}

#[tokio::test]
async fn a_docker_manifest_keeps_its_type() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let (config, _) = blobs(&app, "docker").await;
    let text = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "digest": config.digest, "size": 1 },
        "layers": []
    });
    let manifest = Manifest::new(text.to_string(), MediaType::DOCKER_MANIFEST);
    app.set_manifest("docker", &manifest).await.unwrap();
    assert_eq!(
        app.get_manifest("docker").await.unwrap().media_type,
        MediaType::DOCKER_MANIFEST
    );
    assert_eq!(
        app.resolve("docker").await.unwrap().media_type,
        MediaType::DOCKER_MANIFEST
    );
    let properties = app.get_manifest_properties("docker").await.unwrap();
    assert_eq!(
        properties.config_media_type.unwrap(),
        "application/vnd.docker.container.image.v1+json"
    );
}

#[tokio::test]
async fn missing_blobs_are_named_one_by_one() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let missing = |text: &str| Descriptor::of(MediaType::OCI_LAYER_GZIP, text);
    let (config, present) = blobs(&app, "some").await;
    let manifest = ImageManifest::new(config, vec![missing("first"), present, missing("second")]);
    let error = app.set_manifest("v1", &manifest).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.reference()),
        (ErrorKind::Registry, Some("v1")),
        "{error}"
    );
    let details: Vec<_> = error
        .registry_errors()
        .iter()
        .map(|error| error.detail.clone().unwrap_or_default())
        .collect();
    assert_eq!(
        details,
        [
            json!(Digest::sha256("first")),
            json!(Digest::sha256("second"))
        ]
    );
    assert!(
        error
            .registry_errors()
            .iter()
            .all(|error| error.code == "MANIFEST_BLOB_UNKNOWN")
    );
}

#[tokio::test]
async fn a_reference_or_size_that_is_wrong_is_refused_before_anything_is_sent() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let image = image(&app, "v1").await;
    served.requests();
    let error = app.set_manifest(Digest::sha256("other"), &image).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    let large = Manifest::new(vec![b' '; (4 << 20) + 1], MediaType::OCI_MANIFEST);
    let error = app.set_manifest("large", &large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    for wrong in ["", ".v1", "a/b", "v 1", "sha256:short"] {
        let error = app.get_manifest(wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}: {error}");
    }
    assert!(served.requests().is_empty());
}

#[tokio::test]
async fn a_tag_that_moves_leaves_the_old_manifest_untagged() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let (old, new) = (image(&app, "old").await, image(&app, "new").await);
    app.set_manifest("latest", &old).await.unwrap();
    let before = app.get_tag_properties("latest").await.unwrap();
    app.set_manifest("latest", &new).await.unwrap();
    let after = app.get_tag_properties("latest").await.unwrap();
    assert_eq!(
        (&after.digest, after.created_on),
        (&new.digest, before.created_on)
    );
    assert!(after.last_updated_on > before.last_updated_on);
    assert!(
        app.get_manifest_properties(&old.digest)
            .await
            .unwrap()
            .tags
            .is_empty()
    );
    assert_eq!(app.get_manifest(&old.digest).await.unwrap(), old);
}

#[tokio::test]
async fn the_repository_goes_with_its_last_manifest() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let image = image(&app, "v1").await;
    assert_eq!(
        app.get_repository_properties().await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    app.set_manifest("v1", &image).await.unwrap();
    app.get_repository_properties().await.unwrap();
    assert!(app.delete_tag("v1").await.unwrap());
    assert_eq!(app.get_repository_properties().await.unwrap().tag_count, 0);
    assert!(app.delete_manifest(&image.digest).await.unwrap());
    assert_eq!(
        app.get_repository_properties().await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(app.delete_repository().await.unwrap().is_none());
}

#[tokio::test]
async fn deletes_of_what_is_not_there_are_no_errors() {
    let served = Served::new();
    let client = served.owner();
    for repository in ["samples/app", "no/where"] {
        let app = client.repository_client(repository).unwrap();
        if repository == "samples/app" {
            served.seed(repository).image("v1").unwrap();
        }
        let nowhere = Digest::sha256("nowhere");
        assert!(!app.delete_tag("none").await.unwrap());
        assert!(!app.delete_manifest("none").await.unwrap());
        assert!(!app.delete_manifest(&nowhere).await.unwrap());
        assert!(!app.delete_blob(&nowhere).await.unwrap());
    }
    assert!(
        client
            .delete_repository("no/where")
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        client
            .delete_repository("samples/app")
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        client
            .delete_repository("samples/app")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn referrers_come_newest_first_and_by_type() {
    let served = Served::new();
    let app = served.repository("samples/app");
    let subject = image(&app, "subject").await;
    app.set_manifest("v1", &subject).await.unwrap();
    let mut pushed = Vec::new();
    for (at, kind) in [
        "application/vnd.sbom+json",
        "application/vnd.signature",
        "application/vnd.sbom+json",
    ]
    .into_iter()
    .enumerate()
    {
        let (config, layer) = blobs(&app, &format!("artifact {at}")).await;
        let mut artifact = ImageManifest::new(config, vec![layer]);
        artifact.subject = Some(subject.descriptor());
        artifact.artifact_type = Some(kind.into());
        artifact
            .annotations
            .insert("number".to_owned(), at.to_string());
        let artifact = Manifest::try_from(&artifact).unwrap();
        let accepted = app.set_manifest(&artifact.digest, &artifact).await.unwrap();
        assert_eq!(accepted.subject.as_ref(), Some(&subject.digest));
        pushed.push(artifact.digest);
    }
    pushed.reverse();
    let all = app.list_referrers(&subject.digest).collect_all().await;
    let all = all.unwrap();
    assert_eq!(
        all.iter()
            .map(|referrer| &referrer.digest)
            .collect::<Vec<_>>(),
        pushed.iter().collect::<Vec<_>>()
    );
    assert_eq!(all[0].annotations["number"], "2");
    let filter = ListReferrersOptions {
        artifact_type: Some("application/vnd.sbom+json".into()),
        ..Default::default()
    };
    let sboms = app.list_referrers_with(&subject.digest, filter);
    let sboms = sboms.collect_all().await.unwrap();
    assert_eq!(
        sboms
            .iter()
            .map(|referrer| &referrer.digest)
            .collect::<Vec<_>>(),
        [&pushed[0], &pushed[2]]
    );
    let nothing = app.list_referrers(Digest::sha256("nowhere")).collect_all();
    let nothing = nothing.await.unwrap();
    assert!(nothing.is_empty());
}

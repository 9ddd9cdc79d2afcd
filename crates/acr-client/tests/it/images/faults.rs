//! Images on their way through registries that fail: the right bytes arrive, or a typed error and no tag.

use acr_client::image::{Copied, CopyOptions, copy, pull, push};
use acr_client::{Descriptor, Error, ErrorKind, ImageManifest, Manifest, MediaType, Outcome};
use acr_mock::{Fault, FaultAction, FaultResponse};

use super::site::Site;
use super::{contents, new_layout, seed_index};

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// An image on one registry, and one that has nothing.
fn scene() -> (Site, Site) {
    let site = Site::new();
    seed_index(&site.seed("app"), "v1", &PLATFORMS);
    let other = site.other();
    (site, other)
}

/// What may be struck twice without harm, at the target and at the source.
fn faults() -> Vec<(&'static str, FaultAction)> {
    let unavailable = FaultAction::Respond(FaultResponse::service_unavailable());
    let throttled =
        FaultAction::Respond(FaultResponse::status(http::StatusCode::TOO_MANY_REQUESTS));
    let mut all = vec![
        ("get_blob", FaultAction::CutBody(3)),
        ("complete_upload", FaultAction::LoseUpload),
        ("complete_upload", FaultAction::CorruptUpload),
    ];
    for operation in [
        "get_manifest",
        "head_manifest",
        "set_manifest",
        "get_blob",
        "head_blob",
        "mount_blob",
        "start_upload",
        "complete_upload",
    ] {
        for action in [
            &unavailable,
            &throttled,
            &FaultAction::Reset,
            &FaultAction::DropResponse,
        ] {
            all.push((operation, *action));
        }
    }
    all
}

fn strike(site: &Site, fault: Fault) {
    site.registry.inject(fault).unwrap();
}

#[test]
fn a_fault_that_passes_costs_no_byte_of_an_image() {
    for (operation, action) in faults() {
        let (site, other) = scene();
        let (from, to) = (site.repository("app"), other.repository("app"));
        let near = site.repository("near");
        let (_folder, layout) = new_layout();
        let expected = site.drive(contents(&from, "v1"));
        for struck in [&site, &other] {
            strike(struck, Fault::on(operation).times(2).then(action));
        }
        let case = format!("{operation} {action:?}");
        let options = CopyOptions::default;
        let copies: Vec<Result<Copied, Error>> = site.drive(async {
            vec![
                copy((&from, "v1"), &to, options()).await,
                copy((&from, "v1"), &near, options()).await,
                pull((&from, "v1"), &layout, options()).await,
                push(&layout, (&to, "v2"), options()).await,
            ]
        });
        for copied in copies {
            assert!(copied.is_ok(), "{case}: {copied:?}");
        }
        for struck in [&site, &other] {
            struck.registry.clear_faults();
        }
        for (repository, tag) in [(&to, "v1"), (&near, "v1"), (&to, "v2")] {
            let found = site.drive(contents(repository, tag));
            assert_eq!(found, expected, "{case}");
        }
    }
}

#[test]
fn a_registry_that_says_no_more_than_not_found_of_a_lost_upload_costs_no_image() {
    let (site, other) = scene();
    let (site, other) = (site.terse(), other.terse());
    let (from, to) = (site.repository("app"), other.repository("app"));
    let (config, layer) = (
        Descriptor::of(MediaType::OCI_CONFIG, "{}"),
        vec![7; 9 << 20],
    );
    let image = site.drive(async {
        from.upload_blob(b"{}").await.unwrap();
        let layer = from.upload_blob(layer).await.unwrap();
        let image = ImageManifest::new(config, vec![layer]);
        let image = Manifest::try_from(&image).unwrap();
        from.set_manifest("large", &image).await.unwrap()
    });
    let lost = FaultResponse::status(http::StatusCode::NOT_FOUND);
    strike(
        &other,
        Fault::on("upload_chunk").after(1).times(1).then(lost),
    );
    let copied = site.drive(copy((&from, "large"), &to, CopyOptions::default()));
    assert_eq!(copied.unwrap().count(Outcome::Sent), 3);
    let found = site.drive(to.head_manifest("large")).unwrap().unwrap();
    assert_eq!(found.digest, image.digest);
}

#[test]
fn a_source_that_is_not_found_is_not_copied_again_and_again() {
    let (site, other) = scene();
    let (site, other) = (site.terse(), other.terse());
    let (from, to) = (site.repository("app"), other.repository("app"));
    // The download breaks in its middle, and is not found when it goes on.
    let gone = FaultResponse::status(http::StatusCode::NOT_FOUND);
    strike(&site, Fault::on("get_blob").after(1).then(gone));
    strike(
        &site,
        Fault::on_data().times(1).then(FaultAction::CutBody(3)),
    );
    let options = CopyOptions {
        concurrency: 1,
        ..CopyOptions::default()
    };
    let error = site.drive(copy((&from, "v1"), &to, options)).unwrap_err();
    assert_eq!(error.status(), Some(http::StatusCode::NOT_FOUND), "{error}");
    let started = other.registry.requests().of("start_upload").unwrap();
    assert_eq!(started, 1, "{error}");
}

#[test]
fn a_fault_that_stays_is_an_error_without_a_tag_and_the_next_copy_goes_on() {
    for operation in ["get_blob", "complete_upload", "set_manifest"] {
        let (site, other) = scene();
        let (from, to) = (site.repository("app"), other.repository("app"));
        for struck in [&site, &other] {
            let fault = Fault::on(operation).after(2);
            strike(struck, fault.then(FaultResponse::service_unavailable()));
        }
        let options = CopyOptions {
            concurrency: 1,
            ..CopyOptions::default()
        };
        let copied = site.drive(copy((&from, "v1"), &to, options.clone()));
        let error = copied.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Registry, "{operation}: {error:?}");
        for struck in [&site, &other] {
            struck.registry.clear_faults();
        }
        let tagged = site.drive(to.head_manifest("v1")).unwrap();
        assert!(tagged.is_none(), "{operation}");
        let copied = site.drive(copy((&from, "v1"), &to, options)).unwrap();
        // Two of them had gone over before.
        assert!(
            copied.count(Outcome::Present) >= 2,
            "{operation}: {copied:?}"
        );
        let expected = site.drive(contents(&from, "v1"));
        assert_eq!(site.drive(contents(&to, "v1")), expected, "{operation}");
    }
}

#[test]
fn a_byte_that_was_flipped_on_the_way_is_never_put_under_the_digest() {
    let (site, other) = scene();
    let (from, to) = (site.repository("app"), other.repository("app"));
    strike(&site, Fault::on("get_blob").then(FaultAction::FlipByte(2)));
    strike(&site, Fault::on_data().then(FaultAction::FlipByte(2)));
    let (folder, layout) = new_layout();
    for copied in site.drive(async {
        [
            copy((&from, "v1"), &to, CopyOptions::default()).await,
            pull((&from, "v1"), &layout, CopyOptions::default()).await,
        ]
    }) {
        assert_eq!(copied.unwrap_err().kind(), ErrorKind::DigestMismatch);
    }
    assert!(site.drive(to.head_manifest("v1")).unwrap().is_none());
    assert!(layout.images().unwrap().is_empty());
    let left = std::fs::read_dir(folder.path().join("layout/blobs/sha256")).unwrap();
    assert_eq!(left.count(), 0, "no partial file, and no blob");
}

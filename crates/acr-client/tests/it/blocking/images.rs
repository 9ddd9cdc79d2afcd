//! Whole images, copied by a thread that waits.

use acr_client::blocking::image;
use acr_client::image::{Artifact, AttachOptions, CopyOptions, Layout};
use acr_client::{BlobSource, ErrorKind, Outcome};

use crate::blocking::served::Served;

const SBOM: &str = "application/spdx+json";

fn with_referrers() -> CopyOptions {
    CopyOptions {
        referrers: true,
        ..CopyOptions::default()
    }
}

#[test]
fn an_image_is_pulled_pushed_copied_and_gets_an_sbom() {
    for served in Served::both() {
        let seeded = served.registry.seed("dev").unwrap();
        let digest = seeded.index("v1").unwrap().digest;
        let (dev, prod) = (served.repository("dev"), served.repository("prod"));
        let source = BlobSource::bytes("{}");
        let sbom = Artifact::new(SBOM).with_layer(SBOM, source);
        let sbom = image::attach(&dev, "v1", sbom, AttachOptions::default()).unwrap();

        let copied = image::copy((&dev, "v1"), (&prod, "v2"), with_referrers()).unwrap();
        assert!(copied.count(Outcome::Mounted) > 0);
        assert_eq!(prod.resolve("v2").unwrap().digest, digest);
        let referrers = prod.list_referrers(&digest).collect_all().unwrap();
        assert_eq!(referrers, [sbom]);

        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        image::pull((&prod, "v2"), &layout, CopyOptions::default()).unwrap();
        let again = served.repository("again");
        image::push(&layout, (&again, "v3"), CopyOptions::default()).unwrap();
        assert_eq!(again.resolve("v3").unwrap().digest, digest);

        // Neither side has a thread behind it.
        let archive = Layout::create_tar(folder.path().join("image.tar"));
        image::copy(&layout, &archive, CopyOptions::default()).unwrap();
        assert_eq!(archive.images().unwrap()[0].digest, digest);
    }
}

#[test]
fn a_client_that_was_copied_from_works_on_when_the_target_s_is_gone() {
    let (from, to) = (Served::over_tls(), Served::over_tls());
    from.registry.seed("app").unwrap().index("v1").unwrap();
    let app = from.repository("app");
    for _ in 0..2 {
        let target = to.repository("app");
        image::copy((&app, "v1"), &target, CopyOptions::default()).unwrap();
        assert!(target.resolve("v1").is_ok());
    }
    drop(to);
    assert!(app.resolve("v1").is_ok());
}

#[tokio::test]
async fn a_copy_within_an_async_runtime_is_refused() {
    let served = Served::in_process();
    served.registry.seed("app").unwrap().image("v1").unwrap();
    let (app, other) = (served.repository("app"), served.repository("other"));
    let error = image::copy((&app, "v1"), &other, CopyOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains("async runtime"), "{error}");
}

//! What a listener is told while an image is on its way.

use std::sync::{Arc, Mutex};

use acr_client::image::{CopyOptions, copy};
use acr_client::{ImageManifest, Manifest, MediaType, OnProgress, Outcome, Progress};

use super::seed_index;
use super::site::Site;

#[tokio::test]
async fn the_events_of_an_image_add_up_and_end_with_an_outcome_for_each_content() {
    let site = Site::new();
    seed_index(&site.seed("app"), "v1", &["linux/amd64", "linux/arm64"]);
    let (app, near, far) = (
        site.repository("app"),
        site.repository("near"),
        site.other().repository("far"),
    );
    for (to, sent) in [(&near, 3), (&far, 9), (&far, 0)] {
        let events: Arc<Mutex<Vec<Progress>>> = Arc::default();
        let kept = events.clone();
        let options = CopyOptions {
            on_progress: OnProgress::from(move |event: &Progress| {
                kept.lock().unwrap().push(event.clone());
            }),
            ..CopyOptions::default()
        };
        let copied = copy((&app, "v1"), to, options).await.unwrap();
        assert_eq!(copied.count(Outcome::Sent), sent);
        let events = events.lock().unwrap();
        let mut ended: Vec<_> = events
            .iter()
            .filter_map(|event| Some((event.digest.clone()?, event.outcome?)))
            .collect();
        let mut expected: Vec<_> = copied
            .contents
            .iter()
            .map(|(content, outcome)| (content.digest.clone(), *outcome))
            .collect();
        ended.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
        expected.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
        assert_eq!(ended, expected);
        let total: u64 = copied
            .contents
            .iter()
            .map(|(content, _)| content.size)
            .sum();
        let last = events.last().unwrap().image.unwrap();
        assert_eq!((last.bytes, last.total), (total, total));
        assert_eq!((last.contents_done, last.contents), (9, 9));
        for event in events.iter() {
            let image = event.image.unwrap();
            assert!(image.bytes <= image.total && image.contents_done <= image.contents);
        }
    }
}

#[tokio::test]
async fn sizes_beyond_all_numbers_are_no_panic() {
    let site = Site::new();
    let seed = site.seed("app");
    let mut blobs = ["config", "one", "two"].map(|text| seed.blob(MediaType::OCTET_STREAM, text));
    for blob in &mut blobs {
        blob.size = u64::MAX;
    }
    let [config, one, two] = blobs;
    let image = Manifest::try_from(&ImageManifest::new(config, vec![one, two])).unwrap();
    seed.manifest(Some("v1"), &image).unwrap();
    let (app, near) = (site.repository("app"), site.repository("near"));
    let (on_progress, mut events) = OnProgress::stream();
    let options = CopyOptions {
        on_progress,
        ..CopyOptions::default()
    };
    copy((&app, "v1"), &near, options).await.unwrap();
    let mut last = None;
    while let Some(event) = events.next().await {
        last = event.image;
    }
    let last = last.unwrap();
    assert_eq!((last.bytes, last.total), (u64::MAX, u64::MAX));
}

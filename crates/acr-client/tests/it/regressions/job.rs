//! A long job in bad weather: ten thousand operations over two hundred repositories, while tokens expire
//! every fifty operations, one response in twenty is a 429, a 503 or none at all, and the refresh token
//! dies twice. Every operation must end in success, or in an error that says why.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use acr_client::{
    Advice, ChangeableAttributes, Credential, Error, Manifest, RepositoryClient, RetryOptions,
};
use acr_mock::{Fault, FaultAction, FaultResponse};
use futures_util::{StreamExt as _, stream};

use crate::regressions::support::Scene;
use crate::seeded;

const REPOSITORIES: usize = 200;

/// One of the kinds of work that jobs are made of.
async fn operation(at: usize, app: RepositoryClient, image: Manifest) -> Result<(), Error> {
    let tag = format!("job-{at}");
    match at % 10 {
        0 => app.get_tag_properties("v1").await.map(drop),
        1 => app.get_manifest("v1").await.map(drop),
        2 => app.head_manifest(&image.digest).await.map(drop),
        3 => app.list_tag_properties().collect_all().await.map(drop),
        4 => app.set_manifest(tag, &image).await.map(drop),
        5 => app.delete_tag(format!("job-{}", at - 1)).await.map(drop),
        6 => {
            let blob = app
                .upload_blob(format!("blob of {at}").into_bytes())
                .await?;
            app.head_blob(&blob.digest).await.map(drop)
        }
        7 => {
            let digest = image.as_image()?.config.digest;
            app.download_blob(&digest)
                .await?
                .bytes(1 << 20)
                .await
                .map(drop)
        }
        8 => {
            let attributes = ChangeableAttributes::default().can_list(true);
            app.update_tag_properties("v1", attributes).await.map(drop)
        }
        _ => app
            .list_referrers(&image.digest)
            .collect_all()
            .await
            .map(drop),
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    operations: usize,
    failures: BTreeMap<String, usize>,
    requests: u64,
    exchanges: u64,
    tokens: u64,
    struck: u64,
    /// Requests that the work needs when nothing goes wrong.
    least: u64,
    /// When it was over, with all its pauses.
    end: SystemTime,
}

/// Runs the job with so many operations at once, under this share of faults.
fn job(count: usize, at_once: usize, share: f64, retry: RetryOptions) -> Outcome {
    // Each operation takes a second by the clock, and an access token lives for fifty.
    let support = Scene::with(|builder| {
        builder
            .access_token_life(Duration::from_secs(50))
            .refresh_token_life(Duration::from_secs(100_000))
            .upload_limit(100_000)
    });
    let mut images = Vec::new();
    for at in 0..REPOSITORIES {
        images.push(support.seed(&format!("team/app-{at}")).image("v1").unwrap());
    }
    let builder = support.builder(Credential::entra_token("any")).retry(retry);
    let client = builder.build().unwrap();
    let weather = Fault::any()
        .share(share)
        .seed(42)
        .then(FaultResponse::too_many_requests().retry_after(1))
        .then(FaultResponse::service_unavailable())
        .then(FaultAction::Reset)
        .then(FaultResponse::too_many_requests())
        .then(FaultAction::DropResponse);
    let weather = support.registry.inject(weather).unwrap();
    let storm = Fault::on_data()
        .share(share)
        .seed(43)
        .then(FaultResponse::service_unavailable())
        .then(FaultAction::Reset);
    let storm = support.registry.inject(storm).unwrap();

    let operations = stream::iter(0..count).map(|at| {
        // Neighbours belong together: what one pushes the next one deletes.
        let place = (at / 2) % REPOSITORIES;
        let app = client
            .repository_client(format!("team/app-{place}"))
            .unwrap();
        let (support, image) = (&support, images[place].clone());
        async move {
            if at == count / 3 || at == 2 * count / 3 {
                support.registry.revoke_refresh_tokens();
            }
            support.clock.advance(Duration::from_secs(1));
            operation(at, app, image).await
        }
    });
    let outcomes: Vec<_> = support.drive(operations.buffered(at_once).collect());
    assert_eq!(outcomes.len(), count);
    let mut failures = BTreeMap::new();
    for error in outcomes.into_iter().filter_map(Result::err) {
        // Whatever fails says what it is, where, and what to do.
        assert!(error.operation().is_some(), "{error:?}");
        // That an upload is over is all that can be known when its last responses were lost.
        let advice = [Advice::RetryAfter, Advice::NewSession];
        assert!(advice.contains(&error.advice()), "{error:?}");
        let why = format!("{:?} {:?}", error.kind(), error.status());
        *failures.entry(why).or_insert(0) += 1;
    }
    let requests = support.registry.requests();
    Outcome {
        operations: count,
        failures,
        requests: requests.total(),
        exchanges: requests.of("exchange_entra_token").unwrap(),
        tokens: requests.of("request_access_token").unwrap(),
        struck: weather.count() + storm.count(),
        // Of ten operations one costs three requests and a half's upload two, one a redirect.
        least: (count / 10 * (8 + 3 + 2)) as u64,
        end: support.clock.now(),
    }
}

impl Outcome {
    fn print(&self, name: &str) {
        println!(
            "{name}: {} operations, {} requests, {} struck, {} exchanges, {} tokens, failures {:?}",
            self.operations, self.requests, self.struck, self.exchanges, self.tokens, self.failures
        );
    }
}

#[test]
fn a_job_survives_bad_weather_one_by_one_and_many_at_once() {
    for (count, at_once) in [(1_000, 1), (10_000, 16)] {
        let outcome = job(count, at_once, 0.05, seeded::retry());
        outcome.print(&format!("{at_once} at once"));
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        let retried = outcome.requests - outcome.tokens - outcome.exchanges - outcome.least;
        // A fault costs one repetition, or two where a lost response is asked after.
        assert!(
            retried <= 2 * outcome.struck,
            "{retried} for {}",
            outcome.struck
        );
        // No operation needs more than two tokens, each of which may be struck.
        assert!(outcome.tokens <= 3 * count as u64, "{}", outcome.tokens);
        // The first one, one after each death of the refresh token, and repetitions of these.
        assert!(
            (3..=9).contains(&outcome.exchanges),
            "{}",
            outcome.exchanges
        );
    }
}

#[test]
fn a_job_with_the_same_seed_is_the_same_to_the_nanosecond() {
    let played = |seed| {
        let retry = RetryOptions {
            seed: Some(seed),
            ..seeded::retry()
        };
        job(500, 16, 0.3, retry)
    };
    let once = played(1);
    assert_eq!(played(1), once);
    assert_ne!(played(2).end, once.end);
}

#[test]
fn a_job_in_a_gale_says_of_each_operation_why_it_failed() {
    let impatient = RetryOptions {
        max_retries: 1,
        ..seeded::retry()
    };
    let outcome = job(1_000, 16, 0.4, impatient);
    outcome.print("a gale");
    let failed: usize = outcome.failures.values().sum();
    assert!((100..900).contains(&failed), "{failed}");
}

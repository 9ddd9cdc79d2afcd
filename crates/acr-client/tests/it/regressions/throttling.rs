use std::time::Duration;

use acr_client::transport::{Body, from_fn};
use acr_client::{Advice, CallOptions, ErrorKind, RepositoryClient, RetryOptions};
use acr_mock::{Fault, FaultAction, FaultResponse, OperationClass, Throttle};
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response};

use crate::regressions::support::Scene;
use crate::seeded;

#[test]
fn retry_after_is_waited_for_in_seconds_and_as_a_date() {
    for refuse in [
        FaultResponse::too_many_requests().retry_after(20),
        FaultResponse::too_many_requests().retry_after_date(Duration::from_secs(20)),
        FaultResponse::service_unavailable().retry_after(20),
    ] {
        let support = Scene::new();
        support.seed("app").image("v1").unwrap();
        let app = support.owner().repository_client("app").unwrap();
        support.drive(app.get_manifest("v1")).unwrap();
        let busy = Fault::on("get_manifest").times(1).then(refuse);
        support.registry.inject(busy).unwrap();
        let (response, took) = support.timed(app.get_manifest("v1"));
        response.unwrap();
        let asked = Duration::from_secs(19)..Duration::from_secs(24);
        assert!(asked.contains(&took), "{took:?}");
    }
}

#[test]
fn without_retry_after_the_tries_are_not_burnt_at_once() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let app = support.owner().repository_client("app").unwrap();
    let busy = Fault::on("get_manifest")
        .times(4)
        .then(FaultResponse::too_many_requests());
    support.registry.inject(busy).unwrap();
    let (response, took) = support.timed(app.get_manifest("v1"));
    response.unwrap();
    assert!(took >= Duration::from_millis(3700), "{took:?}");
}

#[test]
fn a_registry_that_asks_for_an_hour_is_not_waited_for() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let app = support.owner().repository_client("app").unwrap();
    let busy = Fault::on("get_manifest").then(FaultResponse::too_many_requests().retry_after(3600));
    support.registry.inject(busy).unwrap();
    let (response, took) = support.timed(app.get_manifest("v1"));
    let error = response.unwrap_err();
    assert_eq!(error.advice(), Advice::RetryAfter);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert!(error.to_string().contains("too long a pause"), "{error}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_registry_that_is_down_is_not_asked_five_times_for_everything() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let client = support
        .builder(acr_client::Credential::password("ci", "hunter2"))
        .retry(RetryOptions {
            retry_budget: 20,
            ..seeded::retry()
        })
        .build()
        .unwrap();
    let app = client.repository_client("app").unwrap();
    support.drive(app.get_manifest("v1")).unwrap();
    let down = Fault::on("get_manifest").then(FaultResponse::service_unavailable());
    support.registry.inject(down).unwrap();
    support.registry.reset_requests();
    let calls = (0..100).map(|_| app.get_manifest("v1"));
    let outcomes = support.drive(join_all(calls));
    let told = |text: &str| {
        let failures = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        failures
            .filter(|error| error.to_string().contains(text))
            .count()
    };
    assert!(told("budget of retries is used up") >= 80);
    assert_eq!(support.count("get_manifest"), 120);
}

#[test]
fn a_deadline_ends_an_operation_whatever_it_waits_for() {
    for fault in [
        Fault::on("get_manifest").then(FaultResponse::service_unavailable()),
        Fault::on("get_manifest").then(FaultAction::Hang),
        Fault::on("get_manifest").then(FaultAction::StallBody(1)),
        Fault::on("get_manifest").then(FaultAction::SlowBody {
            bytes: 1,
            pause: Duration::from_secs(2),
        }),
        Fault::on("request_access_token_with_login").then(FaultAction::Hang),
    ] {
        let deadline = Some(Duration::from_secs(3));
        let of_the_client = RetryOptions {
            deadline,
            ..seeded::retry()
        };
        let of_the_call = CallOptions {
            deadline,
            ..CallOptions::default()
        };
        for (retry, call) in [
            (of_the_client, CallOptions::default()),
            (seeded::retry(), of_the_call),
        ] {
            let support = Scene::new();
            support.seed("app").image("v1").unwrap();
            let shown = format!("{fault:?}, {call:?}");
            support.registry.inject(fault.clone()).unwrap();
            let client = support.builder(acr_client::Credential::password("ci", "hunter2"));
            let client = client.retry(retry).build().unwrap();
            let app = client.with(call).repository_client("app").unwrap();
            let (response, took) = support.timed(app.get_manifest("v1"));
            let error = response.unwrap_err();
            assert!(took <= Duration::from_secs(3), "{shown}: {took:?}");
            assert!(
                matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Registry),
                "{shown}: {error}"
            );
            assert!(error.to_string().contains("deadline"), "{shown}: {error}");
        }
    }
}

#[test]
fn a_call_has_retries_of_its_own() {
    let support = Scene::new();
    let app = support.owner().repository_client("app").unwrap();
    let down = Fault::on("get_manifest").then(FaultResponse::service_unavailable());
    support.registry.inject(down).unwrap();
    for (max_retries, expected) in [(Some(0), 1), (Some(6), 7), (None, 5)] {
        support.registry.reset_requests();
        let call = CallOptions {
            max_retries,
            ..CallOptions::default()
        };
        let call = app.with(call);
        support.drive(call.get_manifest("v1")).unwrap_err();
        assert_eq!(support.count("get_manifest"), expected);
    }
}

/// A handle that waits so many seconds for a replica.
fn patient(app: &RepositoryClient, seconds: u64) -> RepositoryClient {
    app.with(CallOptions {
        wait_for_replication: Some(Duration::from_secs(seconds)),
        ..CallOptions::default()
    })
}

#[test]
fn a_class_with_a_tight_limit_does_not_slow_the_others_down() {
    let support =
        Scene::with(|builder| builder.throttle(OperationClass::Referrers, Throttle::per_second(2)));
    let seed = support.seed("app");
    let image = seed.image("v1").unwrap();
    let app = support.owner().repository_client("app").unwrap();
    let referrers = join_all((0..40).map(|_| {
        let (app, digest) = (app.clone(), image.digest.clone());
        async move { app.list_referrers(digest).collect_all().await.unwrap() }
    }));
    let started = acr_mock::Clock::now(&support.clock);
    let reads = async {
        for _ in 0..100 {
            app.get_manifest("v1").await.unwrap();
        }
        acr_mock::Clock::now(&support.clock)
            .duration_since(started)
            .unwrap()
    };
    let ((_, reads), all) = support.timed(futures_util::future::join(referrers, reads));
    assert!(reads < Duration::from_secs(1), "{reads:?}");
    assert!(all > Duration::from_secs(15), "{all:?}");
}

#[test]
fn a_limit_is_learnt_and_not_run_into_again_and_again() {
    let support =
        Scene::with(|builder| builder.throttle(OperationClass::Manifest, Throttle::per_second(20)));
    support.seed("app").image("v1").unwrap();
    let app = support.owner().repository_client("app").unwrap();
    let calls = stream::iter((0..2000).map(|_| app.get_manifest("v1"))).buffer_unordered(64);
    let (outcomes, took) = support.timed(calls.collect::<Vec<_>>());
    assert!(outcomes.iter().all(Result::is_ok));
    let sent = support.count("get_manifest");
    println!(
        "2000 calls at 20 a second: {took:?}, {} refused",
        sent - 2000
    );
    // 100 seconds are the least that the limit allows.
    assert!(took < Duration::from_secs(160), "{took:?}");
    assert!(sent < 2200, "{sent} requests for 2000 calls");
}

#[test]
fn time_in_the_client_s_own_queue_is_not_charged_to_the_deadline() {
    let support = Scene::new();
    let seed = support.seed("app");
    for at in 0..120 {
        seed.image(format!("v{at}")).unwrap();
    }
    let client = support
        .builder(acr_client::Credential::entra_token("any"))
        .retry(RetryOptions {
            deadline: Some(Duration::from_secs(5)),
            ..seeded::retry()
        })
        .build()
        .unwrap();
    let app = client.repository_client("app").unwrap();
    // The registry says that eight deletes a second are allowed, and is believed.
    let calls = (0..120).map(|at| app.delete_tag(format!("v{at}")));
    let (outcomes, took) = support.timed(join_all(calls));
    for outcome in outcomes {
        assert!(outcome.unwrap());
    }
    assert!(took > Duration::from_secs(10), "{took:?}");
}

#[test]
fn what_was_just_pushed_is_waited_for_on_every_replica() {
    let lag = Duration::from_secs(8);
    let support = Scene::with(|builder| builder.replication_lag(lag));
    let image = support.seed("app").image("v1").unwrap();
    let app = support.owner().repository_client("app").unwrap();
    let error = support.drive(app.get_manifest("v1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");

    let replicated = patient(&app, 30);
    let (found, took) = support.timed(replicated.get_manifest("v1"));
    assert_eq!(found.unwrap(), image);
    assert!(took >= lag - Duration::from_secs(1), "{took:?}");

    let (missing, took) = support.timed(replicated.get_manifest("v2"));
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(took, Duration::from_secs(30));
    let (missing, took) = support.timed(replicated.head_manifest("v2"));
    assert_eq!((missing.unwrap(), took), (None, Duration::from_secs(30)));
}

#[test]
fn a_manifest_whose_blobs_have_not_arrived_is_pushed_again() {
    let support = Scene::new();
    let app = support.owner().repository_client("app").unwrap();
    let image = support.seed("other").image("v1").unwrap();
    let pushing = async {
        let replicated = patient(&app, 30);
        replicated.set_manifest("v1", &image).await.unwrap();
    };
    let arriving = async {
        let clock = &support.clock;
        acr_mock::Clock::sleep(clock, Duration::from_secs(5)).await;
        for blob in image.as_image().unwrap().blobs() {
            let bytes = support
                .owner()
                .repository_client("other")
                .unwrap()
                .download_blob(&blob.digest)
                .await
                .unwrap()
                .bytes(1 << 20)
                .await
                .unwrap();
            let _ = support.seed("app").blob(blob.media_type.clone(), bytes);
        }
    };
    support.drive(futures_util::future::join(pushing, arriving));
    assert!(support.count("set_manifest") > 1);
}

#[test]
fn a_retry_after_of_nothing_does_not_burn_the_tries_at_once() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let app = support.owner().repository_client("app").unwrap();
    let busy = Fault::on("get_manifest")
        .times(4)
        .then(FaultResponse::service_unavailable().retry_after(0));
    support.registry.inject(busy).unwrap();
    let (response, took) = support.timed(app.get_manifest("v1"));
    response.unwrap();
    assert!(took >= Duration::from_millis(3700), "{took:?}");
}

#[test]
fn waiting_for_a_replica_ends_where_there_are_no_pauses_too() {
    let support = Scene::new();
    let requests = std::sync::atomic::AtomicU32::new(0);
    let missing = from_fn(move |_: Request<Body>| {
        let count = requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert!(count < 1000, "it does not end");
        let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":""}]}"#;
        std::future::ready(
            Response::builder()
                .status(404)
                .body(body.to_owned())
                .unwrap(),
        )
    });
    let client = support
        .builder(acr_client::Credential::anonymous())
        .transport(missing)
        .assume_azure_auth(false)
        .retry(RetryOptions {
            base_delay: Duration::ZERO,
            ..seeded::retry()
        })
        .build()
        .unwrap();
    let app = client.repository_client("app").unwrap();
    let replicated = patient(&app, 10);
    let (missing, took) = support.timed(replicated.get_manifest("v1"));
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(took, Duration::from_secs(10));
}

#[test]
fn the_patience_for_a_replica_is_time_and_not_pauses_alone() {
    let support = Scene::new();
    let app = support.owner().repository_client("app").unwrap();
    let slow = Fault::on("get_manifest").then(FaultAction::DelayResponse(Duration::from_secs(6)));
    support.registry.inject(slow).unwrap();
    let replicated = patient(&app, 10);
    let (missing, took) = support.timed(replicated.get_manifest("v1"));
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    // From the first miss on, and the last response may be under way when it ends.
    assert!(took <= Duration::from_secs(6 + 10 + 6), "{took:?}");
}

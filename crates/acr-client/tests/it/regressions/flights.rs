//! Requests for tokens that fail, hang, drip, or are given up, and those who wait for them.

use std::time::Duration;

use acr_client::auth::Secret;
use acr_client::{CallOptions, Credential, ErrorKind, RepositoryClient};
use acr_mock::{Fault, FaultAction, FaultResponse, OperationClass};
use futures_util::future::join_all;

use crate::regressions::support::{HOUR, Scene};
use crate::seeded;

fn repository(support: &Scene) -> RepositoryClient {
    support.owner().repository_client("app").unwrap()
}

#[test]
fn a_renewal_that_fails_is_not_tried_again_at_every_call() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let app = repository(&support);
    support.drive(async {
        app.get_tag_properties("v1").await.unwrap();
        // The last tenth of the 75 minutes of an access token.
        support.clock.advance(HOUR * 70 / 60);
        let down =
            Fault::on_class(OperationClass::Token).then(FaultResponse::service_unavailable());
        let down = support.registry.inject(down).unwrap();
        support.registry.reset_requests();
        for _ in 0..20 {
            app.get_tag_properties("v1").await.unwrap();
        }
        assert_eq!(
            support.count("request_access_token"),
            5,
            "once, with retries"
        );
        down.remove();
        support.clock.advance(HOUR / 60);
        app.get_tag_properties("v1").await.unwrap();
        assert_eq!(support.count("request_access_token"), 6);
    });
}

#[test]
fn an_exchange_that_fails_is_not_tried_again_for_every_token() {
    let support = Scene::new();
    let names: Vec<String> = (0..20).map(|at| format!("app-{at}")).collect();
    for name in &names {
        support.seed(name).image("v1").unwrap();
    }
    let client = support.owner();
    support.drive(async {
        client.get_repository_properties("app-0").await.unwrap();
        // The last tenth of the three hours and a quarter of a refresh token.
        support.clock.advance(HOUR * 185 / 60);
        let down = Fault::on("exchange_entra_token").then(FaultResponse::service_unavailable());
        let down = support.registry.inject(down).unwrap();
        support.registry.reset_requests();
        for name in &names {
            client
                .get_repository_properties(name.as_str())
                .await
                .unwrap();
        }
        assert_eq!(
            support.count("exchange_entra_token"),
            5,
            "once, with retries"
        );
        down.remove();
        support.clock.advance(HOUR * 3 / 60);
        let app = client.repository_client("app-0").unwrap();
        app.get_manifest("v1").await.unwrap();
        assert_eq!(support.count("exchange_entra_token"), 6);
    });
}

#[test]
fn a_refresh_token_that_dies_under_callers_of_many_scopes_is_exchanged_once() {
    let support = Scene::new();
    let names: Vec<String> = (0..16).map(|at| format!("app-{at}")).collect();
    for name in &names {
        support.seed(name).image("v1").unwrap();
    }
    let client = support.owner();
    support.drive(async {
        client.get_repository_properties("app-0").await.unwrap();
        support.registry.revoke_refresh_tokens();
        support.registry.revoke_access_tokens();
        support.registry.reset_requests();
        let calls = names
            .iter()
            .map(|name| client.get_repository_properties(name.as_str()));
        for outcome in join_all(calls).await {
            outcome.unwrap();
        }
    });
    assert_eq!(support.count("exchange_entra_token"), 1);
}

#[test]
fn a_caller_who_gives_up_does_not_leave_the_others_waiting() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let app = repository(&support);
    let slow = Fault::on_class(OperationClass::Token)
        .then(FaultAction::DelayResponse(Duration::from_secs(10)));
    support.registry.inject(slow).unwrap();
    support.drive(async {
        let mut first = Box::pin(app.get_tag_properties("v1"));
        let mut second = Box::pin(app.get_tag_properties("v1"));
        // The first one begins the request for the token; the other one waits for the same.
        std::future::poll_fn(|cx| {
            assert!(first.as_mut().poll(cx).is_pending());
            assert!(second.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        drop(first);
        second.await.unwrap();
    });
    assert_eq!(support.count("exchange_entra_token"), 1);
    assert_eq!(support.count("request_access_token"), 1);
}

#[test]
fn a_token_that_drips_does_not_hold_every_call_up_for_hours() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let app = repository(&support);
    let drip = Fault::on("request_access_token").then(FaultAction::SlowBody {
        bytes: 1,
        pause: Duration::from_secs(30),
    });
    support.registry.inject(drip).unwrap();
    let calls = (0..8).map(|_| app.get_tag_properties("v1"));
    let (outcomes, took) = support.timed(join_all(calls));
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Timeout);
    }
    assert!(took < HOUR / 6, "{took:?}");
}

#[test]
fn a_source_of_tokens_that_hangs_does_not_outlast_the_deadline() {
    #[derive(Debug)]
    struct Hangs;

    #[acr_client::async_trait]
    impl acr_client::auth::TokenSource for Hangs {
        async fn token(
            &self,
            _: &acr_client::auth::Audience,
        ) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>> {
            std::future::pending().await
        }
    }

    let support = Scene::new();
    let builder = support.builder(Credential::entra(Hangs));
    let deadline = Duration::from_secs(30);
    let builder = builder.retry(acr_client::RetryOptions {
        deadline: Some(deadline),
        ..seeded::retry()
    });
    let app = builder.build().unwrap().repository_client("app").unwrap();
    let (outcome, took) = support.timed(app.get_tag_properties("v1"));
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(took, deadline);
}

/// The handle with a deadline of 5 seconds for each call.
fn hurried(app: &RepositoryClient) -> RepositoryClient {
    app.with(CallOptions {
        deadline: Some(Duration::from_secs(5)),
        ..CallOptions::default()
    })
}

#[test]
fn a_call_with_a_deadline_does_not_fail_for_a_slow_renewal_while_its_token_lives() {
    let support = Scene::new();
    support.seed("app").image("v1").unwrap();
    let app = repository(&support);
    support.drive(app.get_tag_properties("v1")).unwrap();
    // In the last tenth of the token's life.
    support.clock.advance(Duration::from_secs(70 * 60));
    let slow = Fault::on("request_access_token").then(FaultAction::Hang);
    support.registry.inject(slow).unwrap();
    for _ in 0..2 {
        let (outcome, took) = support.timed(hurried(&app).get_tag_properties("v1"));
        outcome.unwrap();
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    assert_eq!(support.count("request_access_token"), 2);
}

#[test]
fn a_call_that_has_no_time_for_a_token_does_not_make_the_client_ask_anew_what_the_registry_wants() {
    let support = Scene::new();
    let image = support.seed("app").image("v1").unwrap();
    let login = Credential::password("ci", "hunter2");
    let builder = support.builder_at("https://registry.example", login);
    let client = builder.build().unwrap();
    let app = client.repository_client("app").unwrap();
    support.drive(app.get_tag_properties("v1")).unwrap();
    let slow = Fault::on("request_access_token_with_login").times(1);
    support
        .registry
        .inject(slow.then(FaultAction::Hang))
        .unwrap();
    let other = client.repository_client("other").unwrap();
    let late = support.drive(hurried(&other).get_tag_properties("v1"));
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Timeout);
    support.seen();
    support.drive(app.set_manifest("v2", &image)).unwrap();
    let expected = ["GET /oauth2/token", "PUT /v2/app/manifests/v2"];
    assert_eq!(support.paths(), expected);
}

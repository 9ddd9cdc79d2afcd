//! Which requests a fault strikes, and how often.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use acr_mock::protocol::Route;
use acr_mock::{Fault, FaultAction, FaultError, FaultResponse, OperationClass};
use futures_util::FutureExt as _;
use http::StatusCode;

use crate::raw::support::{PULL, Raw};

/// A registry with the same image in two repositories, and a token for all that the tests ask.
fn filled() -> (Raw, String) {
    let raw = Raw::new();
    for repository in ["app", "other"] {
        raw.registry.seed(repository).unwrap().image("v1").unwrap();
    }
    let token = raw.issued("repository:app:pull,push repository:other:pull registry:catalog:*");
    (raw, token)
}

fn open() -> Raw {
    Raw::with(|builder| builder.authentication(false))
}

fn ping(raw: &Raw) -> u16 {
    raw.get("/v2/").send().status
}

/// How each of so many pings is served.
fn pings(raw: &Raw, count: usize) -> Vec<u16> {
    (0..count).map(|_| ping(raw)).collect()
}

fn busy() -> FaultResponse {
    FaultResponse::service_unavailable()
}

#[test]
fn a_fault_is_aimed_by_name_class_or_at_any_operation() {
    let aims: [(Fault, [u16; 4]); 4] = [
        (Fault::on("get_manifest"), [503, 200, 200, 200]),
        (
            Fault::on_class(OperationClass::Manifest),
            [503, 503, 200, 200],
        ),
        (Fault::on_class(OperationClass::Token), [200, 200, 200, 503]),
        (Fault::any(), [503; 4]),
    ];
    for (fault, expected) in aims {
        let (raw, token) = filled();
        raw.registry.inject(fault.then(busy())).unwrap();
        let responses = [
            raw.get("/v2/app/manifests/v1").bearer(&token).send(),
            raw.head("/v2/app/manifests/v1").bearer(&token).send(),
            raw.get("/acr/v1/_catalog").bearer(&token).send(),
            raw.post("/oauth2/exchange")
                .form("grant_type=access_token&service=x&access_token=entra")
                .send(),
        ];
        assert_eq!(responses.map(|response| response.status), expected);
    }
}

#[test]
fn the_data_origin_is_a_target_of_its_own() {
    let (raw, token) = filled();
    let digest = raw.registry.seed("app").unwrap().blob("text/plain", "text");
    let path = format!("/v2/app/blobs/{}", digest.digest);
    let url = |raw: &Raw| {
        let redirect = raw.get(&path).bearer(&token).expect(307);
        redirect.header("location").to_owned()
    };
    let data = raw.registry.inject(Fault::on_data().then(busy())).unwrap();
    let url = url(&raw);
    raw.get(&url).expect(503);
    raw.head(&url).expect(503);
    assert_eq!(data.count(), 2);
    data.remove();
    raw.registry.inject(Fault::any().then(busy())).unwrap();
    raw.get(&url).expect(200);
}

#[test]
fn a_repository_s_name_narrows_it() {
    let (raw, token) = filled();
    let fault = Fault::any().in_repository("app").then(busy());
    raw.registry.inject(fault).unwrap();
    for (path, status) in [
        ("/v2/app/manifests/v1", 503),
        ("/v2/other/manifests/v1", 200),
        ("/acr/v1/_catalog", 200),
    ] {
        raw.get(path).bearer(&token).expect(status);
    }
    // Of a mount it is the target.
    let zeros = "0".repeat(64);
    let mount = format!("/v2/app/blobs/uploads/?mount=sha256:{zeros}&from=other");
    raw.post(mount).bearer(&token).expect(503);
}

#[test]
fn the_first_matches_pass_and_the_strikes_are_counted_down() {
    let raw = open();
    let fault = Fault::on("ping").after(2).times(3).then(busy());
    let fault = raw.registry.inject(fault).unwrap();
    assert_eq!(pings(&raw, 7), [200, 200, 503, 503, 503, 200, 200]);
    assert_eq!(fault.count(), 3);
    // Without a number it goes on.
    let fault = raw.registry.inject(Fault::on("ping").then(busy())).unwrap();
    assert_eq!(pings(&raw, 5), [503; 5]);
    assert_eq!(fault.count(), 5);
    // None at all is possible too.
    raw.registry.clear_faults();
    let never = Fault::on("ping").times(0).then(busy());
    let never = raw.registry.inject(never).unwrap();
    assert_eq!((ping(&raw), never.count()), (200, 0));
}

#[test]
fn requests_without_good_credentials_are_neither_struck_nor_counted_unless_it_is_said() {
    let (raw, token) = filled();
    let get = |token: Option<&str>| {
        let ask = raw.get("/v2/app/manifests/v1");
        match token {
            Some(token) => ask.bearer(token).send().status,
            None => ask.send().status,
        }
    };
    let fault = Fault::on("get_manifest").after(1).times(1).then(busy());
    raw.registry.inject(fault).unwrap();
    let good = Some(token.as_str());
    let statuses = [None, good, None, Some("forged"), good].map(get);
    assert_eq!(statuses, [401, 200, 401, 401, 503]);

    let fault = Fault::any().before_credentials().times(2).then(busy());
    raw.registry.inject(fault).unwrap();
    assert_eq!((ping(&raw), get(Some("forged"))), (503, 503));
    assert_eq!((ping(&raw), get(Some("forged"))), (401, 401));
}

#[test]
fn what_is_no_operation_is_served_as_ever_and_a_malformed_parameter_is_no_excuse() {
    let raw = open();
    let fault = Fault::any().before_credentials().then(busy());
    let fault = raw.registry.inject(fault).unwrap();
    raw.get("/v2/UPPER/manifests/v1").expect_not_routed();
    raw.get("/elsewhere").expect(404);
    raw.put("/v2/").expect(405);
    assert_eq!(fault.count(), 0);
    raw.get("/acr/v1/_catalog?n=x").expect(503);
}

#[test]
fn of_several_faults_the_first_strikes_and_the_next_takes_over() {
    let raw = open();
    let inject = |fault: Fault| raw.registry.inject(fault).unwrap();
    let first = inject(Fault::on("ping").times(2).then(busy()));
    let second = inject(
        Fault::any()
            .times(1)
            .then(FaultResponse::too_many_requests()),
    );
    let third = inject(
        Fault::on("ping")
            .after(1)
            .then(FaultResponse::bad_gateway()),
    );
    assert_eq!(pings(&raw, 5), [503, 503, 429, 200, 502]);
    assert_eq!([first, second, third].map(|fault| fault.count()), [2, 1, 1]);
}

#[test]
fn a_share_is_picked_by_the_seed_and_by_nothing_else() {
    let picks = |share: f64, seed: u64| {
        let raw = open();
        let fault = Fault::any().share(share).seed(seed).then(busy());
        raw.registry.inject(fault).unwrap();
        pings(&raw, 1_000)
    };
    let struck = |statuses: &[u16]| statuses.iter().filter(|status| **status == 503).count();
    let seven = picks(0.05, 7);
    assert_eq!(seven, picks(0.05, 7));
    assert_ne!(seven, picks(0.05, 8));
    assert!((25..=80).contains(&struck(&seven)), "{}", struck(&seven));
    // A larger share of the same seed holds the smaller one.
    let half = picks(0.5, 7);
    assert!((430..=570).contains(&struck(&half)), "{}", struck(&half));
    let mut both = seven.iter().zip(&half);
    assert!(both.all(|(few, many)| few <= many));
    assert_eq!((struck(&picks(0.0, 7)), struck(&picks(1.0, 7))), (0, 1_000));
}

#[test]
fn a_share_begins_behind_the_matches_that_pass_and_ends_with_its_times() {
    let picks = |fault: Fault| {
        let raw = open();
        raw.registry.inject(fault.then(busy())).unwrap();
        pings(&raw, 200)
    };
    let share = || Fault::any().share(0.5).seed(3);
    let (plain, later) = (picks(share()), picks(share().after(10)));
    assert_eq!(later[..10], [200; 10]);
    assert_eq!(later[10..], plain[..190]);
    let few = picks(share().times(5));
    assert_eq!(few.iter().filter(|status| **status == 503).count(), 5);
}

#[test]
fn several_actions_take_turns() {
    let raw = open();
    let fault = Fault::any()
        .after(1)
        .times(5)
        .then(FaultResponse::too_many_requests())
        .then(busy())
        .then(FaultAction::Reset);
    raw.registry.inject(fault).unwrap();
    // A reset is 502 here.
    let statuses: Vec<u16> = (0..8)
        .map(|_| {
            let response = raw.get("/v2/").attempt().now_or_never().unwrap();
            response.map_or(0, |response| response.status().as_u16())
        })
        .collect();
    assert_eq!(statuses, [200, 429, 503, 0, 429, 503, 200, 200]);
}

#[test]
fn an_action_whose_turn_it_is_waits_for_a_request_that_it_fits() {
    let raw = open();
    let fault = Fault::any().then(busy()).then(FaultAction::LoseUpload);
    let fault = raw.registry.inject(fault).unwrap();
    assert_eq!(pings(&raw, 3), [503, 200, 200]);
    let location = "/v2/app/blobs/uploads/0a0a0a0a-0000-4000-8000-000000000000?_state=x";
    raw.get(location).expect(404);
    assert_eq!((ping(&raw), fault.count()), (503, 3));
}

#[test]
fn a_fault_is_removed_by_its_handle_and_all_by_the_registry() {
    let raw = open();
    let inject = |refuse: FaultResponse| {
        let fault = Fault::on("ping").then(refuse);
        raw.registry.inject(fault).unwrap()
    };
    let first = inject(busy());
    // Nobody keeps this handle.
    drop(inject(FaultResponse::too_many_requests()));
    assert_eq!(ping(&raw), 503);
    first.remove();
    first.remove();
    assert_eq!(ping(&raw), 429);
    raw.registry.clear_faults();
    assert_eq!(ping(&raw), 200);
    assert_eq!(first.count(), 1, "it is remembered");
    let again = inject(busy());
    assert_eq!((ping(&raw), again.count()), (503, 1));
}

#[test]
fn as_many_are_struck_as_may_be_however_many_ask_at_once() {
    let raw = Arc::new(open());
    let fault = Fault::on("ping").after(10).times(100).then(busy());
    let fault = raw.registry.inject(fault).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let raw = raw.clone();
            thread::spawn(move || pings(&raw, 50))
        })
        .collect();
    let statuses = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap());
    assert_eq!(statuses.filter(|status| *status == 503).count(), 100);
    assert_eq!(fault.count(), 100);
}

#[test]
fn every_operation_s_name_is_known_and_a_mistaken_one_is_said_at_once() {
    let raw = open();
    for name in Route::NAMES {
        raw.registry
            .inject(Fault::on(*name).then(FaultAction::Reset))
            .unwrap();
    }
    raw.registry.clear_faults();
    for name in ["get_manifst", "GetManifest", "", "get_manifest "] {
        let error = raw
            .registry
            .inject(Fault::on(name).then(FaultAction::Reset))
            .unwrap_err();
        let text = error.to_string();
        assert_eq!(
            error,
            FaultError::UnknownOperation {
                name: name.to_owned()
            }
        );
        assert!(text.contains(&format!("{name:?}")), "{text}");
        assert!(text.contains("get_manifest, head_manifest"), "{text}");
    }
}

#[test]
fn a_fault_that_could_never_strike_is_refused_and_says_why() {
    use FaultAction::{CorruptUpload, LoseUpload, Reset, ResetAfterTaking};
    let raw = open();
    let on = |name: &str| Fault::on(name);
    let class = Fault::on_class;
    for (fault, why) in [
        (Fault::any(), "has no action"),
        (
            Fault::any().in_repository("UPPER").then(Reset),
            "\"UPPER\" is not a repository name",
        ),
        (
            Fault::any().share(1.5).then(Reset),
            "share 1.5 of a fault is not between 0 and 1",
        ),
        (Fault::any().share(-0.1).then(Reset), "between 0 and 1"),
        (Fault::any().share(f64::NAN).then(Reset), "between 0 and 1"),
        (
            Fault::on_data().in_repository("app").then(Reset),
            "the data origin has no repository",
        ),
        (
            on("ping").in_repository("app").then(Reset),
            "ping has no repository",
        ),
        (
            class(OperationClass::Token)
                .in_repository("app")
                .then(Reset),
            "Token has no repository",
        ),
        (
            on("get_blob").then(LoseUpload),
            "get_blob has no open upload",
        ),
        (
            class(OperationClass::Manifest).then(CorruptUpload),
            "Manifest has no open upload",
        ),
        (Fault::on_data().then(LoseUpload), "has no open upload"),
        (
            on("get_blob").then(ResetAfterTaking(1)),
            "get_blob has no request body",
        ),
        (
            Fault::on_data().then(ResetAfterTaking(1)),
            "has no request body",
        ),
        (
            Fault::on_data().then(FaultAction::RefuseBodyOver(1)),
            "has no request body",
        ),
        (
            on("list_tags").then(FaultAction::IgnoreRange),
            "list_tags has no byte range",
        ),
        (
            on("get_blob").then(FaultAction::ChangeEtag),
            "get_blob has no ETag",
        ),
        (
            Fault::on_data().then(FaultResponse::stale_location()),
            "the data origin has no open upload",
        ),
        (
            on("get_blob").then(FaultResponse::expired_url()),
            "get_blob has no signed URL",
        ),
        (
            Fault::any().then(Reset).then(FaultResponse::expired_url()),
            "has no signed URL",
        ),
        (
            Fault::on_data().then(FaultResponse::invalid_token()),
            "the data origin has no token",
        ),
        (
            Fault::any().then(FaultResponse::status(StatusCode::OK)),
            "status 200 OK of a fault's response",
        ),
        (
            Fault::any().then(FaultResponse::status(StatusCode::CONTINUE)),
            "is not one of 400 to 599",
        ),
    ] {
        let error = raw.registry.inject(fault).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(ping(&raw), 200, "none of them is at work");
}

#[test]
fn faults_and_throttles_go_side_by_side() {
    let throttle = acr_mock::Throttle::per_second(1);
    let raw = Raw::with(|builder| builder.throttle(OperationClass::Manifest, throttle));
    raw.registry.seed("app").unwrap().image("v1").unwrap();
    let token = raw.issued(PULL);
    let fault = Fault::on("get_manifest").times(1).then(busy());
    raw.registry.inject(fault).unwrap();
    let get = || raw.get("/v2/app/manifests/v1").bearer(&token).send().status;
    // What a fault refuses is not carried out, so the throttle has not counted it.
    assert_eq!([get(), get(), get()], [503, 200, 429]);
    raw.clock.advance(Duration::from_secs(1));
    assert_eq!(get(), 200);
}

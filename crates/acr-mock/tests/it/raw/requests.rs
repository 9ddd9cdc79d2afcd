//! The counts of requests.

use acr_mock::protocol::Route;
use acr_mock::{Fault, FaultAction, FaultResponse};
use futures_util::FutureExt as _;

use crate::raw::support::{PULL, Raw};

#[test]
fn requests_are_counted_by_operation_whatever_comes_of_them() {
    let raw = Raw::new();
    let blob = raw.registry.seed("app").unwrap().blob("text/plain", "text");
    let token = raw.issued(PULL);
    assert_eq!(raw.registry.requests().total(), 0, "seeds are not requests");

    raw.get("/v2/").expect(401);
    raw.get("/v2/").bearer(&token).expect(200);
    let fault = Fault::on("ping").then(FaultResponse::too_many_requests());
    raw.registry.inject(fault).unwrap();
    raw.get("/v2/").bearer(&token).expect(429);
    raw.registry.clear_faults();
    raw.registry
        .inject(Fault::on("ping").then(FaultAction::Reset))
        .unwrap();
    let lost = raw.get("/v2/").bearer(&token).attempt().now_or_never();
    assert!(lost.unwrap().is_err());

    let path = format!("/v2/app/blobs/{}", blob.digest);
    let redirect = raw.get(path).bearer(&token).expect(307);
    raw.get(redirect.header("location")).expect(200);
    raw.get("/v2/app/tags/list?n=x").expect(401);
    raw.get("/elsewhere").expect(404);
    raw.put("/v2/").expect(405);

    let requests = raw.registry.requests();
    assert_eq!((requests.total(), requests.data()), (9, 1));
    assert_eq!(
        requests.iter().collect::<Vec<_>>(),
        [("ping", 4), ("list_tags", 1), ("get_blob", 1)]
    );
    assert_eq!(
        (requests.of("ping"), requests.of("delete_tag")),
        (Some(4), Some(0))
    );
    assert_eq!(requests.of("pnig"), None);
    assert_eq!(
        format!("{requests:?}"),
        r#"{"total": 9, "data": 1, "ping": 4, "list_tags": 1, "get_blob": 1}"#
    );

    raw.registry.reset_requests();
    let requests = raw.registry.requests();
    assert_eq!((requests.total(), requests.data()), (0, 0));
    assert!(Route::NAMES.iter().all(|name| requests.of(name) == Some(0)));
}

#[test]
fn requests_that_a_firewall_or_a_bound_refuses_are_counted_too() {
    let raw = Raw::with(|builder| builder.firewall([]).head_limit(100));
    raw.get("/v2/").expect(403);
    let long = "x".repeat(200);
    raw.get("/v2/").header("x-long", &long).expect(431);
    let requests = raw.registry.requests();
    // Of a head over the bound nothing is read.
    assert_eq!((requests.total(), requests.of("ping")), (2, Some(1)));
}

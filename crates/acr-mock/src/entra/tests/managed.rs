//! The identity endpoints.

use super::*;

/// Status and body at an identity endpoint with these headers.
fn managed(
    registry: &Registry,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let head = request.body(()).unwrap().into_parts().0;
    body_of(match target.starts_with(IDENTITY_PATH) {
        true => registry.entra().app_service(&head, "secret"),
        false => registry.entra().metadata(&head),
    })
}

#[test]
fn a_managed_identity_gets_a_token_that_satisfies_every_library() {
    let registry = Registry::builder()
        .managed_identity(ManagedIdentity::system_assigned(TENANT))
        .managed_identity(ManagedIdentity::user_assigned(TENANT, CLIENT))
        .build();
    let app_service = [("X-IDENTITY-HEADER", "secret")];
    let metadata = [("Metadata", "true")];
    for (path, headers) in [(IDENTITY_PATH, app_service), (METADATA_PATH, metadata)] {
        for (query, client) in [
            ("", None),
            ("&client_id=", None),
            (
                "&client_id=11111111-2222-3333-4444-555555555555",
                Some(CLIENT),
            ),
        ] {
            let target = format!(
                "{path}?api-version=2019-08-01&resource=https%3A%2F%2Fcontainerregistry.azure.net{query}"
            );
            let before = wall_seconds();
            let (status, body) = managed(&registry, Method::GET, &target, &headers);
            assert_eq!(status, 200, "{body}");
            assert_eq!(
                (&body["resource"], &body["token_type"]),
                (&json!(REGISTRY_AUDIENCE), &json!("Bearer"))
            );
            let end: u64 = body["expires_on"].as_str().unwrap().parse().unwrap();
            assert!(end >= before + LIFE.as_secs());
            if let Some(client) = client {
                assert_eq!(body["client_id"], client);
            }
            assert_eq!(
                exchange(&registry, body["access_token"].as_str().unwrap(), None).0,
                200
            );
        }
    }
}

#[test]
fn an_identity_endpoint_refuses_what_is_missing_or_wrong() {
    let registry = Registry::builder()
        .managed_identity(ManagedIdentity::user_assigned(TENANT, CLIENT))
        .managed_identity(ManagedIdentity::user_assigned(TENANT, "other"))
        .build();
    let right = "api-version=2018-02-01&resource=https://management.azure.com/";
    let app_service: &[(&str, &str)] = &[("X-IDENTITY-HEADER", "secret")];
    let metadata: &[(&str, &str)] = &[("Metadata", "true")];
    for (path, query, headers, expected) in [
        (IDENTITY_PATH, right, &[][..], 400),
        (IDENTITY_PATH, right, &[("X-IDENTITY-HEADER", "wrong")], 401),
        (IDENTITY_PATH, right, metadata, 400),
        // A probe.
        (METADATA_PATH, "", &[], 400),
        (METADATA_PATH, right, &[("Metadata", "false")], 400),
        (METADATA_PATH, "", metadata, 400),
        (METADATA_PATH, "api-version=2018-02-01", metadata, 400),
        (
            METADATA_PATH,
            "resource=https://management.azure.com",
            metadata,
            400,
        ),
        (
            IDENTITY_PATH,
            "api-version=1&resource=https://vault.azure.net",
            app_service,
            400,
        ),
        // There are two, and none is the system's.
        (IDENTITY_PATH, right, app_service, 400),
        (
            IDENTITY_PATH,
            &format!("{right}&client_id=unknown"),
            app_service,
            400,
        ),
        (
            IDENTITY_PATH,
            &format!("{right}&client_id={CLIENT}&mi_res_id=any"),
            app_service,
            400,
        ),
    ] {
        let target = format!("{path}?{query}");
        let (status, body) = managed(&registry, Method::GET, &target, headers);
        assert_eq!(status.as_u16(), expected, "{target} {body}");
        assert!(body["error_description"].is_string() && body["message"].is_string());
    }
    let target = format!("{METADATA_PATH}?{right}&client_id={CLIENT}");
    assert_eq!(managed(&registry, Method::POST, &target, metadata).0, 405);
    assert_eq!(managed(&registry, Method::GET, &target, metadata).0, 200);
}

//! Applications that come without a secret.

use super::*;

/// A JWT that the application's key has signed.
fn assertion(header: Value, claims: &Value, algorithm: &'static dyn RsaEncoding) -> String {
    let mut header = header;
    header["typ"] = "JWT".into();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(claims));
    let key = rustls::pki_types::pem::PemObject::from_pem_slice(KEY.as_bytes());
    let key: rustls::pki_types::PrivatePkcs8KeyDer<'_> = key.unwrap();
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        algorithm,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn an_application_comes_in_with_its_certificate_and_with_no_other() {
    let mut known = application();
    known
        .certificates
        .push(Certificate::new(CERTIFICATE).unwrap());
    let known = registry(known);
    let der: rustls::pki_types::CertificateDer<'_> =
        rustls::pki_types::pem::PemObject::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let thumbprint = |algorithm| URL_SAFE_NO_PAD.encode(ring::digest::digest(algorithm, &der));
    let sha1 = thumbprint(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    let sha256 = thumbprint(&ring::digest::SHA256);
    let claims = |change: Value| {
        let mut claims = json!({
            "aud": format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"), "iss": CLIENT, "sub": CLIENT,
            "exp": wall_seconds() + 600, "nbf": wall_seconds(), "jti": "1"
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let good = claims(json!({}));
    let sign = |registry: &Registry, assertion: &str| {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let members = [
            ("client_assertion", assertion),
            ("client_assertion_type", kind),
        ];
        let (status, body) = token_with(registry, &members);
        (status.as_u16(), body["error_codes"][0].as_u64())
    };
    let rs256 = json!({ "alg": "RS256", "x5t": sha1 });
    let ps256 = json!({ "alg": "PS256", "x5t#S256": sha256 });
    for good in [
        assertion(rs256.clone(), &good, &RSA_PKCS1_SHA256),
        assertion(ps256.clone(), &good, &RSA_PSS_SHA256),
        assertion(
            ps256.clone(),
            &claims(json!({ "aud": format!("{BASE}/{TENANT}/v2.0") })),
            &RSA_PSS_SHA256,
        ),
    ] {
        assert_eq!(sign(&known, &good), (200, None));
        assert_eq!(sign(&registry(application()), &good), (401, Some(700_027)));
    }
    let signed = |claims: &Value| assertion(ps256.clone(), claims, &RSA_PSS_SHA256);
    let whole = signed(&good);
    let other = signed(&claims(json!({ "jti": "2" })));
    let borrowed = format!(
        "{}.{}",
        whole.rsplit_once('.').unwrap().0,
        other.rsplit_once('.').unwrap().1
    );
    for (bad, code) in [
        (borrowed, 700_027),
        (assertion(rs256, &good, &RSA_PSS_SHA256), 700_027),
        (
            assertion(
                json!({ "alg": "none", "x5t": sha1 }),
                &good,
                &RSA_PKCS1_SHA256,
            ),
            700_027,
        ),
        (
            assertion(
                json!({ "alg": "PS256", "x5t": "other" }),
                &good,
                &RSA_PSS_SHA256,
            ),
            700_027,
        ),
        (signed(&claims(json!({ "iss": "other" }))), 700_021),
        (signed(&claims(json!({ "sub": "other" }))), 700_021),
        (
            signed(&claims(
                json!({ "aud": "https://elsewhere/other/oauth2/v2.0/token" }),
            )),
            700_023,
        ),
        (
            signed(&claims(json!({ "exp": wall_seconds() - 3600 }))),
            700_024,
        ),
        (signed(&claims(json!({ "exp": null }))), 700_024),
        (
            signed(&claims(json!({ "nbf": wall_seconds() + 3600 }))),
            700_024,
        ),
    ] {
        assert_eq!(sign(&known, &bad), (401, Some(code)));
    }
    Certificate::new("no certificate").unwrap_err();
}

#[test]
fn an_application_comes_in_with_a_token_of_its_cluster() {
    let mut application = application();
    application.federated.push(FederatedCredential::new(
        "https://cluster.example/",
        "system:serviceaccount:a:b",
    ));
    let registry = registry(application);
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let sign_in = |claims: &Value| {
        let assertion = format!(
            "{}.{}.any",
            encode(&json!({ "alg": "RS256" })),
            encode(claims)
        );
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let members = [
            ("client_assertion", &*assertion),
            ("client_assertion_type", kind),
        ];
        let (status, body) = token_with(&registry, &members);
        (status.as_u16(), body["error_codes"][0].as_u64())
    };
    let good = json!({
        "iss": "https://cluster.example/", "sub": "system:serviceaccount:a:b", "aud": ["api://AzureADTokenExchange"]
    });
    assert_eq!(sign_in(&good), (200, None));
    for (name, value) in [
        ("iss", "https://other.example/"),
        ("sub", "system:serviceaccount:a:c"),
        ("aud", "other"),
    ] {
        let mut bad = good.clone();
        bad[name] = value.into();
        assert_eq!(sign_in(&bad), (401, Some(70_021)));
    }
    let mut old = good;
    old["exp"] = 1.into();
    assert_eq!(sign_in(&old), (401, Some(700_024)));
}

#[test]
fn a_token_of_the_mock_s_own_cluster_is_taken_only_with_its_signature() {
    let registry = Registry::new();
    let (tenant, client, _) = registry.service_principal().unwrap();
    let sign_in = |assertion: &str| {
        let members = [
            ("client_id", &*client),
            ("grant_type", "client_credentials"),
            ("scope", SCOPE),
            ("client_assertion", assertion),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
        ];
        let body = form(&members);
        let request = Request::post(format!("/{tenant}/oauth2/v2.0/token"))
            .header("Content-Type", "application/x-www-form-urlencoded");
        let (status, body) = ask(&registry, request.body(&*body).unwrap());
        (status.as_u16(), body["error_codes"][0].as_u64())
    };
    let credential = directory::of_workload();
    let claims = json!({
        "iss": credential.issuer, "sub": credential.subject, "aud": [credential.audience], "exp": wall_seconds() + 600
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}", encode(&json!({ "alg": "ES256" })), encode(&claims));
    let other = Registry::new().entra().workload_token();
    let refused = (401, Some(700_027));
    // Before the key is there, and after.
    for _ in 0..2 {
        for forged in [
            format!("{unsigned}."),
            format!("{unsigned}.AAAA"),
            other.clone(),
        ] {
            assert_eq!(sign_in(&forged), refused);
        }
        let own = registry.entra().workload_token();
        assert_eq!(sign_in(&own), (200, None));
        let (_, signature) = own.rsplit_once('.').unwrap();
        assert_eq!(sign_in(&format!("{unsigned}.{signature}")), refused);
    }
}

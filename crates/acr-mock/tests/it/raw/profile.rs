//! What does not depend on the profile: authentication above all. What does is in `oci`.

use acr_mock::Profile;

use crate::raw::support::{DELETE, HOST, PULL, READ, Raw, escape};

const PROFILES: [Profile; 2] = [Profile::Acr, Profile::Oci];

#[test]
fn credentials_are_asked_for_alike() {
    for profile in PROFILES {
        let raw = Raw::with(|builder| builder.profile(profile).user("ci", "secret"));
        raw.push_image("app", "v1");
        let path = "/v2/app/manifests/v1";
        let refused = raw.get(path).expect(401);
        let challenge = format!(
            r#"Bearer realm="https://{HOST}/oauth2/token",service="{HOST}",scope="repository:app:pull""#
        );
        refused.expect_header("www-authenticate", challenge);
        // The flow of a client that knows tokens only from the challenge.
        let scope = escape(PULL);
        let response = raw.get(format!("/oauth2/token?scope={scope}&service={HOST}"));
        let response = response.basic("ci", "secret").expect(200);
        let token = response.member("access_token");
        raw.get(path).bearer(&token).expect(200);
        let refused = raw.delete(path).bearer(&token).expect(401);
        refused.has_challenge_error("insufficient_scope");
        raw.get("/v2/app/tags/list").expect(401);
        raw.get("/acr/v1/app").bearer(&token).expect(401);
    }
}

#[test]
fn both_speak_the_metadata_api_and_keep_the_locks() {
    for profile in PROFILES {
        let raw = Raw::with(|builder| builder.profile(profile));
        let manifest = raw.push_image("app", "v1");
        raw.set_locks("app", "/_tags/v1", r#"{"writeEnabled":false}"#);
        raw.delete(format!("/v2/app/manifests/{manifest}"))
            .scope(DELETE)
            .expect_disallowed();
        let tags = raw.get("/acr/v1/app/_tags").scope(READ);
        assert_eq!(tags.expect(200).json()["tags"][0]["name"], "v1");
    }
}

#[test]
fn the_redirect_is_the_profile_s_unless_it_is_said() {
    for (profile, redirect, expected) in [
        (Profile::Acr, None, 307),
        (Profile::Acr, Some(true), 307),
        (Profile::Acr, Some(false), 200),
        (Profile::Oci, None, 200),
        (Profile::Oci, Some(true), 307),
        (Profile::Oci, Some(false), 200),
    ] {
        // Said before the profile, so that the order does not matter.
        let raw = Raw::with(|builder| {
            let builder = match redirect {
                Some(on) => builder.data_redirect(on),
                None => builder,
            };
            builder.profile(profile)
        });
        let blob = raw.push_blob("app", b"content");
        let response = raw.get(format!("/v2/app/blobs/{blob}")).scope(PULL).send();
        response
            .expect(expected)
            .expect_header("docker-content-digest", blob);
    }
}

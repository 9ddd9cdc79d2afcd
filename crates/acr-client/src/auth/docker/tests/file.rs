//! What stands in the file.

use std::error::Error as _;

use super::*;

#[test]
fn each_form_of_an_entry_is_read() {
    let nobody = "00000000-0000-0000-0000-000000000000";
    // `{nobody}:`, as docker writes it beside the token.
    let nobody_alone = "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==";
    for (entry, expected) in [
        (json!({ "auth": AUTH }), "robot:hunter2"),
        (
            json!({ "auth": AUTH.trim_end_matches('=') }),
            "robot:hunter2",
        ),
        // `robot:hunter2` with a line break behind it, as of `echo robot:hunter2 | base64`
        (json!({ "auth": "cm9ib3Q6aHVudGVyMgo=" }), "robot:hunter2"),
        // As Go's decoder takes it: with line breaks wherever the text was wrapped.
        (
            json!({ "auth": "cm9ib3Q6\r\naHVudGVy\nMg==\n" }),
            "robot:hunter2",
        ),
        (
            json!({ "auth": "\ncm9ib3Q6aHVudGVyMg=\n=" }),
            "robot:hunter2",
        ),
        (json!({ "Auth": AUTH }), "robot:hunter2"),
        (json!({ "AUTH": "old", "auth": AUTH }), "robot:hunter2"),
        (json!({ "Username": "robot", "PASSWORD": "p" }), "robot:p"),
        (json!({ "IdentityToken": "ey.." }), "token ey.."),
        // `robot:hunter2` with a zero behind it
        (json!({ "auth": "cm9ib3Q6aHVudGVyMgA=" }), "robot:hunter2"),
        (
            json!({ "username": "robot", "password": "a:b" }),
            "robot:a:b",
        ),
        (
            json!({ "auth": AUTH, "username": "old", "password": "old" }),
            "robot:hunter2",
        ),
        (
            json!({ "auth": nobody_alone, "identitytoken": "ey.." }),
            "token ey..",
        ),
        (
            json!({ "auth": "not base64!", "identitytoken": "ey.." }),
            "token ey..",
        ),
        (
            json!({ "username": nobody, "password": "ey.." }),
            "token ey..",
        ),
        (json!({ "auth": nobody_alone }), "none"),
        (json!({ "auth": "" }), "none"),
        (
            json!({ "auth": "", "identitytoken": "", "username": "" }),
            "none",
        ),
        (json!({ "auth": null, "email": "x" }), "none"),
        (json!({}), "none"),
        (Value::Null, "none"),
    ] {
        assert_eq!(
            stored(&json!({ "auths": { REGISTRY: entry } })),
            expected,
            "{entry}"
        );
    }
}

#[test]
fn each_spelling_of_a_registry_is_found() {
    for (key, found) in [
        ("name.azurecr.io", true),
        ("Name.AzureCR.io", true),
        ("name.azurecr.io/", true),
        ("name.azurecr.io/v2/", true),
        ("https://name.azurecr.io", true),
        ("https://name.azurecr.io/", true),
        ("https://name.azurecr.io/v1/", true),
        ("https://name.azurecr.io/v1", true),
        ("https://name.azurecr.io/v2/", true),
        ("https://name.azurecr.io:443", true),
        ("https://name.azurecr.io:443/v2/", true),
        ("HTTPS://NAME.azurecr.io:443/", true),
        ("name.azurecr.io:443", true),
        ("name.azurecr.io:443/", true),
        ("http://name.azurecr.io:80", true),
        ("https://robot@name.azurecr.io", true),
        ("http://name.azurecr.io", true),
        ("name.azurecr.io/team", false),
        ("name.azurecr.io:5000", false),
        ("http://name.azurecr.io:443", false),
        ("other.azurecr.io", false),
        ("azurecr.io", false),
        ("name.azurecr.io.example", false),
        ("https://example/name.azurecr.io", false),
        ("", false),
    ] {
        let content = json!({ "auths": { key: { "auth": AUTH } } });
        assert_eq!(stored(&content) == "robot:hunter2", found, "{key}");
    }
}

#[test]
fn a_registry_may_be_named_by_its_url_and_with_a_port() {
    let port = json!({ "auths": { "localhost:5000": { "auth": AUTH } } });
    for (registry, found) in [
        ("localhost:5000", true),
        ("LOCALHOST:5000", true),
        ("http://localhost:5000/", true),
        ("https://localhost:5000/v2/", true),
        ("localhost", false),
    ] {
        let credential = config(&port).stored(registry).unwrap();
        assert_eq!(credential.is_some(), found, "{registry}");
    }
    let error = config(&port).stored("https://").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn docker_hub_is_known_by_all_its_names() {
    for key in [
        "https://index.docker.io/v1/",
        "https://index.docker.io/v1",
        "https://index.docker.io",
        "HTTPS://Index.Docker.IO/v1/",
        "index.docker.io/v1/",
        "index.docker.io",
        "docker.io",
        "registry-1.docker.io",
        "https://registry-1.docker.io/v2/",
    ] {
        let content = json!({ "auths": { key: { "auth": AUTH } } });
        for registry in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
            let found = config(&content).stored(registry).unwrap();
            assert!(found.is_some(), "{registry} under {key}");
        }
    }
}

#[test]
fn docker_desktops_own_tokens_are_no_login() {
    for path in ["access-token", "refresh-token"] {
        let key = format!("https://index.docker.io/v1/{path}");
        let content = json!({ "auths": { key: { "auth": AUTH } } });
        assert!(config(&content).stored("docker.io").unwrap().is_none());
    }
}

#[test]
fn a_wrapped_refresh_token_and_members_in_another_case_are_read() {
    let auth = "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOlJSUlJSUlJSUlJSUlJSUlJSUlJS\nUlJSUlJSUlJSUlJSUlJSUlJSUlJSUlJSUlJSUlJS\n";
    for member in ["auths", "Auths", "AUTHS"] {
        let content = json!({ member: { REGISTRY: { "auth": auth } } });
        assert_eq!(stored(&content), format!("token {}", "R".repeat(50)));
    }
    let content = json!({ "CredsStore": "desktop", "auths": { REGISTRY: { "auth": AUTH } } });
    assert_eq!(stored(&content), "none");
}

#[test]
fn the_exact_name_counts_before_a_url_of_it() {
    let other = json!({ "username": "other", "password": "p" });
    let content = json!({ "auths": {
        "https://name.azurecr.io": other, REGISTRY: { "auth": AUTH },
    } });
    assert_eq!(stored(&content), "robot:hunter2");
}

#[test]
fn a_helper_counts_before_the_file_unless_its_name_is_empty() {
    let auths = json!({ REGISTRY: { "auth": AUTH } });
    for (members, expected) in [
        (json!({ "credsStore": "desktop" }), "none"),
        (json!({ "credHelpers": { REGISTRY: "acr-env" } }), "none"),
        (
            json!({ "credHelpers": { "NAME.azurecr.io": "acr-env" } }),
            "none",
        ),
        (json!({ "credsStore": "" }), "robot:hunter2"),
        (json!({ "credsStore": null }), "robot:hunter2"),
        (
            json!({ "credsStore": "desktop", "credHelpers": { REGISTRY: "" } }),
            "robot:hunter2",
        ),
        (
            json!({ "credHelpers": { "other.azurecr.io": "../x" } }),
            "robot:hunter2",
        ),
    ] {
        let mut content = members.clone();
        content["auths"] = auths.clone();
        assert_eq!(stored(&content), expected, "{members}");
    }
}

#[test]
fn a_helpers_name_that_could_be_more_than_a_name_is_refused() {
    for name in [
        "../evil", "a/b", "a\\b", "-x", "a b", "a;b", "\u{e4}", "a\0b", "$HOME",
    ] {
        for (content, place) in [
            (json!({ "credsStore": name }), "credsStore"),
            (
                json!({ "credHelpers": { REGISTRY: name } }),
                "credHelpers.name.azurecr.io",
            ),
        ] {
            let error = config(&content).stored(REGISTRY).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with(place), "{error}");
        }
    }
}

#[test]
fn what_is_malformed_is_named_without_its_content() {
    let entry = |entry: Value| json!({ "auths": { REGISTRY: entry } });
    for (content, named) in [
        (
            entry(json!({ "auth": "hunter2!" })),
            &[REGISTRY, "auth", "base64"][..],
        ),
        // `hunter2`, without a colon
        (
            entry(json!({ "auth": "aHVudGVyMg==" })),
            &[REGISTRY, "auth"],
        ),
        // `:hunter2`
        (
            entry(json!({ "auth": "Omh1bnRlcjI=" })),
            &[REGISTRY, "user name"],
        ),
        // bytes that are not text
        (entry(json!({ "auth": "gIA6aHVudGVyMg==" })), &[REGISTRY]),
        (
            entry(json!({ "identitytoken": ["hunter2"] })),
            &[REGISTRY, "identitytoken"],
        ),
        (entry(json!("hunter2")), &[REGISTRY, "object"]),
        (json!({ "auths": "hunter2" }), &["auths", "object"]),
        (
            json!({ "credHelpers": ["hunter2"] }),
            &["credHelpers", "object"],
        ),
        (json!({ "credsStore": { "hunter2": 1 } }), &["credsStore"]),
        (json!({ "credHelpers": { REGISTRY: 1 } }), &["credHelpers"]),
    ] {
        let error = config(&content).stored(REGISTRY).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(named.iter().all(|name| text.contains(name)), "{text}");
        for leak in ["hunter2", "aHVudGVyMg", "Omh1bnRlcjI"] {
            assert!(!format!("{error:?}").contains(leak), "{error:?}");
        }
    }
}

#[test]
fn content_that_is_no_object_is_refused_at_once() {
    for content in ["[]", "{", "\"hunter2\"", "{\"auths\":{\"hunter2\":x}}"] {
        let error = DockerConfig::from_json(content).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    for content in ["", " \n"] {
        let config = DockerConfig::from_json(content).unwrap();
        assert!(config.stored(REGISTRY).unwrap().is_none());
    }
    let error = DockerConfig::from_json(vec![b' '; (1 << 20) + 1]).unwrap_err();
    assert!(error.to_string().contains("larger"), "{error}");
}

#[test]
fn debug_shows_no_content() {
    let config = config(&json!({ "auths": { REGISTRY: { "auth": AUTH } } }));
    let text = format!("{config:?}");
    assert!(!text.contains("auth"), "{text}");
    let text = format!("{:?}", DockerConfig::at("/some/config.json"));
    assert!(text.contains("/some/config.json"), "{text}");
}

#[test]
fn a_file_is_read_anew_at_each_look_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let config = DockerConfig::at(&path);
    assert!(config.stored(REGISTRY).unwrap().is_none());
    let content = json!({ "auths": { REGISTRY: { "auth": AUTH } } });
    fs::write(&path, content.to_string()).unwrap();
    assert_eq!(
        shown(identity(config.stored(REGISTRY).unwrap())),
        "robot:hunter2"
    );
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let refused = |kind: ErrorKind| {
        let error = DockerConfig::at(&path).stored(REGISTRY).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let named = error.to_string().contains(&*path.to_string_lossy());
        assert!(named, "{error}");
        error
    };
    fs::write(&path, "{").unwrap();
    assert!(refused(ErrorKind::InvalidInput).source().is_some());
    fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
    refused(ErrorKind::InvalidInput);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused(ErrorKind::InvalidInput);

    // A file where a folder should be.
    let error = DockerConfig::at(path.join("x")).stored(REGISTRY);
    assert!(error.unwrap().is_none());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let below = DockerConfig::at(file.join("config.json"));
    let error = below.stored(REGISTRY);
    // Windows says that there is no such file.
    assert!(cfg!(windows) || error.unwrap_err().kind() == ErrorKind::Io);
}

#[test]
fn the_users_own_file_follows_docker_config_and_then_the_home_folder() {
    let path = |folder: Option<&str>, home: Option<&str>| match usual_place(
        folder.map(OsString::from),
        home.map(PathBuf::from),
    ) {
        Place::File(path) => Some(path),
        _ => None,
    };
    let own = Some(Path::new("/d").join("config.json"));
    let home = Some(Path::new("/h").join(".docker").join("config.json"));
    assert_eq!(path(Some("/d"), Some("/h")), own);
    assert_eq!(path(Some(""), Some("/h")), home);
    assert_eq!(path(None, Some("/h")), home);
    assert_eq!(path(None, None), None);
}

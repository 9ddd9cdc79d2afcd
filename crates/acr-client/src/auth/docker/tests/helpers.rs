//! Helpers are looked for in the `PATH`, which belongs to the process: these tests run once more, each in a
//! process of its own.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::pin::pin;
use std::process::Command;

use acr_mock::VirtualClock;
use futures_util::FutureExt as _;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

/// Runs a test in a process of its own, whose `PATH` begins with an empty folder.
#[track_caller]
fn alone(name: &str, test: impl FnOnce(&Folder)) {
    if let Some(folder) = env::var_os(FOLDER) {
        return test(&Folder(folder.into()));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut path = vec![folder.path().to_owned()];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let (_, module) = module_path!().split_once("::").unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{name}")])
        .env("PATH", env::join_paths(path).unwrap())
        .env("DOCKER_CONFIG", folder.path())
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

const FOLDER: &str = "ACR_CLIENT_TEST_HELPERS";

struct Folder(PathBuf);

impl Folder {
    /// Writes a helper: a script that runs in the folder.
    fn helper(&self, name: &str, script: &str) {
        let path = self.0.join(format!("docker-credential-{name}"));
        let folder = self.0.display();
        fs::write(&path, format!("#!/bin/sh\ncd '{folder}'\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }
}

fn find(config: &DockerConfig) -> Result<Option<Identity>, Error> {
    let clock = VirtualClock::new();
    clock.drive(config.find(REGISTRY, &clock))
}

fn with(helper: &str) -> DockerConfig {
    config(&json!({ "credHelpers": { REGISTRY: helper } }))
}

/// A helper that notes that it was started and for what, and responds.
const RESPONSES: &str = r#"cat >> asked; echo >> asked; echo "$1" >> verbs
    echo '{"ServerURL":"x","Username":"robot","Secret":"hunter2"}'"#;

#[test]
fn helpers_are_asked_in_dockers_order() {
    alone("helpers_are_asked_in_dockers_order", |folder| {
        folder.helper("own", RESPONSES);
        let token = r#"cat > /dev/null; echo '{"Username":"<token>","Secret":"ey.."}'"#;
        folder.helper("general", token);
        let auths = json!({ REGISTRY: { "username": "u", "password": "p" } });
        let mut content = json!({ "auths": auths, "credsStore": "general" });
        assert_eq!(shown(find(&config(&content)).unwrap()), "token ey..");
        content["credHelpers"] = json!({ REGISTRY: "own", "other": "missing" });
        assert_eq!(shown(find(&config(&content)).unwrap()), "robot:hunter2");
        assert_eq!(
            (folder.read("asked"), folder.read("verbs")),
            (format!("{REGISTRY}\n"), "get\n".to_owned())
        );
        content["credHelpers"] = json!({ REGISTRY: "" });
        assert_eq!(shown(find(&config(&content)).unwrap()), "u:p");
    });
}

#[test]
fn a_helper_is_asked_by_the_name_that_docker_stored() {
    alone(
        "a_helper_is_asked_by_the_name_that_docker_stored",
        |folder| {
            folder.helper("own", RESPONSES);
            for content in [
                json!({ "credHelpers": { "Name.azurecr.io": "own" } }),
                json!({ "credsStore": "own", "auths": { "NAME.azurecr.io": {} } }),
            ] {
                find(&config(&content)).unwrap();
            }
            let hub = config(&json!({ "credsStore": "own" }));
            let clock = VirtualClock::new();
            clock.drive(hub.find("docker.io", &clock)).unwrap();
            assert_eq!(
                folder.read("asked"),
                "Name.azurecr.io\nNAME.azurecr.io\nhttps://index.docker.io/v1/\n"
            );
        },
    );
}

#[test]
fn the_users_own_file_is_found_by_docker_config() {
    alone("the_users_own_file_is_found_by_docker_config", |folder| {
        let config = DockerConfig::default();
        assert_eq!(shown(find(&config).unwrap()), "none");
        folder.helper("own", RESPONSES);
        let content = json!({ "credsStore": "own" }).to_string();
        fs::write(folder.0.join("config.json"), content).unwrap();
        assert_eq!(shown(find(&config).unwrap()), "robot:hunter2");
    });
}

#[test]
fn a_helper_that_has_nothing_is_no_error() {
    alone("a_helper_that_has_nothing_is_no_error", |folder| {
        for script in [
            "echo 'credentials not found in native keychain'; exit 1",
            r#"echo '{"Username":"","Secret":""}'"#,
            r#"echo '{"Username":"<token>","Secret":""}'"#,
        ] {
            folder.helper("none", &format!("cat > /dev/null; {script}"));
            assert_eq!(shown(find(&with("none")).unwrap()), "none", "{script}");
        }
    });
}

#[test]
fn a_helper_that_fails_is_named_and_not_quoted() {
    alone("a_helper_that_fails_is_named_and_not_quoted", |folder| {
        for (script, said) in [
            ("echo hunter2; echo hunter2 >&2; exit 1", "failed"),
            ("echo hunter2; kill -9 $$", "failed"),
            ("echo hunter2", "in JSON"),
            (r#"echo '{"Secret":"hunter2"}'"#, "in JSON"),
            (r#"echo '{"Username":"","Secret":"hunter2"}'"#, "user name"),
            (
                "echo 'no credentials username'; exit 1",
                "says: no credentials username",
            ),
        ] {
            folder.helper("bad", &format!("cat > /dev/null; {script}"));
            let error = find(&with("bad")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Credential);
            let text = format!("{error} {error:?}");
            for part in [said, "docker-credential-bad", REGISTRY] {
                assert!(text.contains(part), "{text}");
            }
            assert!(!text.contains("hunter2"), "{text}");
        }
        let error = find(&with("missing")).unwrap_err();
        assert!(error.to_string().contains("PATH"), "{error}");
    });
}

#[test]
fn a_silent_helper_ends_in_time_and_is_not_started_twice() {
    alone(
        "a_silent_helper_ends_in_time_and_is_not_started_twice",
        |folder| {
            let made = Command::new("mkfifo").arg(folder.0.join("gate")).status();
            assert!(made.unwrap().success());
            // Open for both, so that neither this nor the helper's opening waits for the other.
            let mut gate = File::options()
                .read(true)
                .write(true)
                .open(folder.0.join("gate"))
                .unwrap();
            folder.helper("slow", &format!("read -r _ < gate\n{RESPONSES}"));

            let config = with("slow").helper_timeout(Duration::from_secs(10));
            let clock = VirtualClock::new();
            {
                let mut first = pin!(config.find(REGISTRY, &clock));
                assert!(first.as_mut().now_or_never().is_none());
                clock.advance(Duration::from_secs(9));
                assert!(first.as_mut().now_or_never().is_none());
                clock.advance(Duration::from_secs(1));
                let error = first.now_or_never().unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Credential);
                let text = error.to_string();
                assert!(text.contains("docker-credential-slow") && text.contains("10s"));
            }

            // A clone waits for the same helper, and a whole time limit more.
            let config = config.clone();
            let mut second = pin!(config.find(REGISTRY, &clock));
            assert!(second.as_mut().now_or_never().is_none());
            gate.write_all(b"\n").unwrap();
            assert_eq!(shown(clock.drive(second).unwrap()), "robot:hunter2");
            assert_eq!(folder.read("verbs"), "get\n");

            // That one is over; who comes now gets a response of now.
            gate.write_all(b"\n").unwrap();
            assert_eq!(shown(find(&config).unwrap()), "robot:hunter2");
            assert_eq!(folder.read("verbs"), "get\nget\n");
        },
    );
}

#[test]
fn a_clock_of_its_own_does_not_overtake_a_helper() {
    alone("a_clock_of_its_own_does_not_overtake_a_helper", |folder| {
        folder.helper("own", RESPONSES);
        let clock = VirtualClock::new();
        let before = clock.now();
        clock.drive(with("own").find(REGISTRY, &clock)).unwrap();
        assert_eq!(clock.now(), before);
    });
}

#[test]
fn stored_starts_no_program_and_no_content_panics() {
    alone("stored_starts_no_program_and_no_content_panics", |folder| {
        folder.helper("own", RESPONSES);
        let settings = ProptestConfig {
            cases: 2000,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(20_210_701),
            ..ProptestConfig::default()
        };
        let content = prop_oneof![
            2 => content().prop_map(|content| content.to_string().into_bytes()),
            1 => proptest::collection::vec(any::<u8>(), 0..64),
        ];
        proptest!(settings, |(bytes in content, registry in key())| {
            if let Ok(config) = DockerConfig::from_json(&bytes) {
                let _ = config.stored(REGISTRY);
                let _ = config.stored(&registry);
            }
        });
        assert_eq!(folder.read("asked"), "");
        find(&with("own")).unwrap();
        assert_eq!(folder.read("asked"), format!("{REGISTRY}\n"));
    });
}

/// Objects that come close to a configuration.
fn content() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        key().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            4 => proptest::collection::vec((key(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "auths",
        "credHelpers",
        "credsStore",
        "auth",
        "identitytoken",
        "username",
        "password",
        "own",
        "../own",
        "-own",
        REGISTRY,
        "https://name.azurecr.io/v1/",
        AUTH,
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => ".{0,12}"]
}

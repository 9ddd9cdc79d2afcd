//! Sessions that are recorded on a registry in the same process and played back without it.

use std::time::{Duration, SystemTime};

use acr_client::transport::{Body, Transport, TransportErrorKind, from_fn};
use acr_client::{
    BlobSource, ContainerRegistryClient, Credential, Error, ErrorKind, RetryOptions,
    UploadBlobOptions,
};
use acr_mock::{Registry, VirtualClock};
use acr_record::{Origin, Recorder, Recording, Replay};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::{Request, Response};
use serde_json::{Value, json};

const ENTRA_TOKEN: &str = "entra-token-of-the-recorded-session";
const USER: &str = "robot";
const PASSWORD: &str = "pass\"word of/the+recorded\\session&ü";

/// When every session is recorded.
fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_756_801_616)
}

fn client(
    transport: impl Transport,
    credential: Credential,
    now: SystemTime,
) -> ContainerRegistryClient {
    ContainerRegistryClient::builder("https://mock.azurecr.io")
        .credential(credential)
        .transport(transport)
        .clock(VirtualClock::starting_at(now))
        // A clock that stands still waits for nothing.
        .retry(RetryOptions {
            seed: Some(1),
            ..RetryOptions::none()
        })
        .limiter(None)
        .assume_azure_auth(false)
        .build()
        .unwrap()
}

fn registry() -> Registry {
    let registry = Registry::builder().user(USER, PASSWORD);
    let registry = registry.clock(VirtualClock::starting_at(start())).build();
    let seed = registry.seed("samples/app").unwrap();
    seed.image("v1").unwrap();
    seed.image("v2").unwrap();
    registry
}

fn in_process(registry: &Registry) -> impl Transport + use<> {
    from_fn(registry.handler())
}

/// Signs in in two ways, lists, pulls and pushes; returns everything that it has seen.
async fn session(
    transport: impl Transport + Clone,
    credentials: [Credential; 2],
    now: SystemTime,
) -> Result<Vec<String>, Error> {
    let mut seen = Vec::new();
    let [entra, password] = credentials;
    let owner = client(transport.clone(), entra, now);
    let mut names = owner.list_repository_names();
    while let Some(name) = names.try_next().await? {
        seen.push(name.to_string());
    }
    let repository = owner.repository_client("samples/app")?;
    let mut tags = repository.list_tag_properties();
    while let Some(tag) = tags.try_next().await? {
        seen.push(format!(
            "{} {} {}",
            tag.name, tag.digest, tag.last_updated_on
        ));
    }
    let manifest = repository.get_manifest("v1").await?;
    seen.push(format!("{manifest:?}"));
    for blob in manifest.as_image().unwrap().blobs() {
        let bytes = repository.download_blob(&blob.digest).await?;
        seen.push(format!("{:?}", bytes.bytes(1 << 20).await?));
        let head = repository.get_blob(&blob.digest, 0..4).await?;
        seen.push(format!("{:?}", head.bytes(99).await?));
    }
    let options = UploadBlobOptions {
        chunk_size: Some(1000),
        ..UploadBlobOptions::default()
    };
    let layer: Vec<u8> = (0..=255).cycle().take(2500).collect();
    let uploaded = repository
        .upload_blob_with(BlobSource::from(layer), options)
        .await?;
    seen.push(format!("{uploaded:?}"));

    let robot = client(transport, password, now);
    let none = robot.repository_client("samples/none")?;
    let error = none.get_manifest("v1").await.unwrap_err();
    seen.push(format!("{error} {:?}", error.kind()));
    Ok(seen)
}

fn credentials() -> [Credential; 2] {
    [
        Credential::entra_token(ENTRA_TOKEN),
        Credential::password(USER, PASSWORD),
    ]
}

async fn recorded() -> (Recording, Vec<String>) {
    let registry = registry();
    let recorder = Recorder::new(in_process(&registry));
    let seen = session(recorder.clone(), credentials(), start())
        .await
        .unwrap();
    (recorder.recording(), seen)
}

#[tokio::test]
async fn a_session_is_played_back_without_the_registry_by_a_client_with_other_credentials() {
    let (recording, seen) = recorded().await;
    let operations: Vec<_> = recording
        .exchanges()
        .iter()
        .filter_map(|exchange| exchange.operation.as_deref())
        .collect();
    for operation in [
        "exchange_entra_token",
        "request_access_token",
        "request_access_token_with_login",
        "list_repository_names",
        "list_tag_properties",
        "get_manifest",
        "get_blob",
        "start_upload",
        "upload_chunk",
        "complete_upload",
    ] {
        assert!(
            operations.contains(&operation),
            "{operation} in {operations:?}"
        );
    }
    assert!(
        recording
            .exchanges()
            .iter()
            .any(|exchange| exchange.origin == Origin::Data)
    );
    assert_eq!(recording.registry(), Some("mock.azurecr.io"));

    let text = recording.to_jsonl();
    let year = Duration::from_secs(365 * 24 * 3600);
    for now in [start(), start() + 10 * year, start() - year] {
        let others = [
            Credential::entra_token("another"),
            Credential::password("other", "another"),
        ];
        let replay = Replay::new(Recording::from_jsonl(&text).unwrap()).strict_bodies(true);
        let again = session(replay.clone(), others, now).await.unwrap();
        assert_eq!(again, seen);
        assert!(replay.remaining().is_empty(), "{:?}", replay.remaining());
    }
}

#[tokio::test]
async fn no_secret_of_a_session_is_in_its_text() {
    let registry = registry();
    let tokens = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let inner = in_process(&registry);
    let seen = tokens.clone();
    // Notes every token and signature on its way.
    let inner = std::sync::Arc::new(inner);
    let recorder = Recorder::new(from_fn(move |request: Request<Body>| {
        let (inner, seen) = (inner.clone(), seen.clone());
        async move {
            let header = request.headers().get("authorization").cloned();
            if let Some(header) = header {
                let value = header.to_str().unwrap().split_once(' ').unwrap().1;
                let parts = value.split('.').map(str::to_owned);
                // The middle of a token may be kept in parts.
                seen.lock().unwrap().extend(parts);
            }
            let query = request.uri().query().unwrap_or_default().to_owned();
            let signatures = query
                .split('&')
                .filter_map(|pair| pair.strip_prefix("sig="));
            seen.lock().unwrap().extend(signatures.map(str::to_owned));
            inner.send(request).await
        }
    }));
    session(recorder.clone(), credentials(), start())
        .await
        .unwrap();

    let text = recorder.recording().to_jsonl();
    let mut secrets = std::mem::take(&mut *tokens.lock().unwrap());
    assert!(
        secrets.len() > 10,
        "tokens and signatures were seen: {}",
        secrets.len()
    );
    secrets.extend([ENTRA_TOKEN.to_owned(), PASSWORD.to_owned()]);
    assert_shows_none(&text, &secrets);
}

/// Each location is a secret, and is looked for in every exchange: this ends only if that takes one pass.
#[tokio::test]
async fn a_thousand_chunks_are_recorded_in_linear_time() {
    let registry = registry();
    let recorder = Recorder::new(in_process(&registry));
    let [owner, _] = credentials();
    let app = client(recorder.clone(), owner, start()).repository_client("samples/app");
    let mut upload = app.unwrap().start_upload().await.unwrap();
    let mut states = Vec::new();
    for _ in 0..1_000 {
        upload.append("x").await.unwrap();
        let location = upload.location().as_str();
        states.push(location.split_once("_state=").unwrap().1.to_owned());
    }
    let recording = recorder.recording();
    assert!(recording.exchanges().len() > 1_000);
    assert_eq!(states.len(), 1_000);
    let text = recording.to_jsonl();
    assert!(states.iter().all(|state| !text.contains(state)));
}

#[tokio::test]
async fn random_secrets_never_survive() {
    for seed in 0..25 {
        println!("secrets of the seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        // No control characters, which the client refuses.
        let odd = "abcXYZ019 \"'\\/%+&=?#<>{}[];:,.-_~!@$^*()|`üß漢😀";
        let plain = "abcXYZ019 \"'\\/%+&=?#<>{}[];:,.-_~!@$^*()|`";
        let mut secret = |letters: &str| -> String {
            let letters: Vec<char> = letters.chars().collect();
            let length = random.usize(8..30);
            let letters = (0..length).map(|_| letters[random.usize(..letters.len())]);
            // No space at an end, which headers do not keep.
            format!("x{}x", letters.collect::<String>())
        };
        let (password, entra, token) = (secret(odd), secret(odd), secret(plain));
        let secrets = [password.clone(), entra.clone(), token.clone()];
        let recorder = Recorder::new(gossip(secrets.clone()));
        for credential in [
            Credential::password(USER, &*password),
            Credential::entra_token(&*entra),
        ] {
            let client = client(recorder.clone(), credential, start());
            let repository = client.repository_client("a").unwrap();
            let error = repository.get_tag_properties("v1").await.unwrap_err();
            // Its 404 has no code of a registry.
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            let digest = format!("sha256:{}", "0".repeat(64));
            repository.download_blob(digest).await.unwrap_err();
        }
        let recording = recorder.recording();
        assert_eq!(recording.exchanges().len(), 11);
        assert_shows_none(&recording.to_jsonl(), &secrets);
    }
}

/// A registry whose errors tell every secret to everybody, however written, also those that have yet to
/// pass.
fn gossip(secrets: [String; 3]) -> impl Transport {
    from_fn(move |request: Request<Body>| {
        let [_, _, token] = &secrets;
        let texts: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
        let is_signed = request.headers().contains_key("authorization");
        let path = request.uri().path();
        let fits_header = |text: &&String| text.bytes().all(|byte| (32..127).contains(&byte));
        let mut response = Response::builder();
        for text in texts.iter().filter(fits_header) {
            response = response.header("x-echo", text);
            response = response.header("server", format!("a {text} b"));
        }
        let response = if path.starts_with("/oauth2") {
            let token = match path {
                "/oauth2/exchange" => json!({"refresh_token": token, "echo": texts}),
                _ => json!({"access_token": token, "echo": texts}),
            };
            response.body(format!("{token}\n"))
        } else if !is_signed {
            let challenge = "Bearer realm=\"https://mock.azurecr.io/oauth2/token\",service=\"r\"";
            response
                .status(401)
                .header("www-authenticate", challenge)
                .body(texts.join("\n"))
        } else {
            response
                .status(404)
                .body(json!({"errors": [{"code": "A", "message": texts}]}).to_string())
        };
        std::future::ready(response)
    })
}

/// How a secret may be written.
fn forms(secret: &str) -> Vec<String> {
    let json = |text: &str| Value::from(text).to_string().trim_matches('"').to_owned();
    let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let html = secret.replace('&', "&amp;").replace('<', "&lt;");
    let html = html.replace('"', "&quot;");
    let unicode = secret.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    let unicode: String = unicode.collect();
    let login = format!("{USER}:{secret}");
    vec![
        json(&json(secret)),
        json(secret),
        form.replace('%', "%25"),
        form.replace('+', "%20"),
        form,
        percent,
        unicode,
        html,
        STANDARD.encode(&login),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(&login),
        secret.to_owned(),
    ]
}

/// Looks for secrets in the text, in what its JSON says, and in the bytes of its bodies.
#[track_caller]
fn assert_shows_none(text: &str, secrets: &[String]) {
    let mut places = vec![text.to_owned()];
    for line in text.lines() {
        collect(&serde_json::from_str(line).unwrap(), &mut places);
    }
    let bodies: Vec<String> = places
        .iter()
        .filter_map(|text| STANDARD.decode(text).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    places.extend(bodies);
    let forms: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    for place in places {
        let shown = forms.iter().find(|form| place.contains(*form));
        assert_eq!(shown, None, "in {place}");
    }
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(members) => members.values().for_each(|member| collect(member, texts)),
        _ => {}
    }
}

#[tokio::test]
async fn a_request_that_was_not_recorded_ends_in_an_error_that_says_so() {
    let (recording, _) = recorded().await;
    let replay = Replay::new(recording);
    let client = client(replay, Credential::anonymous(), start());
    let repository = client.repository_client("samples/app").unwrap();
    let error = repository.get_tag_properties("v9").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.contains("GET /acr/v1/samples/app/_tags/v9"),
        "{cause}"
    );
    assert!(cause.contains("GET /acr/v1/samples/app/_tags\n"), "{cause}");
}

#[tokio::test]
async fn a_broken_download_breaks_again() {
    let cut = from_fn(|_| async {
        let parts = [
            Ok("abc"),
            Err(acr_client::transport::TransportError::new(
                TransportErrorKind::Interrupted,
                "gone",
            )),
        ];
        let body = Body::stream(futures_util::stream::iter(
            parts.map(|part| part.map(bytes::Bytes::from)),
        ));
        Response::new(body)
    });
    let recorder = Recorder::new(cut);
    let digest = format!("sha256:{}", "0".repeat(64));
    let download = async |transport: Box<dyn Fn() -> ContainerRegistryClient>| {
        let repository = transport().repository_client("a").unwrap();
        let blob = repository.download_blob(digest.as_str()).await.unwrap();
        let error = blob.bytes(99).await.unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        (error.kind(), cause)
    };
    let one = recorder.clone();
    let first = download(Box::new(move || {
        client(one.clone(), Credential::anonymous(), start())
    }))
    .await;
    assert_eq!(first.0, ErrorKind::Transport);
    let text = recorder.recording().to_jsonl();
    let replay = Replay::new(Recording::from_jsonl(&text).unwrap());
    let again = download(Box::new(move || {
        client(replay.clone(), Credential::anonymous(), start())
    }))
    .await;
    assert_eq!(first, again);
}

#[test]
fn the_example_runs() {
    crate::record_and_replay::main().unwrap();
}

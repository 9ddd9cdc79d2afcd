//! From where the client may be called, and what it leaves behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use acr_client::blocking::{BlobReader, ContainerRegistryClient, Pager, Pages, RepositoryClient};
use acr_client::{BlobSource, Credential, Digest, Error, ErrorKind, Tag};
use acr_mock::AcrMock;

use crate::blocking::served::{Served, async_client, inner};
use crate::seeded;

#[test]
fn handles_can_be_shared_and_lists_and_readers_be_sent() {
    fn shared<T: Clone + Send + Sync + Unpin + 'static>() {}
    fn sendable<T: Send + Unpin + 'static>() {}
    shared::<ContainerRegistryClient>();
    shared::<RepositoryClient>();
    sendable::<Pager<Tag>>();
    sendable::<Pages<Tag>>();
    sendable::<BlobReader>();
}

#[test]
fn four_threads_use_one_client_at_once() {
    for served in Served::both() {
        served.registry.seed("app").unwrap().image("v1").unwrap();
        let app = served.repository("app");
        thread::scope(|scope| {
            for number in 0..4 {
                let app = app.clone();
                scope.spawn(move || {
                    let content = format!("layer {number} ").repeat(10_000);
                    for _ in 0..5 {
                        let source = BlobSource::reader(std::io::Cursor::new(content.clone()));
                        let blob = app.upload_blob(source).unwrap();
                        let mut back = String::new();
                        let mut reader = app.download_blob(&blob.digest).unwrap();
                        reader.read_to_string(&mut back).unwrap();
                        assert!(back == content);
                        assert_eq!(app.list_tags().collect_all().unwrap(), ["v1"]);
                    }
                });
            }
        });
    }
}

/// What is said to a caller within a runtime.
#[track_caller]
fn assert_refused(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(
        text.contains("use acr_client::ContainerRegistryClient"),
        "{text}"
    );
}

/// Calls all kinds of things within a runtime, where each is refused.
fn call_within_a_runtime(served: &Served, digest: &Digest, mut reader: BlobReader) {
    let app = served.repository("app");
    assert_refused(&served.client.ping().unwrap_err());
    assert_refused(&app.get_manifest("v1").unwrap_err());
    assert_refused(&app.upload_blob(b"layer").unwrap_err());
    assert_refused(&app.download_blob(digest).unwrap_err());
    assert_refused(inner(&reader.read(&mut [0]).unwrap_err()));
    let mut tags = app.list_tags();
    assert_refused(&tags.next().unwrap().unwrap_err());
    assert!(tags.next().is_none());
    assert_refused(
        &served
            .client
            .list_repository_names()
            .collect_all()
            .unwrap_err(),
    );
}

#[test]
fn within_a_runtime_a_call_is_refused_and_elsewhere_it_works_again() {
    for runtime in [
        tokio::runtime::Builder::new_current_thread().build(),
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build(),
    ] {
        let runtime = runtime.unwrap();
        for served in Served::both() {
            served.registry.seed("app").unwrap().image("v1").unwrap();
            let app = served.repository("app");
            let digest = app.upload_blob(b"layer").unwrap().digest;
            let reader = app.download_blob(&digest).unwrap();
            let served = Arc::new(served);
            let there = served.clone();
            runtime.block_on(async { call_within_a_runtime(&served, &digest, reader) });
            let reader = app.download_blob(&digest).unwrap();
            let task = async move { call_within_a_runtime(&there, &digest, reader) };
            runtime.block_on(runtime.spawn(task)).unwrap();

            app.get_manifest("v1").unwrap();
            runtime.block_on(async {
                let call = || served.client.ping();
                thread::scope(|scope| scope.spawn(call).join())
                    .unwrap()
                    .unwrap();
            });
        }
    }
}

#[tokio::test]
async fn a_client_is_made_and_dropped_within_a_runtime() {
    let client = ContainerRegistryClient::new("https://r.example", Credential::anonymous());
    let client = client.unwrap();
    assert_refused(&client.ping().unwrap_err());
    drop(client);
}

#[tokio::test]
async fn what_has_open_connections_is_dropped_within_a_runtime() {
    let served = thread::spawn(|| {
        let served = Served::over_tls();
        let app = served.repository("app");
        let blob = app.upload_blob(vec![7; 3 << 20]).unwrap();
        let mut reader = app.download_blob(blob.digest).unwrap();
        reader.read_exact(&mut [0; 9]).unwrap();
        (served, reader)
    });
    let (served, reader) = served.join().unwrap();
    let Served { client, .. } = served;
    drop(client);
    drop(reader);
}

#[test]
fn lists_and_readers_outlive_their_client() {
    let served = Served::over_tls();
    served.registry.seed("app").unwrap().image("v1").unwrap();
    let app = served.repository("app");
    let digest = app.upload_blob(vec![7; 3 << 20]).unwrap().digest;
    let reader = app.download_blob(digest).unwrap();
    let tags = app.list_tags();
    drop((served.client, app));
    assert_eq!(reader.write_to(std::io::sink()).unwrap(), 3 << 20);
    assert_eq!(tags.collect_all().unwrap(), ["v1"]);
}

#[test]
fn an_async_client_goes_on_when_its_blocking_face_is_gone() {
    let mock = AcrMock::start().unwrap();
    mock.registry().seed("app").unwrap().image("v1").unwrap();
    let client = async_client(&mock).build().unwrap();
    let blocking = ContainerRegistryClient::over(client.clone()).unwrap();
    let app = blocking.repository_client("app").unwrap();
    app.get_manifest("v1").unwrap();
    drop((blocking, app));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let manifest = runtime.block_on(async {
        let app = client.repository_client("app")?;
        app.get_manifest("v1").await
    });
    manifest.unwrap();
}

#[test]
fn connections_live_on_between_calls() {
    const CALLS: usize = 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = accepted.clone();
    // Neither is waited for: they end with the process.
    thread::spawn(move || {
        for connection in listener.incoming() {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut connection = connection.unwrap();
            thread::spawn(move || {
                let lines = BufReader::new(connection.try_clone().unwrap()).lines();
                for line in lines {
                    if line.unwrap().is_empty() {
                        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
                        connection.write_all(response).unwrap();
                    }
                }
            });
        }
    });
    let client = seeded::builder(endpoint).build_blocking();
    let client = client.unwrap();
    for _ in 0..CALLS {
        client.ping().unwrap();
    }
    // One is enough, but a call may begin before the connection of the last one is back in the pool.
    let accepted = accepted.load(Ordering::Relaxed);
    assert!(
        accepted < CALLS / 2,
        "{accepted} connections for {CALLS} calls"
    );
}

//! A registry as a function from requests to responses, without a socket, a runtime or a client.
//!
//! ```text
//! cargo run -p acr-mock --example in_process
//! ```

use acr_mock::{Body, Registry, VirtualClock};
use http::{Request, Response};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

pub(crate) fn main() -> Result {
    let clock = VirtualClock::new();
    let registry = Registry::builder().clock(clock.clone()).build();
    let image = registry.seed("samples/app")?.image("v1")?;
    let token = registry.access_token("repository:samples/app:pull,metadata_read")?;
    let get = |path: &str| -> Result<Response<Body>> {
        let request = Request::get(format!("https://mock.azurecr.io{path}"))
            .header("Authorization", format!("Bearer {token}"))
            .header("Accept", image.media_type.as_str())
            .body(String::new())?;
        Ok(clock.drive(registry.handle(request)))
    };

    let response = get("/v2/samples/app/manifests/v1")?;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["docker-content-digest"],
        image.digest.as_str()
    );
    assert_eq!(get("/acr/v1/samples/app/_tags/v2")?.status(), 404);

    // What a program asks for is counted, by the names of the operations.
    let requests = registry.requests();
    assert_eq!(requests.of("get_manifest"), Some(1));
    println!("{requests:?}");
    Ok(())
}

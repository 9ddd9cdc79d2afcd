//! One operation on both sides of the wire: a client's request, a server's route and response, the client's reading of it.
//!
//! ```text
//! cargo run -p acr-protocol --example both_sides
//! ```

use acr_protocol::manifest::GetManifest;
use acr_protocol::{
    Descriptor, ImageManifest, Manifest, MediaType, Operation, Reference, RepositoryName, Route,
};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let operation = GetManifest {
        repository: RepositoryName::new("samples/app")?,
        reference: "v1".parse::<Reference>()?,
        accept: Vec::new(),
    };
    let request = operation.request()?;
    println!("{} {}", request.method(), request.uri());

    // A server reads the request back.
    let (head, body) = request.into_parts();
    let route = Route::parse(&head)?.with_body(body)?;
    println!("{} needs {}", route.name(), route.scope());
    let Route::GetManifest(asked) = route else {
        return Err("another operation".into());
    };
    let config = Descriptor::of(MediaType::OCI_EMPTY, b"{}");
    let stored = Manifest::try_from(&ImageManifest::new(config, Vec::new()))?;
    let response = asked.respond(&stored);
    println!("{:?}", response.headers());

    // The client reads the response, and verifies the digest.
    let (head, body) = response.into_parts();
    let manifest = operation.decode(&head, body)?;
    assert_eq!(manifest, stored);
    Ok(())
}

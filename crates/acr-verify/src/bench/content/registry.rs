//! acr-mock in a process of its own, which says how many requests it has had.

use std::collections::BTreeMap;
use std::time::Duration;

use acr_client::MediaType;
use acr_mock::{AcrMock, Fault, FaultAction, Registry};
use bytes::Bytes;

use super::bytes::blocks;
use super::place::{Place, REPOSITORY};
use super::servers::{self, Settings};
use crate::Result;

/// Serves at a free port until stdin ends; each line there gets one with the requests since the line before.
pub(super) fn serve(settings: &Settings) -> Result<()> {
    let registry = Registry::new();
    let mock = AcrMock::builder()
        .registry(registry.clone())
        .plain_http(!settings.https)
        .start()?;
    let app = mock.seed(REPOSITORY)?;
    app.image("v1")?;
    if settings.blob > 0 {
        let bytes: Vec<u8> = blocks(settings.blob).flatten().collect();
        let _ = app.blob(MediaType::OCTET_STREAM, Bytes::from(bytes));
    }
    if settings.delay > 0 {
        let delay = Duration::from_millis(settings.delay);
        registry.inject(Fault::any().then(FaultAction::DelayResponse(delay)))?;
    }
    servers::announce(&place(&mock)?)?;
    for line in std::io::stdin().lines() {
        line?;
        let requests = registry.requests();
        registry.reset_requests();
        let mut counts: BTreeMap<_, _> = requests.iter().collect();
        counts.insert("data", requests.data());
        println!("{}", serde_json::to_string(&counts)?);
    }
    Ok(())
}

pub(super) fn place(mock: &AcrMock) -> Result<Place> {
    let scope = format!("repository:{REPOSITORY}:delete,metadata_read,pull,push");
    Ok(Place {
        endpoint: mock.endpoint(),
        ca: mock.ca_pem().map(str::to_owned),
        login: Some((mock.username().to_owned(), mock.password().to_owned())),
        token: Some(mock.access_token(&scope)?),
    })
}

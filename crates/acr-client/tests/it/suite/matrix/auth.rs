//! Whether the registry knows the caller.

use acr_client::RepositoryClient;

use super::case::{Case, call, done};
use super::world::{Expected, Plain, World};

pub(super) fn ping() -> Case {
    Case {
        request: |_| Plain::get("/v2/"),
        response: |_| Expected::json(200, "").body("{}"),
        // Any token of the registry is enough.
        scope: "",
        call: call!(|c| done(c.client.ping().await)),
        missing: Err("it names nothing that could be missing"),
        locked: Err("it names nothing that could be locked"),
    }
}

pub(super) mod ok {
    use super::*;

    pub(crate) async fn ping(world: World, _: RepositoryClient) {
        world.served.owner().ping().await.unwrap();
    }
}

//! Every operation in every situation: a row for each operation, and one test for each of its cells.
//!
//! The columns: the operation goes well through the client (`ok`); its plain request has the plain response (`raw`); it is
//! refused without a token (`no_token`), and with one that lacks the right (`no_scope`); what it works on is not there
//! (`missing`), or locked (`locked`). All but the first two look at both sides: the response on the wire, and what the
//! client makes of it. The operations of [`token`] have no token of their own, so their situations differ.

mod auth;
mod blob;
mod case;
mod manifest;

mod referrers;
mod repository;
mod tag;
mod token;
mod upload;
mod world;

use std::collections::BTreeSet;

use acr_client::protocol::Route;

macro_rules! matrix {
    ($($concept:ident: $($operation:ident)*;)*) => {
        /// The rows, by the names of their operations.
        fn rows() -> Vec<(&'static str, case::Case)> {
            vec![$($((stringify!($operation), $concept::$operation())),*),*]
        }

        $($(mod $operation {
            use super::$concept as concept;

            #[tokio::test]
            async fn ok() {
                let world = super::world::World::new().await;
                let app = world.app();
                concept::ok::$operation(world, app).await;
            }

            #[tokio::test]
            async fn raw() {
                concept::$operation().raw().await;
            }

            #[tokio::test]
            async fn no_token() {
                concept::$operation().no_token(stringify!($operation)).await;
            }

            #[tokio::test]
            async fn no_scope() {
                concept::$operation().no_scope(stringify!($operation)).await;
            }

            #[tokio::test]
            async fn missing() {
                concept::$operation().missing(stringify!($operation)).await;
            }

            #[tokio::test]
            async fn locked() {
                concept::$operation().locked(stringify!($operation)).await;
            }
        })*)*
    };
}

matrix! {
    auth: ping;
    repository: list_repository_names list_repositories get_repository_properties update_repository_properties
        delete_repository;
    tag: list_tag_properties get_tag_properties update_tag_properties delete_tag list_tags;
    manifest: list_manifest_properties get_manifest_properties update_manifest_properties get_manifest head_manifest
        set_manifest delete_manifest;
    referrers: list_referrers;
    blob: head_blob get_blob delete_blob mount_blob;
    upload: start_upload get_upload_status upload_chunk complete_upload cancel_upload;
}

#[test]
fn the_table_has_every_operation_once_and_says_why_a_cell_cannot_happen() {
    let mut names: Vec<&str> = token::OPERATIONS.to_vec();
    for (operation, case) in rows() {
        names.push(operation);
        for reason in case.reasons() {
            assert!(reason.split(' ').count() > 3, "{operation}: {reason}");
        }
    }
    assert_eq!(names.len(), Route::NAMES.len());
    let named: BTreeSet<&str> = names.into_iter().collect();
    assert_eq!(named, Route::NAMES.iter().copied().collect());
}

//! Every operation in every situation: one table, and one test for each of its cells.
//!
//! The columns: the operation goes well through the client (`ok`); its plain request has the plain response (`raw`); it is
//! refused without a token (`no_token`), and with one that lacks the right (`no_scope`); what it works on is not there
//! (`missing`), or locked (`locked`). All but the first two look at both sides: the response on the wire, and what the
//! client makes of it. A cell that cannot happen says why.

mod call;
mod ok;
mod request;
mod situation;
mod token;
mod world;

use std::collections::BTreeSet;

use acr_client::protocol::Route;

const COLUMNS: [&str; 6] = ["ok", "raw", "no_token", "no_scope", "missing", "locked"];

/// A row of the table: the operation, and for each column nothing, or why it cannot happen.
type Row = (&'static str, [Option<&'static str>; 6]);

macro_rules! matrix {
    ($($operation:ident [$ok:tt $raw:tt $no_token:tt $no_scope:tt $missing:tt $locked:tt])*) => {
        const TABLE: &[Row] = &[$((
            stringify!($operation),
            [reason!($ok), reason!($raw), reason!($no_token), reason!($no_scope), reason!($missing), reason!($locked)],
        )),*];

        $(mod $operation {
            cell!($ok, ok, super::ok::$operation());
            cell!($raw, raw, super::situation::raw(stringify!($operation)));
            cell!($no_token, no_token, super::situation::no_token(stringify!($operation)));
            cell!($no_scope, no_scope, super::situation::no_scope(stringify!($operation)));
            cell!($missing, missing, super::situation::missing(stringify!($operation)));
            cell!($locked, locked, super::situation::locked(stringify!($operation)));
        })*
    };
}

macro_rules! cell {
    (test, $column:ident, $call:expr) => {
        #[tokio::test]
        async fn $column() {
            $call.await;
        }
    };
    (($cannot_happen:literal), $column:ident, $call:expr) => {};
}

macro_rules! reason {
    (test) => {
        None
    };
    (($cannot_happen:literal)) => {
        Some($cannot_happen)
    };
}

matrix! {
    list_repository_names [test test test test
        ("the catalogue is always there: an empty one is an empty list") test]
    get_repository_properties [test test test test test test]
    update_repository_properties [test test test test test test]
    delete_repository [test test test test test test]
    list_tag_properties [test test test test test test]
    get_tag_properties [test test test test test test]
    update_tag_properties [test test test test test test]
    delete_tag [test test test test test test]
    list_manifest_properties [test test test test test test]
    get_manifest_properties [test test test test test test]
    update_manifest_properties [test test test test test test]
    ping [test test test
        ("any token of the registry is enough")
        ("it names nothing that could be missing")
        ("it names nothing that could be locked")]
    list_repositories [test test test test
        ("the catalogue is always there: an empty one is an empty list") test]
    list_tags [test test test test test test]
    get_manifest [test test test test test test]
    head_manifest [test test test test test test]
    set_manifest [test test test test test test]
    delete_manifest [test test test test test test]
    list_referrers [test test test test test test]
    head_blob [test test test test test test]
    get_blob [test test test test test test]
    delete_blob [test test test test test test]
    mount_blob [test test test test test test]
    start_upload [test test test test test test]
    get_upload_status [test test test test test test]
    upload_chunk [test test test test test test]
    complete_upload [test test test test test test]
    cancel_upload [test test test test test test]
    exchange_entra_token [test test test test
        ("it names no item that could be missing")
        ("it names no item that could be locked")]
    request_access_token [test test test test test
        ("a token is granted whatever is locked: locks are met at use")]
    request_access_token_with_login [test test test test test
        ("a token is granted whatever is locked: locks are met at use")]
}

#[test]
fn the_table_has_every_operation_once() {
    let rows: Vec<&str> = TABLE.iter().map(|(operation, _)| *operation).collect();
    let named: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(named, Route::NAMES.iter().copied().collect());
    assert_eq!(rows.len(), Route::NAMES.len());
}

#[test]
fn what_cannot_happen_says_why() {
    for (operation, cells) in TABLE {
        for (column, reason) in COLUMNS.iter().zip(cells) {
            let words = reason.map(|reason| reason.split(' ').count());
            assert!(words.is_none_or(|words| words > 3), "{operation} {column}");
        }
    }
}

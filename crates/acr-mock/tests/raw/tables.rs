//! Which test holds which rule of the service: the rows of its locks and of its errors, the eleven demands of the OCI
//! conformance suite, the switches and the bounds. Each test that is named here exists, or this file's own test fails.

/// A rule in short, and the tests that hold it.
type Row = (&'static str, &'static [&'static str]);

/// Level, switch that is off, and what it forbids; `c` marks what is chosen because the service's behaviour is not known.
const LOCKS: &[Row] = &[
    (
        "tag, write: no push to it, and no delete even with its delete switch on",
        &["a_tag_that_must_not_be_written_is_neither_pushed_to_nor_deleted"],
    ),
    (
        "tag, write: attributes, pulls and other tags go on",
        &["a_tag_that_must_not_be_written_can_be_pulled_and_leaves_other_tags_alone"],
    ),
    (
        "tag, delete: no delete; pushes go on",
        &["a_tag_that_must_not_be_deleted_can_be_moved"],
    ),
    (
        "tag, read: no pull by it; its properties are read (c: by digest it is pulled)",
        &["a_tag_that_must_not_be_read_is_not_pulled_but_its_properties_are_read"],
    ),
    (
        "tag, list: c: not in lists; read directly",
        &["a_tag_that_must_not_be_listed_is_left_out_of_lists"],
    ),
    (
        "tag, all: one update opens it",
        &["a_tag_with_all_switches_closed_is_still_read_and_opened_by_one_update"],
    ),
    (
        "manifest, write: no delete",
        &["a_manifest_that_must_not_be_written_or_deleted_is_not_deleted"],
    ),
    (
        "manifest, write: c: a push of the same bytes and tagging go on",
        &["a_manifest_that_must_not_be_written_can_be_pushed_as_it_is"],
    ),
    (
        "manifest, delete: no delete; push and tagging go on",
        &[
            "a_manifest_that_must_not_be_written_or_deleted_is_not_deleted",
            "a_manifest_that_must_not_be_deleted_can_be_pushed_and_tagged_and_untagged",
        ],
    ),
    (
        "manifest, read: no pull by digest (c: nor by any tag)",
        &["a_manifest_that_must_not_be_read_is_not_pulled_by_any_name"],
    ),
    (
        "manifest, list: c: not in lists; read directly",
        &["a_manifest_that_must_not_be_listed_is_left_out_of_the_list"],
    ),
    (
        "repository, write: no push, tag move or delete in it, nor its own; attributes and pulls go on",
        &["a_repository_that_must_not_be_written_takes_no_push_and_no_delete"],
    ),
    (
        "repository, delete: not deleted; tags and manifests are",
        &["a_repository_that_must_not_be_deleted_loses_its_tags_and_manifests_all_the_same"],
    ),
    (
        "repository, read: no pull of anything in it (c: nor a mount)",
        &[
            "a_repository_that_must_not_be_read_gives_nothing_of_its_content",
            "a_repository_that_must_not_be_read_is_no_source_of_a_mount",
        ],
    ),
    (
        "repository, list: c: not in the catalogue; read directly",
        &["a_repository_that_must_not_be_listed_is_left_out_of_the_catalogue"],
    ),
    (
        "repository: not deleted while something in it is locked",
        &["a_repository_is_not_deleted_while_something_in_it_is_locked"],
    ),
    (
        "tag: c: holds its manifest",
        &["a_locked_tag_holds_its_manifest"],
    ),
    (
        "locks come after existence and before the body",
        &["locks_come_after_existence_and_before_the_body"],
    ),
];

/// Status, code and where it comes.
const ERRORS: &[Row] = &[
    (
        "400 DIGEST_INVALID, end of an upload",
        &["digest_invalid_400_at_the_end_of_an_upload"],
    ),
    (
        "400 MANIFEST_INVALID, push of a manifest",
        &["manifest_invalid_400_at_the_push_of_a_manifest"],
    ),
    (
        "400 MANIFEST_BLOB_UNKNOWN, one for each blob",
        &["manifest_blob_unknown_400_once_for_each_blob"],
    ),
    (
        "401 UNAUTHORIZED, everywhere",
        &["unauthorized_401_with_an_array_or_null"],
    ),
    (
        "401 without a body, token endpoints",
        &["no_body_401_at_the_token_endpoints"],
    ),
    (
        "401 UNAUTHORIZED token validation failed, exchange",
        &["token_validation_failed_401_at_the_exchange"],
    ),
    (
        "401 UNAUTHORIZED, wrong login",
        &["invalid_login_401_at_the_token_endpoint"],
    ),
    (
        "403 DENIED retrieving permissions failed, exchange",
        &["denied_403_for_an_identity_without_a_role"],
    ),
    ("403 DENIED, firewall", &["denied_403_by_the_firewall"]),
    (
        "404 NAME_UNKNOWN, read, update, lists",
        &["name_unknown_404_where_a_repository_is_read_changed_or_listed"],
    ),
    (
        "404 NAME_UNKNOWN, delete of a repository",
        &["name_unknown_404_where_a_repository_is_deleted"],
    ),
    (
        "404 TAG_UNKNOWN",
        &["tag_unknown_404_where_a_tag_is_read_changed_or_deleted"],
    ),
    (
        "404 MANIFEST_UNKNOWN, metadata",
        &["manifest_unknown_404_in_the_metadata_api"],
    ),
    (
        "404 MANIFEST_UNKNOWN, get by tag",
        &["manifest_unknown_404_where_a_manifest_is_got_by_tag"],
    ),
    (
        "404 MANIFEST_UNKNOWN, get by digest",
        &["manifest_unknown_404_where_a_manifest_is_got_by_digest"],
    ),
    (
        "404 MANIFEST_UNKNOWN, delete",
        &["manifest_unknown_404_where_a_manifest_is_deleted"],
    ),
    (
        "404 BLOB_UNKNOWN, get",
        &["blob_unknown_404_where_a_blob_is_got"],
    ),
    (
        "404 BLOB_UNKNOWN, delete",
        &["blob_unknown_404_where_a_blob_is_deleted_also_in_an_unknown_repository"],
    ),
    (
        "404 in plain text, malformed names",
        &["page_not_found_404_for_a_malformed_name_tag_or_digest"],
    ),
    (
        "404 of the front, unknown paths",
        &["not_found_404_in_front_of_the_registry"],
    ),
    ("404 BLOB_UPLOAD_UNKNOWN", &["blob_upload_unknown_404"]),
    (
        "405 UNSUPPORTED, delete of a manifest by tag",
        &["unsupported_405_where_a_manifest_is_deleted_by_tag"],
    ),
    (
        "405 REGISTRY_DISALLOWED_OPERATION, locks",
        &["registry_disallowed_operation_405_where_a_lock_holds"],
    ),
    (
        "416 BLOB_UPLOAD_RANGE_INVALID, chunks",
        &["blob_upload_range_invalid_416_where_a_chunk_is_out_of_order"],
    ),
    (
        "416 without a body, stale location",
        &["no_body_416_where_a_location_is_stale"],
    ),
    (
        "429 TOOMANYREQUESTS",
        &["toomanyrequests_429_where_a_class_is_throttled"],
    ),
];

/// The demands of the conformance suite, in its profile.
const OCI: &[Row] = &[
    (
        "1: large manifests, streamed bodies",
        &["point_1_manifests_of_3_9_mb_and_streamed_chunks_need_no_length"],
    ),
    (
        "2: locations, types and lengths",
        &["point_2_what_is_created_is_at_its_location_with_its_exact_type_and_length"],
    ),
    (
        "3: uploads",
        &["point_3_an_upload_outlives_what_comes_out_of_order"],
    ),
    (
        "4: mounts",
        &["point_4_a_mount_finds_a_blob_anywhere_and_membership_is_each_repository_s_own"],
    ),
    (
        "5: ranges",
        &["point_5_ranges_are_cut_out_by_the_registry_itself"],
    ),
    ("6: sha512", &["point_6_sha512_is_as_good_as_sha256"]),
    (
        "7: tags by the query",
        &["point_7_a_push_by_digest_sets_the_tags_of_its_query_and_names_each"],
    ),
    (
        "8: sparse and odd manifests",
        &["point_8_manifests_may_name_what_is_not_there_and_hold_what_nobody_knows"],
    ),
    ("9: referrers", &["point_9_referrers_are_always_an_index"]),
    (
        "10: tags",
        &["point_10_tags_are_listed_with_the_right_to_pull_and_deleted_one_by_one"],
    ),
    (
        "11: digests in headers",
        &["point_11_every_answer_about_content_names_its_digest"],
    ),
];

/// The builder's switches and bounds, by their methods.
const SWITCHES: &[Row] = &[
    (
        "referrers_api",
        &["without_the_referrers_api_there_is_a_plain_404_and_no_word_about_the_subject"],
    ),
    (
        "data_redirect",
        &["the_redirect_is_the_profile_s_unless_it_is_said"],
    ),
    (
        "minimum_chunk_length",
        &["a_registry_with_a_minimum_chunk_says_so_and_takes_nothing_behind_a_short_one"],
    ),
    (
        "ranges",
        &["a_registry_that_ignores_ranges_gives_the_whole"],
    ),
    (
        "abac",
        &["an_abac_registry_leaves_wildcards_out_of_tokens_and_marks_its_refresh_tokens"],
    ),
    (
        "anonymous_pull",
        &["anonymous_pull_lets_anybody_read_in_either_profile"],
    ),
    (
        "page_size",
        &[
            "a_page_is_as_large_as_it_is_set_where_the_request_does_not_say",
            "the_page_sizes_can_be_set",
        ],
    ),
    ("page_size_limit", &["the_page_sizes_can_be_set"]),
    (
        "referrers_page_size",
        &[
            "a_long_list_comes_in_pages_that_stay_while_referrers_come",
            "a_filtered_list_is_filtered_on_every_page",
        ],
    ),
    (
        "firewall",
        &["a_firewall_tells_a_client_its_address_at_every_endpoint"],
    ),
    (
        "throttle",
        &[
            "a_throttled_class_is_refused_until_the_next_second_and_the_others_are_not",
            "a_throttle_by_the_minute_can_say_when_to_come_again",
            "token_requests_and_deletes_are_throttled_with_what_their_headers_tell",
        ],
    ),
    (
        "replication_lag",
        &["a_replica_finds_a_push_by_digest_at_once_and_by_tag_later"],
    ),
    (
        "metadata_lag",
        &["the_config_s_type_comes_into_the_properties_later"],
    ),
    (
        "head_limit",
        &["a_head_over_the_bound_is_431_whatever_it_asks_for"],
    ),
    (
        "body_limit",
        &["a_form_or_an_update_over_the_bound_is_413_and_changes_nothing"],
    ),
    (
        "manifest_limit",
        &["a_manifest_over_the_bound_is_413_with_and_without_a_length"],
    ),
    (
        "blob_limit",
        &["a_blob_over_the_bound_is_413_in_every_way_to_send_it_and_the_upload_stays"],
    ),
    (
        "max_bytes",
        &[
            "blobs_manifests_and_uploads_are_held_up_to_a_number_of_bytes_and_what_ends_makes_room",
            "a_full_registry_reads_signs_in_and_deletes_as_ever",
        ],
    ),
    (
        "upload_limit",
        &[
            "an_upload_too_many_is_429_until_one_has_ended",
            "an_upload_too_many_is_told_when_to_come_again",
        ],
    ),
    (
        "repository_upload_limit",
        &["a_repository_with_too_many_uploads_does_not_take_those_of_another"],
    ),
];

/// What a fault can be told: the methods of `Fault` and of `Refuse`.
const FAULTS: &[Row] = &[
    (
        "on",
        &["a_fault_is_aimed_by_name_class_or_at_any_operation"],
    ),
    (
        "on_class",
        &["a_fault_is_aimed_by_name_class_or_at_any_operation"],
    ),
    (
        "any",
        &["a_fault_is_aimed_by_name_class_or_at_any_operation"],
    ),
    ("on_data", &["the_data_origin_is_a_target_of_its_own"]),
    ("in_repository", &["a_repository_s_name_narrows_it"]),
    (
        "before_credentials",
        &["requests_without_good_credentials_are_neither_struck_nor_counted_unless_it_is_said"],
    ),
    (
        "after",
        &["the_first_matches_pass_and_the_strikes_are_counted_down"],
    ),
    (
        "times",
        &[
            "the_first_matches_pass_and_the_strikes_are_counted_down",
            "as_many_are_struck_as_may_be_however_many_ask_at_once",
        ],
    ),
    (
        "share",
        &[
            "a_share_is_picked_by_the_seed_and_by_nothing_else",
            "a_share_begins_behind_the_matches_that_pass_and_ends_with_its_times",
        ],
    ),
    (
        "seed",
        &["a_share_is_picked_by_the_seed_and_by_nothing_else"],
    ),
    ("answer", &["what_is_refused_is_not_carried_out"]),
    (
        "reset",
        &["a_reset_ends_the_connection_and_nothing_is_done"],
    ),
    ("lose_answer", &["a_lost_answer_leaves_the_deed_done"]),
    (
        "reset_after_taking",
        &[
            "a_chunk_s_first_bytes_are_kept_when_the_connection_ends_within_it",
            "what_needs_its_body_whole_keeps_nothing_of_it",
        ],
    ),
    (
        "delay_answer",
        &["a_delayed_answer_comes_when_the_clock_says_so_and_the_deed_is_done_before"],
    ),
    (
        "never_answer",
        &["an_answer_that_never_comes_leaves_the_deed_done_and_others_unharmed"],
    ),
    (
        "cut_body_after",
        &["a_cut_body_is_announced_whole_and_breaks"],
    ),
    (
        "stall_body_after",
        &["a_stalled_body_gives_its_first_bytes_and_then_nothing_for_ever"],
    ),
    (
        "flip_byte_at",
        &["a_flipped_byte_changes_one_bit_and_only_in_that_answer"],
    ),
    (
        "drip_body",
        &["a_dripping_body_waits_before_each_piece_and_comes_whole"],
    ),
    ("lose_upload", &["a_lost_upload_is_404_and_really_gone"]),
    (
        "break_upload",
        &["a_broken_upload_is_400_and_gone_likewise"],
    ),
    ("cycle", &["several_actions_take_turns"]),
    (
        "inject",
        &["a_fault_that_could_never_strike_is_refused_and_says_why"],
    ),
    (
        "clear_faults",
        &["a_fault_is_removed_by_its_handle_and_all_by_the_registry"],
    ),
    (
        "retry_after",
        &["retry_after_is_seconds_or_a_date_of_the_registry_s_clock"],
    ),
    (
        "retry_after_date",
        &["retry_after_is_seconds_or_a_date_of_the_registry_s_clock"],
    ),
    (
        "invalid_token",
        &["a_token_that_no_longer_holds_is_challenged_with_the_operation_s_scope"],
    ),
    (
        "expired_url",
        &["the_data_origin_refuses_in_storage_s_words"],
    ),
    ("not_found", &["a_404_is_the_operation_s_own"]),
    ("status", &["the_registry_refuses_in_the_service_s_words"]),
    ("denied", &["the_registry_refuses_in_the_service_s_words"]),
    (
        "too_many_requests",
        &["the_registry_refuses_in_the_service_s_words"],
    ),
    (
        "internal_server_error",
        &["the_registry_refuses_in_the_service_s_words"],
    ),
    (
        "bad_gateway",
        &["the_registry_refuses_in_the_service_s_words"],
    ),
    (
        "service_unavailable",
        &["the_registry_refuses_in_the_service_s_words"],
    ),
    (
        "gateway_timeout",
        &["the_registry_refuses_in_the_service_s_words"],
    ),
];

const SOURCES: &[(&[Row], &[&str])] = &[
    (LOCKS, &[include_str!("locks.rs")]),
    (ERRORS, &[include_str!("error_catalogue.rs")]),
    (OCI, &[include_str!("oci.rs")]),
    (
        SWITCHES,
        &[
            include_str!("switches.rs"),
            include_str!("limits.rs"),
            include_str!("memory.rs"),
            include_str!("profile.rs"),
            include_str!("paging.rs"),
            include_str!("referrers.rs"),
        ],
    ),
    (
        FAULTS,
        &[
            include_str!("fault.rs"),
            include_str!("fault_answer.rs"),
            include_str!("fault_match.rs"),
        ],
    ),
];

#[test]
fn every_row_has_a_test_and_every_test_of_the_catalogue_a_row() {
    for (table, sources) in SOURCES {
        for (row, tests) in *table {
            assert!(!tests.is_empty(), "{row}");
            for test in *tests {
                let written = format!("#[test]\nfn {test}() {{");
                let found = sources.iter().any(|source| source.contains(&written));
                assert!(found, "{row}: no test {test}");
            }
        }
    }
    let catalogue = include_str!("error_catalogue.rs");
    let in_table: usize = ERRORS.iter().map(|(_, tests)| tests.len()).sum();
    assert_eq!(catalogue.matches("#[test]\n").count(), in_table);
}

#[test]
fn every_switch_and_every_bound_of_the_builder_has_a_row() {
    let switches = include_str!("../../src/settings/switches.rs");
    let limits = include_str!("../../src/settings/limits.rs");
    every_public_method_has_a_row(SWITCHES, &[switches, limits]);
}

#[test]
fn everything_that_a_fault_can_be_told_has_a_row() {
    let fault = include_str!("../../src/fault/mod.rs");
    let refuse = include_str!("../../src/fault/refuse.rs");
    every_public_method_has_a_row(FAULTS, &[fault, refuse]);
}

#[track_caller]
fn every_public_method_has_a_row(table: &[Row], sources: &[&str]) {
    for line in sources.iter().flat_map(|source| source.lines()) {
        let method = line
            .strip_prefix("    pub fn ")
            .or_else(|| line.strip_prefix("    pub const fn "));
        if let Some(method) = method.and_then(|method| method.split('(').next()) {
            assert!(table.iter().any(|(row, _)| *row == method), "{method}");
        }
    }
}

//! The bytes of the metadata API and of tokens.

use super::*;

#[test]
fn properties_of_a_repository_are_written_as_the_service_does() {
    let repository = name("samples/app");
    let operation = GetRepositoryProperties {
        repository: repository.clone(),
    };
    let body = concat!(
        r#"{"registry":"r.azurecr.io","imageName":"samples/app","createdTime":"2025-09-01T10:00:02.61505Z","#,
        r#""lastUpdateTime":"2025-09-01T10:11:41.5329708Z","manifestCount":15,"tagCount":5,"#,
        r#""changeableAttributes":{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}}"#,
        "\n"
    );
    let created_on = valid("2025-09-01T10:00:02.61505Z".parse());
    let mut output = RepositoryProperties::new(repository, created_on);
    output.registry_login_server = "r.azurecr.io".into();
    output.last_updated_on = valid("2025-09-01T10:11:41.5329708Z".parse());
    (output.manifest_count, output.tag_count) = (15, 5);
    output.attributes = Attributes::enabled();
    golden(&operation, response(200, &[JSON], body), &output);
}

#[test]
fn members_of_a_tag_that_are_new_stand_behind_its_locks() {
    let extra = serde_json::json!({ "future": [1], "signed": true, "newer": "x" });
    let mut output = ArtifactTagProperties::new(
        name("samples/app"),
        tag_named("v1"),
        valid(Digest::new(DIGEST)),
        valid("2025-09-01T10:00:02.61505Z".parse()),
    );
    output.registry_login_server = "r.azurecr.io".into();
    output.last_updated_on = valid("2025-09-01T10:11:41.5329708Z".parse());
    output.attributes = Attributes::enabled();
    output.extra = extra.as_object().cloned().unwrap_or_default();
    let operation = GetTagProperties {
        repository: output.repository_name.clone(),
        tag: output.name.clone(),
    };
    let response = operation.respond(&output);
    let body = format!(
        concat!(
            r#"{{"registry":"r.azurecr.io","imageName":"samples/app","tag":{{"name":"v1","digest":"{}","#,
            r#""createdTime":"2025-09-01T10:00:02.61505Z","lastUpdateTime":"2025-09-01T10:11:41.5329708Z","signed":true,"#,
            r#""changeableAttributes":{{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}},"#,
            r#""future":[1],"newer":"x"}}}}"#,
            "\n"
        ),
        DIGEST
    );
    assert_eq!(response.body(), body.as_bytes());
}

#[test]
fn a_deleted_repository_without_tags_says_null() {
    let operation = DeleteRepository {
        repository: name("a"),
    };
    let body = format!("{{\"manifestsDeleted\":[\"{DIGEST}\"],\"tagsDeleted\":null}}\n");
    let mut output = DeletedRepository::default();
    output.deleted_manifests = vec![valid(Digest::new(DIGEST))];
    golden(
        &operation,
        response(202, &[JSON], &body),
        &Deletion::Deleted(output),
    );
}

#[test]
fn what_is_not_there_to_be_deleted_is_told_in_each_api_s_own_words() {
    let (repository, digest) = (name("does_not_exist"), valid(Digest::new(DIGEST)));
    let body = "{\"errors\":[{\"code\":\"NAME_UNKNOWN\",\"message\":\"repository name not known to registry\",\"detail\":{\"name\":\"does_not_exist\"}}]}\n";
    golden(
        &DeleteRepository {
            repository: repository.clone(),
        },
        response(404, &[JSON], body),
        &Deletion::NotFound,
    );
    let body = "{\"errors\":[{\"code\":\"TAG_UNKNOWN\",\"message\":\"the specified tag does not exist\"}]}\n";
    let operation = DeleteTag {
        repository: repository.clone(),
        tag: tag_named("v1"),
    };
    golden(
        &operation,
        response(404, &[JSON], body),
        &Deletion::NotFound,
    );
    let body = format!(
        "{{\"errors\":[{{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest {DIGEST} is not found\"}}]}}\n"
    );
    let operation = DeleteManifest {
        repository: repository.clone(),
        reference: (&digest).into(),
    };
    golden(
        &operation,
        response(404, &[JSON], &body),
        &Deletion::NotFound,
    );
    let body =
        "{\"errors\":[{\"code\":\"BLOB_UNKNOWN\",\"message\":\"blob unknown to registry\"}]}\n";
    golden(
        &DeleteBlob { repository, digest },
        response(404, &[JSON], body),
        &Deletion::NotFound,
    );
}

#[test]
fn what_was_there_to_be_deleted_is_told_by_the_status_alone() {
    let (repository, digest) = (name("a"), valid(Digest::new(DIGEST)));
    let operation = DeleteTag {
        repository: repository.clone(),
        tag: tag_named("v1"),
    };
    golden(&operation, response(202, &[], ""), &Deletion::Deleted(None));
    let pointed_at = [("x-ms-int-docker-content-digest", DIGEST)];
    let deleted = Deletion::Deleted(Some(digest.clone()));
    golden(&operation, response(202, &pointed_at, ""), &deleted);
    let operation = DeleteManifest {
        repository: repository.clone(),
        reference: (&digest).into(),
    };
    golden(&operation, response(202, &[], ""), &Deletion::Deleted(()));
    golden(
        &DeleteBlob { repository, digest },
        response(202, &[], ""),
        &Deletion::Deleted(()),
    );
}

#[test]
fn a_list_without_tags_says_null() {
    let operation = list_tag_properties(name("alpine"));
    let body = "{\"registry\":\"r.azurecr.io\",\"imageName\":\"alpine\",\"tags\":null}\n";
    let output = Page {
        registry_login_server: "r.azurecr.io".into(),
        ..Page::default()
    };
    golden(&operation, response(200, &[JSON], body), &output);
}

#[test]
fn a_page_of_tags_is_written_with_its_link_as_the_service_does() {
    let operation = list_tag_properties(name("alpine"));
    let link = "</acr/v1/alpine/_tags?last=3.15.6&n=1&orderby=>; rel=\"next\"";
    let body = format!(
        "{{\"registry\":\"r.azurecr.io\",\"imageName\":\"alpine\",\"tags\":[{{\"name\":\"3.15.6\",\"digest\":\"{DIGEST}\",\
         \"createdTime\":\"2025-09-01T10:00:02Z\",\"lastUpdateTime\":\"2025-09-01T10:00:02.5Z\",\"signed\":false,\
         \"changeableAttributes\":{{\"deleteEnabled\":false,\"writeEnabled\":false,\"readEnabled\":true,\"listEnabled\":true}}}}]}}\n"
    );
    let mut item = ArtifactTagProperties::new(
        name("alpine"),
        tag_named("3.15.6"),
        valid(Digest::new(DIGEST)),
        valid("2025-09-01T10:00:02Z".parse()),
    );
    item.registry_login_server = "r.azurecr.io".into();
    item.last_updated_on = valid("2025-09-01T10:00:02.5Z".parse());
    item.attributes = Attributes::enabled();
    item.attributes.apply(&ChangeableAttributes::LOCKED);
    item.extra.insert("signed".to_owned(), false.into());
    let output = Page {
        registry_login_server: "r.azurecr.io".into(),
        items: vec![item],
        next: Some(valid(PageToken::new(
            "/acr/v1/alpine/_tags?last=3.15.6&n=1&orderby=",
        ))),
        ..Page::default()
    };
    golden(
        &operation,
        response(200, &[JSON, ("link", link)], &body),
        &output,
    );
}

/// Members come in the service's order; those that do not apply are left out, `tags` of an untagged manifest too.
#[test]
fn properties_of_an_image_and_of_an_index_are_written_as_the_service_does() {
    let mut unnamed = ArtifactManifestProperties::new(
        name("a"),
        valid(Digest::new(DIGEST)),
        valid("2025-09-01T10:00:02Z".parse()),
    );
    unnamed.registry_login_server = "r.azurecr.io".into();
    unnamed.size_in_bytes = Some(2479);
    unnamed.attributes = Attributes::enabled();
    let mut image = unnamed.clone();
    image.tags = vec![tag_named("latest"), tag_named("v1")];
    image.architecture = Some("amd64".into());
    image.operating_system = Some("linux".into());
    image.media_type = Some(MediaType::DOCKER_MANIFEST);
    image.config_media_type = Some(MediaType::DOCKER_CONFIG);
    let operation = GetManifestProperties {
        repository: name("a"),
        digest: image.digest.clone(),
    };
    let times = r#""createdTime":"2025-09-01T10:00:02Z","lastUpdateTime":"2025-09-01T10:00:02Z""#;
    let locks = r#""changeableAttributes":{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}"#;
    let head =
        format!(r#"{{"registry":"r.azurecr.io","imageName":"a","manifest":{{"digest":"{DIGEST}""#);
    let body = format!(
        r#"{head},"imageSize":2479,{times},"architecture":"amd64","os":"linux","mediaType":"application/vnd.docker.distribution.manifest.v2+json","configMediaType":"application/vnd.docker.container.image.v1+json","tags":["latest","v1"],{locks}}}}}"#
    );
    golden(
        &operation,
        response(200, &[JSON], &format!("{body}\n")),
        &image,
    );

    let mut reference = ArtifactManifestReference::new(image.digest);
    reference.architecture = Some("arm64".into());
    reference.operating_system = Some("linux".into());
    let mut index = unnamed;
    index.media_type = Some(MediaType::OCI_INDEX);
    index.references = vec![reference];
    let body = format!(
        r#"{head},"imageSize":2479,{times},"mediaType":"application/vnd.oci.image.index.v1+json",{locks},"references":[{{"digest":"{DIGEST}","architecture":"arm64","os":"linux"}}]}}}}"#
    );
    golden(
        &operation,
        response(200, &[JSON], &format!("{body}\n")),
        &index,
    );
}

#[test]
fn a_list_of_manifests_names_no_references() {
    let times = r#""createdTime":"2025-09-01T10:00:02Z","lastUpdateTime":"2025-09-01T10:00:02Z""#;
    let locks = r#""changeableAttributes":{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}"#;
    let start = r#"{"registry":"r.azurecr.io","imageName":"a","manifests":["#;
    let item = |references: &str| format!(r#"{{"digest":"{DIGEST}",{times},{locks}{references}}}"#);
    let references = format!(r#","references":[{{"digest":"{DIGEST}"}}]"#);
    let operation = list_manifest_properties(name("a"));
    let body = format!("{start}{}]}}\n", item(&references));
    let (head, body) = response(200, &[JSON], &body).into_parts();
    let listing = operation.decode(&head, body).unwrap();
    assert_eq!(listing.items[0].references.len(), 1);
    let written = operation.respond(&listing);
    assert_eq!(written.body(), &format!("{start}{}]}}\n", item("")));
}

#[test]
fn what_the_service_may_leave_out_of_a_manifest_s_properties_is_optional() {
    let operation = GetManifestProperties {
        repository: name("a"),
        digest: valid(Digest::new(DIGEST)),
    };
    let body = format!(
        r#"{{"imageName":"a","manifest":{{"digest":"{DIGEST}","createdTime":"2025-09-01T10:00:02Z","lastUpdateTime":"2025-09-01T10:00:02Z","tags":null,"references":null,"changeableAttributes":null}}}}"#
    );
    let (head, body) = response(200, &[JSON], &body).into_parts();
    let properties = operation.decode(&head, body).unwrap();
    assert_eq!(
        (
            properties.tags,
            properties.references,
            properties.size_in_bytes
        ),
        (vec![], vec![], None)
    );
    assert!(!properties.attributes.is_locked());
}

#[test]
fn catalogues_and_tag_names_are_written_as_the_service_does() {
    let link = "</acr/v1/_catalog?last=b&n=2&orderby=>; rel=\"next\"";
    let output = Page {
        items: vec![name("a"), name("b")],
        next: Some(valid(PageToken::new(
            "/acr/v1/_catalog?last=b&n=2&orderby=",
        ))),
        ..Page::default()
    };
    let body = "{\"repositories\":[\"a\",\"b\"]}\n";
    golden(
        &ListRepositoryNames::default(),
        response(200, &[JSON, ("link", link)], body),
        &output,
    );
    golden(
        &ListRepositories::default(),
        response(200, &[JSON, ("link", link)], body),
        &output,
    );
    let body = "{\"name\":\"samples/app\",\"tags\":[\"v1\",\"v2\"]}\n";
    let operation = ListTags {
        repository: name("samples/app"),
        query: ListQuery::default(),
    };
    let output = Page::complete(vec![tag_named("v1"), tag_named("v2")]);
    golden(&operation, response(200, &[JSON], body), &output);
}

#[test]
fn one_odd_legacy_name_does_not_end_a_listing_but_a_path_does() {
    let read = |body: &str| {
        let (head, body) = response(200, &[JSON], body).into_parts();
        ListRepositoryNames::default().decode(&head, body)
    };
    assert_eq!(
        read(r#"{"repositories":["a","Old Name"],"new":1}"#)
            .unwrap()
            .items
            .len(),
        2
    );
    assert!(read(r#"{"repositories":null}"#).unwrap().items.is_empty());
    assert!(read(r#"{"repositories":["a","../b"]}"#).is_err());
}

/// A page as large as the service gives is read at once; reading must not be quadratic in any way.
#[test]
fn a_page_of_ten_thousand_tags_is_read_whole() {
    let tag = |index: usize| {
        format!(
            r#"{{"name":"tag-{index}","digest":"{DIGEST}","createdTime":"2025-09-01T10:00:02.6150501Z","lastUpdateTime":"2025-09-01T10:00:02.6150501Z","signed":false,"changeableAttributes":{{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}}}}"#
        )
    };
    let tags: Vec<String> = (0..10_000).map(tag).collect();
    let body = format!(
        "{{\"registry\":\"r.azurecr.io\",\"imageName\":\"a\",\"tags\":[{}]}}\n",
        tags.join(",")
    );
    let operation = list_tag_properties(name("a"));
    let (head, bytes) = response(200, &[JSON], &body).into_parts();
    let listing = operation.decode(&head, bytes).unwrap();
    assert_eq!(listing.items.len(), 10_000);
    assert_eq!(listing.items[9_999].name, "tag-9999");
    assert_eq!(operation.respond(&listing).body(), body.as_bytes());
}

#[test]
fn an_error_s_body_is_no_outcome_but_can_be_read_as_an_error() {
    let body = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository \"x\" is not found"}]}"#;
    let (head, bytes) = response(404, &[JSON], body).into_parts();
    let operation = list_tag_properties(name("x"));
    assert_eq!(
        operation.decode(&head, bytes.clone()),
        Err(DecodeError::Status(StatusCode::NOT_FOUND))
    );
    assert_eq!(ErrorEnvelope::parse(&bytes).errors[0].code, "NAME_UNKNOWN");
}

#[test]
fn the_ping_is_the_one_json_without_a_newline() {
    golden(&Ping, response(200, &[JSON], "{}"), &());
}

#[test]
fn tokens_come_without_a_life() {
    golden(
        &ExchangeEntraToken::default(),
        response(200, &[JSON], "{\"refresh_token\":\"x\"}\n"),
        &"x".into(),
    );
    let body = "{\"access_token\":\"x\"}\n";
    golden(
        &RequestAccessToken::default(),
        response(200, &[JSON], body),
        &"x".into(),
    );
    golden(
        &RequestAccessTokenWithLogin::default(),
        response(200, &[JSON], body),
        &"x".into(),
    );
    // Docker's token servers name it otherwise, or doubly.
    for body in [
        r#"{"token":"x","expires_in":300}"#,
        r#"{"access_token":"","token":"x"}"#,
    ] {
        let (head, body) = response(200, &[JSON], body).into_parts();
        assert_eq!(
            RequestAccessToken::default()
                .decode(&head, body)
                .unwrap()
                .expose(),
            "x"
        );
    }
    for body in [
        "{}",
        r#"{"access_token":""}"#,
        r#"{"access_token":null}"#,
        "",
    ] {
        let (head, body) = response(200, &[JSON], body).into_parts();
        assert!(
            RequestAccessToken::default()
                .decode(&head, body.clone())
                .is_err()
        );
        assert!(ExchangeEntraToken::default().decode(&head, body).is_err());
    }
}

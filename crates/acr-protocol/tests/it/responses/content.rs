//! The bytes of the OCI API: manifests, blobs, uploads, referrers.

use super::*;

#[test]
fn referrers_are_an_index_and_empty_rather_than_absent() {
    let operation = ListReferrers {
        repository: name("a"),
        digest: valid(Digest::new(DIGEST)),
        artifact_type: Some("application/x".into()),
        query: Default::default(),
    };
    let index = ("content-type", "application/vnd.oci.image.index.v1+json");
    let start =
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":"#;
    let output = Page {
        items: vec![],
        filtered: false,
        ..Page::default()
    };
    golden(
        &operation,
        response(200, &[index], &format!("{start}[]}}\n")),
        &output,
    );
    let mut item = Descriptor::new(MediaType::OCI_MANIFEST, operation.digest.clone(), 859)
        .with_annotation("k", "v");
    item.artifact_type = Some("application/x".into());
    let output = Page {
        items: vec![item],
        filtered: true,
        ..Page::default()
    };
    let body = format!(
        r#"{start}[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{DIGEST}","size":859,"annotations":{{"k":"v"}},"artifactType":"application/x"}}]}}"#
    );
    let applied = ("oci-filters-applied", "artifactType");
    golden(
        &operation,
        response(200, &[index, applied], &format!("{body}\n")),
        &output,
    );
}

#[test]
fn a_pushed_manifest_is_named_by_digest_and_with_plain_slashes() {
    let operation = SetManifest {
        repository: name("samples/app"),
        reference: tag_named("v1").into(),
        media_type: MediaType::OCI_MANIFEST,
        bytes: Bytes::new(),
        tags: vec![],
    };
    let digest = valid(Digest::new(DIGEST));
    let location = format!("/v2/samples/app/manifests/{DIGEST}");
    let named = [
        ("docker-content-digest", DIGEST),
        ("location", location.as_str()),
    ];
    let mut output = AcceptedManifest::new(digest.clone());
    golden(&operation, response(201, &named, ""), &output);
    let with_subject = [named[0], named[1], ("oci-subject", DIGEST)];
    output.subject = Some(digest);
    golden(&operation, response(201, &with_subject, ""), &output);
}

#[test]
fn a_manifest_comes_with_its_digest_as_the_entity_tag() {
    let operation = GetManifest {
        repository: name("a"),
        reference: tag_named("v1").into(),
        accept: vec![],
    };
    let manifest = Manifest::new("{}", MediaType::OCI_INDEX);
    let written = operation.respond(&manifest);
    assert_eq!(
        written.headers()[CONTENT_TYPE],
        "application/vnd.oci.image.index.v1+json"
    );
    assert_eq!(written.headers()[ETAG], format!("\"{}\"", manifest.digest));
    assert_eq!(
        written.headers()[headers::DOCKER_CONTENT_DIGEST],
        manifest.digest.as_str()
    );
    assert_eq!(&written.body()[..], b"{}");
}

#[test]
fn an_upload_is_told_as_the_service_does() {
    let repository = name("samples/app");
    let location = UploadLocation::acr(
        &repository,
        "b3ba23dc-faa8-5b72-a5f4-c308872f3247",
        "c3RhdGU=",
    );
    let text = "/v2/samples/app/blobs/uploads/b3ba23dc-faa8-5b72-a5f4-c308872f3247?_nouploadcache=false&_state=c3RhdGU%3D";
    let uuid = ("docker-upload-uuid", "b3ba23dc-faa8-5b72-a5f4-c308872f3247");
    let session = |range| [uuid, ("location", text), ("range", range)];
    let at = |last| UploadProgress {
        location: location.clone(),
        last_byte: Some(last),
        minimum_chunk: None,
    };

    let start = StartUpload {
        repository: repository.clone(),
        digest: None,
    };
    golden(
        &start,
        response(202, &session("0-0"), ""),
        &UploadStart::Started(at(0)),
    );
    let chunk = UploadChunk {
        repository: repository.clone(),
        location: location.clone(),
        range: None,
    };
    golden(&chunk, response(202, &session("0-21"), ""), &at(21));
    let status = GetUploadStatus {
        repository: repository.clone(),
        location: location.clone(),
    };
    golden(&status, response(204, &session("0-21"), ""), &at(21));
    let cancel = CancelUpload {
        repository: repository.clone(),
        location: location.clone(),
    };
    golden(&cancel, response(204, &[uuid], ""), &());

    let digest = valid(Digest::new(DIGEST));
    let address = format!("/v2/samples/app/blobs/{DIGEST}");
    let created = [
        ("docker-content-digest", DIGEST),
        ("location", address.as_str()),
    ];
    let complete = CompleteUpload {
        repository: repository.clone(),
        location: location.clone(),
        digest: Some(digest.clone()),
        range: None,
    };
    golden(&complete, response(201, &created, ""), &digest);
    let whole = StartUpload {
        repository: repository.clone(),
        digest: Some(digest.clone()),
    };
    golden(
        &whole,
        response(201, &created, ""),
        &UploadStart::AlreadyExists(digest.clone()),
    );
    let mount = MountBlob {
        repository: repository.clone(),
        digest: digest.clone(),
        from: Some(repository),
    };
    golden(
        &mount,
        response(201, &created, ""),
        &UploadStart::AlreadyExists(digest),
    );
    golden(
        &mount,
        response(202, &session("0-0"), ""),
        &UploadStart::Started(at(0)),
    );

    // A chunk to an old location is refused without a body, but with the true state.
    let stale = at(21).respond_stale();
    assert_eq!(
        (stale.status(), stale.body().len()),
        (StatusCode::RANGE_NOT_SATISFIABLE, 0)
    );
    assert_eq!(stale.headers()[RANGE], "0-21");
    assert_eq!(stale.headers()[LOCATION], text);
    assert_eq!(stale.headers()[CONTENT_TYPE], JSON.1);
}

#[test]
fn other_registries_forms_of_an_upload_are_read() {
    let chunk = UploadChunk {
        repository: name("a"),
        location: valid(UploadLocation::new("/v2/a/blobs/uploads/x")),
        range: None,
    };
    for (location, range, last_byte) in [
        (
            "https://r.example/v2/a/blobs/uploads/x?s=1",
            "bytes=0-9",
            Some(9),
        ),
        ("/v2/a/blobs/uploads/x", "0-9", Some(9)),
    ] {
        let (head, body) =
            response(202, &[("location", location), ("range", range)], "").into_parts();
        let progress = chunk.decode(&head, body).unwrap();
        assert_eq!(
            (progress.location.as_str(), progress.last_byte),
            (location, last_byte)
        );
    }
    for (name, value, text) in [
        ("location", "r.example", "location"),
        (
            "location",
            "https://user:hunter2@r.example/x?hunter2",
            "location",
        ),
        ("range", "5-9", "range"),
        ("range", "0-", "range"),
        ("range", "0--1", "range"),
        ("range", "0-18446744073709551616", "range"),
    ] {
        let mut response = response(202, &[("location", "/v2/a/blobs/uploads/x")], "");
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
        let (head, body) = response.into_parts();
        let error = chunk.decode(&head, body).unwrap_err();
        assert!(
            matches!(&error, DecodeError::Header { name, .. } if name == text),
            "{error}"
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let mut progress = response(202, &[], "");
    let signed = HeaderValue::from_bytes(b"/v2/\xe4?sig=hunter2").unwrap();
    progress.headers_mut().insert(LOCATION, signed);
    let (head, body) = progress.into_parts();
    let error = chunk.decode(&head, body).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    let (head, body) = response(202, &[], "").into_parts();
    assert_eq!(
        chunk.decode(&head, body),
        Err(DecodeError::MissingHeader(LOCATION))
    );
}

#[test]
fn the_head_of_a_blob_says_how_much_of_it_follows() {
    let get = GetBlob {
        repository: name("a"),
        digest: Digest::sha256(b""),
        range: None,
    };
    let read = |status, headers: &[(&'static str, &str)]| {
        get.decode(&response(status, headers, "").into_parts().0, Bytes::new())
    };
    let whole = read(200, &[("content-length", "1472")]).unwrap();
    assert_eq!(
        (whole.content_length, whole.content_range),
        (Some(1472), None)
    );
    let clamped = [
        ("content-length", "472"),
        ("content-range", "bytes 1000-1471/1472"),
    ];
    let part = ContentRange {
        first: 1000,
        last: 1471,
        size: Some(1472),
    };
    assert_eq!(read(206, &clamped).unwrap().content_range, Some(part));
    // A server that ignores the range says so by its status; a Content-Range there means nothing.
    assert_eq!(read(200, &clamped).unwrap().content_range, None);
    assert_eq!(read(200, &[]).unwrap().content_length, None);
    assert_eq!(
        read(206, &[]),
        Err(DecodeError::MissingHeader(CONTENT_RANGE))
    );
    assert_eq!(
        read(307, &[]),
        Err(DecodeError::Status(StatusCode::TEMPORARY_REDIRECT))
    );
    for length in ["+5", "-1", "1e3", "", "18446744073709551616"] {
        assert!(matches!(
            read(200, &[("content-length", length)]),
            Err(DecodeError::Header { .. })
        ));
    }
}

#[test]
fn content_that_is_not_what_was_asked_for_is_refused() {
    let other = Digest::sha256(b"other");
    let by_digest = GetManifest {
        repository: name("a"),
        reference: Digest::sha256(b"asked").into(),
        accept: vec![],
    };
    let by_tag = GetManifest {
        reference: tag_named("v1").into(),
        ..by_digest.clone()
    };
    let typed = ("content-type", MediaType::OCI_MANIFEST.as_str().to_owned());
    let typed = (typed.0, typed.1.as_str());
    let refused = |operation: &GetManifest, headers: &[(&'static str, &str)], body: &str| {
        let (head, body) = response(200, headers, body).into_parts();
        matches!(operation.decode(&head, body), Err(DecodeError::Digest(_)))
    };
    assert!(refused(&by_digest, &[typed], "other"));
    assert!(!refused(&by_digest, &[typed], "asked"));
    assert!(refused(
        &by_tag,
        &[typed, ("docker-content-digest", other.as_str())],
        "asked"
    ));
    assert!(!refused(
        &by_tag,
        &[typed, ("docker-content-digest", other.as_str())],
        "other"
    ));
    // The header of another algorithm does not stand in for the digest that was asked for.
    let long = Digest::sha512(b"other");
    assert!(refused(
        &by_digest,
        &[typed, ("docker-content-digest", long.as_str())],
        "other"
    ));

    let head_of = |status, digest: &Digest| {
        let headers = [
            ("docker-content-digest", digest.as_str()),
            ("content-length", "5"),
            typed,
        ];
        response(status, &headers, "").into_parts().0
    };
    let asked = Digest::sha256(b"asked");
    let manifest = HeadManifest {
        repository: name("a"),
        reference: (&asked).into(),
        accept: vec![],
    };
    let blob = HeadBlob {
        repository: name("a"),
        digest: asked.clone(),
    };
    let location = valid(UploadLocation::new("/v2/a/blobs/uploads/x"));
    let complete = CompleteUpload {
        repository: name("a"),
        location,
        digest: Some(asked.clone()),
        range: None,
    };
    for (digest, fits) in [(&other, false), (&asked, true)] {
        assert_eq!(
            manifest.decode(&head_of(200, digest), Bytes::new()).is_ok(),
            fits
        );
        assert_eq!(
            blob.decode(&head_of(200, digest), Bytes::new()).is_ok(),
            fits
        );
        assert_eq!(
            complete.decode(&head_of(201, digest), Bytes::new()).is_ok(),
            fits
        );
    }
}

#[test]
fn a_digest_that_cannot_be_computed_is_no_match() {
    let digest = valid(Digest::new("blake3:LCa0a2j"));
    assert!(Digester::new(&digest.algorithm()).is_none());
    let operation = GetManifest {
        repository: name("a"),
        reference: digest.into(),
        accept: vec![],
    };
    let typed = [("content-type", "application/vnd.oci.image.manifest.v1+json")];
    let (head, body) = response(200, &typed, "{}").into_parts();
    assert!(matches!(
        operation.decode(&head, body),
        Err(DecodeError::Unverifiable(_))
    ));
}

#[test]
fn a_manifest_whose_content_type_is_empty_or_absent_is_refused_by_that_name() {
    let get = GetManifest {
        repository: name("a"),
        reference: "v1".parse().unwrap(),
        accept: Vec::new(),
    };
    for (headers, expected) in [
        (&[][..], "the response has no header content-type"),
        (
            &[("content-type", "")],
            "the response's header content-type is malformed (\"\"): it is empty",
        ),
        (
            &[("content-type", " ; charset=utf-8")],
            "the response's header content-type is malformed (\" ; charset=utf-8\"): it is empty",
        ),
    ] {
        let (head, body) = response(200, headers, "{}").into_parts();
        let error = get.decode(&head, body).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

//! Outcomes with arbitrary values go to a response and back.

use super::values::*;
use super::*;

/// The name of an operation, and a check over many of its outcomes.
type Case = (&'static str, Box<dyn Fn()>);

/// Outcomes of an operation go to a response and back.
fn outcomes<O, S>(strategy: S) -> Case
where
    O: Operation<Output: PartialEq + Debug> + Debug,
    S: Strategy<Value = (O, O::Output)> + 'static,
{
    let check = move || {
        for_all(150, &strategy, |(operation, output)| {
            let response = operation.respond(&output);
            prop_assert!(O::SPEC.success.contains(&response.status()));
            check_form(&response)?;
            let (head, body) = response.into_parts();
            let read = operation.decode(&head, body);
            prop_assert_eq!(read, Ok(output), "{} of {:?}", O::SPEC.name, operation);
            for status in [
                StatusCode::FOUND,
                StatusCode::UNAUTHORIZED,
                StatusCode::IM_A_TEAPOT,
            ] {
                let mut head = head.clone();
                head.status = status;
                let read = operation.decode(&head, Bytes::new());
                prop_assert_eq!(read, Err(DecodeError::Status(status)));
            }
            Ok(())
        });
    };
    (O::SPEC.name, Box::new(check))
}

/// What all responses of the service have in common.
fn check_form(response: &Response<Bytes>) -> Result<(), TestCaseError> {
    let body = response.body();
    let content_type = response.headers().get(CONTENT_TYPE);
    if content_type == Some(&HeaderValue::from_static("application/json; charset=utf-8")) {
        let json: Result<serde_json::Value, _> = serde_json::from_slice(body);
        prop_assert!(json.is_ok(), "{:?}", body);
        let is_ping = body == "{}";
        prop_assert!(body.ends_with(b"\n") || is_ping);
        prop_assert!(!body.ends_with(b"\n\n") && !body.contains(&b'\r'));
    }
    if response.status() == StatusCode::NO_CONTENT {
        prop_assert!(body.is_empty() && content_type.is_none());
    }
    Ok(())
}

#[test]
fn every_outcome_is_read_back_from_its_response() {
    for (_, check) in cases() {
        check();
    }
}

#[test]
fn every_operation_is_covered() {
    let covered: BTreeSet<_> = cases().iter().map(|(name, _)| *name).collect();
    assert_eq!(covered, Route::NAMES.iter().copied().collect());
}

fn cases() -> Vec<Case> {
    let lists = vec![
        outcomes(page(repository_name()).prop_map(|page| (ListRepositoryNames::default(), page))),
        outcomes(page(repository_name()).prop_map(|page| (ListRepositories::default(), page))),
        outcomes(
            (repository_name(), page(tag())).prop_map(|(repository, page)| {
                (
                    ListTags {
                        repository,
                        query: ListQuery::default(),
                    },
                    page,
                )
            }),
        ),
        outcomes(
            listing(tag_properties(), |item, registry, repository| {
                item.registry_login_server = registry.to_owned();
                item.repository_name = repository.clone();
            })
            .prop_map(|(repository, page)| (list_tag_properties(repository), page)),
        ),
        outcomes(
            listing(manifest_properties(), |item, registry, repository| {
                item.registry_login_server = registry.to_owned();
                item.repository_name = repository.clone();
                item.references.clear();
            })
            .prop_map(|(repository, page)| (list_manifest_properties(repository), page)),
        ),
        outcomes(
            (
                repository_name(),
                digest(),
                vec(descriptor(), 0..4),
                any::<bool>(),
                option::of(page_token()),
            )
                .prop_map(|(repository, digest, items, filtered, next)| {
                    let operation = ListReferrers {
                        repository,
                        digest,
                        artifact_type: None,
                        query: Default::default(),
                    };
                    (
                        operation,
                        Page {
                            items,
                            filtered,
                            next,
                            ..Page::default()
                        },
                    )
                }),
        ),
    ];
    let properties = vec![
        outcomes(repository_properties().prop_map(|properties| {
            (
                GetRepositoryProperties {
                    repository: properties.name.clone(),
                },
                properties,
            )
        })),
        outcomes((repository_properties(), changeable_attributes()).prop_map(
            |(properties, attributes)| {
                let repository = properties.name.clone();
                (
                    UpdateRepositoryProperties {
                        repository,
                        attributes,
                    },
                    properties,
                )
            },
        )),
        outcomes(tag_properties().prop_map(|properties| {
            let (repository, tag) = (properties.repository_name.clone(), properties.name.clone());
            (GetTagProperties { repository, tag }, properties)
        })),
        outcomes((tag_properties(), changeable_attributes()).prop_map(
            |(properties, attributes)| {
                let (repository, tag) =
                    (properties.repository_name.clone(), properties.name.clone());
                (
                    UpdateTagProperties {
                        repository,
                        tag,
                        attributes,
                    },
                    properties,
                )
            },
        )),
        outcomes(manifest_properties().prop_map(|properties| {
            let (repository, digest) = (
                properties.repository_name.clone(),
                properties.digest.clone(),
            );
            (GetManifestProperties { repository, digest }, properties)
        })),
        outcomes((manifest_properties(), changeable_attributes()).prop_map(
            |(properties, attributes)| {
                let repository = properties.repository_name.clone();
                let digest = properties.digest.clone();
                (
                    UpdateManifestProperties {
                        repository,
                        digest,
                        attributes,
                    },
                    properties,
                )
            },
        )),
    ];
    let deletes = vec![
        outcomes({
            let gone = (vec(digest(), 0..4), vec(tag(), 0..4)).prop_map(
                |(deleted_manifests, deleted_tags)| {
                    let mut gone = DeletedRepository::default();
                    gone.deleted_manifests = deleted_manifests;
                    gone.deleted_tags = deleted_tags;
                    gone
                },
            );
            (repository_name(), option::of(gone))
                .prop_map(|(repository, gone)| (DeleteRepository { repository }, gone.into()))
        }),
        outcomes(
            (repository_name(), tag(), option::of(option::of(digest()))).prop_map(
                |(repository, tag, digest)| (DeleteTag { repository, tag }, digest.into()),
            ),
        ),
        outcomes(
            (repository_name(), digest(), option::of(Just(()))).prop_map(
                |(repository, digest, deleted)| {
                    let reference = digest.into();
                    let operation = DeleteManifest {
                        repository,
                        reference,
                    };
                    (operation, deleted.into())
                },
            ),
        ),
        outcomes(
            (repository_name(), digest(), option::of(Just(()))).prop_map(
                |(repository, digest, deleted)| (DeleteBlob { repository, digest }, deleted.into()),
            ),
        ),
    ];
    let content = vec![
        outcomes((repository_name(), content(), media_type()).prop_map(
            |(repository, (bytes, reference, digest), media_type)| {
                let operation = GetManifest {
                    repository,
                    reference,
                    accept: Vec::new(),
                };
                (
                    operation,
                    Manifest {
                        bytes,
                        media_type,
                        digest,
                    },
                )
            },
        )),
        outcomes(
            (repository_name(), content(), media_type(), any::<u64>()).prop_map(
                |(repository, (_, reference, digest), media_type, size)| {
                    let operation = HeadManifest {
                        repository,
                        reference,
                        accept: Vec::new(),
                    };
                    (operation, Descriptor::new(media_type, digest, size))
                },
            ),
        ),
        outcomes(
            (
                repository_name(),
                content(),
                media_type(),
                option::of(digest()),
                vec(tag(), 0..3),
            )
                .prop_map(
                    |(repository, (bytes, reference, digest), media_type, subject, tags)| {
                        let operation = SetManifest {
                            repository,
                            reference,
                            media_type,
                            bytes,
                            tags: tags.clone(),
                        };
                        let mut accepted = AcceptedManifest::new(digest);
                        accepted.subject = subject;
                        accepted.tags = tags;
                        (operation, accepted)
                    },
                ),
        ),
        outcomes(
            (repository_name(), digest(), media_type(), any::<u64>()).prop_map(
                |(repository, digest, media_type, size)| {
                    let output = Descriptor::new(media_type, digest.clone(), size);
                    (HeadBlob { repository, digest }, output)
                },
            ),
        ),
    ];
    let uploads = vec![
        outcomes(
            (
                repository_name(),
                digest(),
                option::of(any::<u64>()),
                option::of(content_range()),
            )
                .prop_map(|(repository, digest, content_length, content_range)| {
                    let range = None;
                    (
                        GetBlob {
                            repository,
                            digest,
                            range,
                        },
                        BlobHead {
                            content_length,
                            content_range,
                        },
                    )
                }),
        ),
        outcomes(
            (
                progress(),
                digest(),
                option::of(repository_name()),
                any::<bool>(),
            )
                .prop_map(|((repository, progress), digest, from, mounted)| {
                    let output = if mounted {
                        UploadStart::AlreadyExists(digest.clone())
                    } else {
                        UploadStart::Started(progress)
                    };
                    (
                        MountBlob {
                            repository,
                            digest,
                            from,
                        },
                        output,
                    )
                }),
        ),
        outcomes((progress(), digest(), any::<[bool; 2]>()).prop_map(
            |((repository, progress), digest, [whole, created])| {
                let output = if created {
                    UploadStart::AlreadyExists(digest.clone())
                } else {
                    UploadStart::Started(progress)
                };
                (
                    StartUpload {
                        repository,
                        digest: whole.then_some(digest),
                    },
                    output,
                )
            },
        )),
        outcomes(progress().prop_map(|(repository, progress)| {
            let location = progress.location.clone();
            (
                UploadChunk {
                    repository,
                    location,
                    range: None,
                },
                progress,
            )
        })),
        outcomes(progress().prop_map(|(repository, progress)| {
            let location = progress.location.clone();
            (
                GetUploadStatus {
                    repository,
                    location,
                },
                progress,
            )
        })),
        outcomes((progress(), digest(), any::<bool>()).prop_map(
            |((repository, UploadProgress { location, .. }), digest, known)| {
                let asked = known.then(|| digest.clone());
                (
                    CompleteUpload {
                        repository,
                        location,
                        digest: asked,
                        range: None,
                    },
                    digest,
                )
            },
        )),
        outcomes(
            progress().prop_map(|(repository, UploadProgress { location, .. })| {
                (
                    CancelUpload {
                        repository,
                        location,
                    },
                    (),
                )
            }),
        ),
    ];
    let auth = vec![
        outcomes(Just((Ping, ()))),
        outcomes(token().prop_map(|token| (ExchangeEntraToken::default(), token))),
        outcomes(token().prop_map(|token| {
            let grant = Grant::Anonymous;
            (
                RequestAccessToken {
                    grant,
                    ..RequestAccessToken::default()
                },
                token,
            )
        })),
        outcomes(token().prop_map(|token| (RequestAccessTokenWithLogin::default(), token))),
    ];
    [lists, properties, deletes, content, uploads, auth]
        .into_iter()
        .flatten()
        .collect()
}

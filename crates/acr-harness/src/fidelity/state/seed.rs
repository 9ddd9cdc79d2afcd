//! Puts a planned state into a mock, by its recorded seeds.

use acr_mock::recorded::{Recorded, RecordedChange, RecordedManifest};
use acr_protocol::{Attributes, Digest, MediaType, RepositoryName, Tag, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::facts::{Facts, Thing};
use super::plan::Action;
use crate::fidelity::body::digest_of;

/// Carries an action out. `actual_id` tells the id that an upload of the recording has in this replay.
///
/// # Errors
///
/// What the recording shows cannot be in any registry: a malformed name, digest or time.
pub fn apply(
    recorded: &Recorded,
    action: &Action,
    actual_id: &dyn Fn(&str) -> String,
) -> Result<(), String> {
    match action {
        Action::Put { thing, facts } => put(recorded, thing, facts),
        Action::Change { thing, facts } => change(recorded, thing, facts),
        Action::Remove { thing } => remove(recorded, thing),
        Action::ForgetUnseen { repository } => {
            recorded.forget_unseen(&name(repository)?);
            Ok(())
        }
        Action::Upload {
            repository,
            id,
            bytes,
        } => {
            recorded.upload(&name(repository)?, &actual_id(id), bytes.clone());
            Ok(())
        }
        Action::Claim {
            repository,
            id,
            digest: claimed,
        } => {
            recorded.claim_upload(&name(repository)?, &actual_id(id), &digest(claimed)?);
            Ok(())
        }
    }
}

fn put(recorded: &Recorded, thing: &Thing, facts: &Facts) -> Result<(), String> {
    match thing {
        Thing::Blob {
            repository,
            digest: blob,
        } => {
            let mut properties = HeaderMap::new();
            for (header, value) in &facts.storage {
                if let (Ok(header), Ok(value)) =
                    (HeaderName::try_from(header), HeaderValue::try_from(value))
                {
                    properties.insert(header, value);
                }
            }
            recorded.blob(
                &name(repository)?,
                &digest(blob)?,
                facts.content.bytes(),
                properties,
            );
        }
        Thing::Manifest {
            repository,
            digest: manifest,
        } => {
            recorded.manifest(&name(repository)?, &digest(manifest)?, record_of(facts)?);
        }
        Thing::Tag {
            repository,
            tag: label,
        } => {
            // A manifest that no step shows: any digest will do.
            let made_up = || digest_of(format!("{repository}:{label}").as_bytes());
            let target = facts.digest.clone().unwrap_or_else(made_up);
            recorded.tag(&name(repository)?, &tag(label)?, &digest(&target)?);
            change(recorded, thing, facts)?;
        }
        Thing::Repository { repository } => {
            recorded.repository(&name(repository)?);
            change(recorded, thing, facts)?;
        }
    }
    Ok(())
}

fn change(recorded: &Recorded, thing: &Thing, facts: &Facts) -> Result<(), String> {
    let properties = facts.properties.as_ref();
    let change = RecordedChange {
        created_on: time(facts.created.as_deref())?,
        last_updated_on: time(facts.updated.as_deref())?,
        attributes: attributes(facts)?,
        image_size: properties.and_then(|properties| properties.get("imageSize")?.as_u64()),
        without_config_media_type: facts.lags,
        manifest_count: facts.counts.map(|(manifests, _)| manifests),
        tag_count: facts.counts.map(|(_, tags)| tags),
        extra: facts.extra.clone(),
    };
    match thing {
        Thing::Repository { repository } => {
            recorded.change_repository(&name(repository)?, &change);
        }
        Thing::Tag {
            repository,
            tag: label,
        } => recorded.change_tag(&name(repository)?, &tag(label)?, &change),
        Thing::Manifest {
            repository,
            digest: manifest,
        } => recorded.change_manifest(&name(repository)?, &digest(manifest)?, &change),
        Thing::Blob { .. } => {}
    }
    Ok(())
}

fn remove(recorded: &Recorded, thing: &Thing) -> Result<(), String> {
    match thing {
        Thing::Repository { repository } => recorded.remove_repository(&name(repository)?),
        Thing::Tag {
            repository,
            tag: label,
        } => recorded.remove_tag(&name(repository)?, &tag(label)?),
        Thing::Manifest {
            repository,
            digest: manifest,
        } => recorded.remove_manifest(&name(repository)?, &digest(manifest)?),
        Thing::Blob {
            repository,
            digest: blob,
        } => recorded.remove_blob(&name(repository)?, &digest(blob)?),
    }
    Ok(())
}

fn record_of(facts: &Facts) -> Result<RecordedManifest, String> {
    let properties = facts.properties.clone();
    let is_shown = properties.is_some();
    let mut properties = properties.unwrap_or_default();
    let mut text = |name: &str| {
        let value = properties.remove(name)?;
        value.as_str().map(str::to_owned)
    };
    let (architecture, operating_system) = (text("architecture"), text("os"));
    let config_media_type = text("configMediaType").map(MediaType::from);
    let bytes = facts.content.bytes();
    let stated = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
    let media_type = text("mediaType")
        .or(stated["mediaType"].as_str().map(str::to_owned))
        .or(facts.media_type.clone())
        .unwrap_or_else(|| MediaType::DOCKER_MANIFEST.as_str().to_owned());
    let image_size = properties
        .remove("imageSize")
        .and_then(|size| size.as_u64());
    let references = match properties.remove("references") {
        Some(references) => parsed("references", references)?,
        None => Vec::new(),
    };
    let time_of_place = facts.referrer.as_ref().map(|referrer| {
        // The list's first is the newest.
        let ticks = Timestamp::new(SOME_TIME, 0).ticks();
        Timestamp::from_ticks(ticks - referrer.place as u64)
    });
    let updated = time(facts.updated.as_deref())?.or(time_of_place);
    let last_updated_on = updated.unwrap_or(Timestamp::UNIX_EPOCH);
    let referrer = match &facts.referrer {
        Some(referrer) => Some((
            digest(&referrer.subject)?,
            parsed("descriptor", referrer.descriptor.clone())?,
        )),
        None => None,
    };
    Ok(RecordedManifest {
        bytes,
        media_type: MediaType::from(media_type),
        created_on: time(facts.created.as_deref())?.unwrap_or(last_updated_on),
        last_updated_on,
        attributes: attributes(facts)?.unwrap_or_else(Attributes::enabled),
        image_size: if is_shown { image_size } else { Some(0) },
        architecture,
        operating_system,
        config_media_type,
        references,
        extra: properties,
        referrer,
    })
}

/// The locks: as shown, or those of something new with one switch off.
fn attributes(facts: &Facts) -> Result<Option<Attributes>, String> {
    let mut members = match (&facts.attributes, facts.locked) {
        (Some(members), _) => members.clone(),
        (None, None) => return Ok(None),
        (None, Some(_)) => enabled(),
    };
    let shown_locked = |members: &Map<String, Value>| {
        members
            .values()
            .any(|value| matches!(value, Value::Bool(false)))
    };
    if let Some(switch) = facts.locked
        && !shown_locked(&members)
    {
        members.insert(switch.to_owned(), Value::Bool(false));
    }
    parsed("changeableAttributes", Value::Object(members)).map(Some)
}

fn enabled() -> Map<String, Value> {
    let all = json!({
        "deleteEnabled": true, "writeEnabled": true, "readEnabled": true, "listEnabled": true
    });
    all.as_object().cloned().unwrap_or_default()
}

/// A time without a meaning, in seconds since 1970.
const SOME_TIME: i64 = 1_600_000_000;

fn parsed<T: DeserializeOwned>(what: &str, value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("{what}: {error}"))
}

fn time(text: Option<&str>) -> Result<Option<Timestamp>, String> {
    match text {
        None => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|error| format!("{text:?} is no time: {error}")),
    }
}

fn name(text: &str) -> Result<RepositoryName, String> {
    RepositoryName::new(text).map_err(|error| error.to_string())
}

fn tag(text: &str) -> Result<Tag, String> {
    Tag::new(text).map_err(|error| error.to_string())
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::new(text).map_err(|error| error.to_string())
}

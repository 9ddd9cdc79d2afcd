//! The referrers of a source.

use std::collections::HashMap;

use acr_protocol::referrers::{is_fallback_tag, referrer};
use acr_protocol::{Descriptor, Digest, MediaType};

use super::layout::{Layout, image_name};
use super::side::Side;
use crate::error::{Error, ErrorKind};
use crate::repository::RepositoryClient;

/// Where the referrers of a manifest are found.
pub(super) enum Referrers {
    /// A registry is asked.
    Repository(RepositoryClient),
    /// A layout has no lists: what its images say their subject is.
    Layout(HashMap<Digest, Vec<Descriptor>>),
}

impl Referrers {
    pub(super) fn of(side: &Side) -> Result<Self, Error> {
        match side {
            Side::Repository(repository) => Ok(Self::Repository(repository.clone())),
            Side::Layout(layout) => by_subject(layout).map(Self::Layout),
        }
    }

    /// Lists the referrers of a manifest; more than `most` are an error.
    pub(super) async fn list(
        &self,
        subject: Digest,
        most: usize,
    ) -> Result<Vec<Descriptor>, Error> {
        let mut listed = Vec::new();
        match self {
            Self::Repository(repository) => {
                let mut pages = repository.list_referrers(&subject);
                while let Some(referrer) = pages.try_next().await? {
                    // Annotations are read from the manifests, whose bytes are bounded; those of a list are not.
                    let any = MediaType::from(String::new());
                    listed.push(Descriptor::new(any, referrer.digest, referrer.size));
                    if listed.len() > most {
                        let text = format!("{subject} has more than {most} referrers");
                        return Err(Error::new(ErrorKind::TooLarge, text));
                    }
                }
            }
            Self::Layout(all) => listed.extend(all.get(&subject).into_iter().flatten().cloned()),
        }
        Ok(listed)
    }
}

/// Reads the images of a layout, and those in lists that clients keep there.
fn by_subject(layout: &Layout) -> Result<HashMap<Digest, Vec<Descriptor>>, Error> {
    let mut all = HashMap::<Digest, Vec<Descriptor>>::new();
    for image in layout.images()? {
        let is_list =
            image.media_type.is_index() && image_name(&image).is_some_and(is_fallback_tag);
        let listed = match is_list {
            true => layout.manifest(&image)?.as_index()?.manifests,
            false => vec![image],
        };
        for candidate in listed {
            // What is listed need not be there.
            let manifest = match layout.manifest(&candidate) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                manifest => manifest?,
            };
            if let Some((subject, entry)) = referrer(&manifest) {
                all.entry(subject).or_default().push(entry);
            }
        }
    }
    Ok(all)
}

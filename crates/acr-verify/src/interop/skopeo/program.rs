//! skopeo as a program, and what it writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use acr_client::Digest;
use tempfile::TempDir;

use super::REPOSITORY;
use crate::Result;
use crate::image::Image;
use crate::interop::output_of;

/// skopeo, with what it needs to reach one registry.
pub(super) struct Skopeo {
    server: String,
    folder: TempDir,
    tls: bool,
    login: Option<String>,
    /// Tells apart the folders of several pulls.
    pulls: AtomicU32,
}

impl Skopeo {
    /// For a registry that is spoken to without TLS unless there is a CA to trust. skopeo takes a folder, and of that the
    /// files that end in `.crt`.
    pub(super) fn new(
        server: &str,
        ca: Option<&Path>,
        login: Option<(&str, &str)>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        if let Some(ca) = ca {
            fs::copy(ca, folder.path().join("ca.crt"))?;
        }
        Ok(Self {
            server: server.to_owned(),
            folder,
            tls: ca.is_some(),
            login: login.map(|(user, password)| format!("{user}:{password}")),
            pulls: AtomicU32::new(0),
        })
    }

    /// Copies an image of all platforms to the registry.
    pub(super) fn push(&self, image: &Image, tag: &str) -> Result<()> {
        // Without a name, because this version finds an OCI index by name, but no Docker list.
        let source = format!("oci:{}", image.folder.display());
        let mut command = self.command(&["copy", "--all", "--preserve-digests"], "dest-");
        command.args([source, self.place(tag)]);
        run_quietly(command)
    }

    /// Copies an image of all platforms from the registry, to a folder of files.
    pub(super) fn pull(&self, tag: &str) -> Result<PathBuf> {
        let pull = self.pulls.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.path().join(format!("pull-{pull}"));
        let mut command = self.command(&["copy", "--all", "--preserve-digests"], "src-");
        command.args([self.place(tag), format!("dir:{}", folder.display())]);
        run_quietly(command)?;
        Ok(folder)
    }

    pub(super) fn tags(&self) -> Result<Vec<String>> {
        let mut command = self.command(&["list-tags"], "");
        command.arg(format!("docker://{}/{REPOSITORY}", self.server));
        let response: serde_json::Value = serde_json::from_str(&output_of(&mut command)?)?;
        let tags = response["Tags"]
            .as_array()
            .ok_or("the response has no `Tags`")?;
        Ok(tags
            .iter()
            .filter_map(|tag| tag.as_str().map(str::to_owned))
            .collect())
    }

    pub(super) fn delete(&self, tag: &str) -> Result<()> {
        let mut command = self.command(&["delete"], "");
        command.arg(self.place(tag));
        run_quietly(command)
    }

    pub(super) fn place(&self, tag: &str) -> String {
        format!("docker://{}/{REPOSITORY}:{tag}", self.server)
    }

    fn program() -> Command {
        let mut skopeo = Command::new("skopeo");
        skopeo
            // The policy is a file of the machine, which may not be there.
            .args(["--insecure-policy", "--command-timeout", "60s"])
            // A proxy is for other hosts than this one.
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("no_proxy", "127.0.0.1,localhost")
            .stdin(Stdio::null());
        skopeo
    }

    /// Copies an image of all platforms from a layout to a layout, or from a registry to a layout, as `oci:FOLDER:TAG` and
    /// the like.
    pub(super) fn copy(&self, from: &str, to: &str) -> Result<()> {
        let side = if from.starts_with("docker:") {
            "src-"
        } else {
            ""
        };
        let mut command = match side {
            "" => Self::program(),
            side => self.command(&["copy", "--all", "--preserve-digests"], side),
        };
        if side.is_empty() {
            command.args(["copy", "--all", "--preserve-digests"]);
        }
        command.args([from, to]);
        run_quietly(command)
    }

    /// A command with the options that concern the registry; a copy wants to know of each which side is meant.
    fn command(&self, command: &[&str], side: &str) -> Command {
        let mut skopeo = Self::program();
        skopeo.args(command);
        if self.tls {
            skopeo
                .arg(format!("--{side}cert-dir"))
                .arg(self.folder.path());
        } else {
            skopeo.arg(format!("--{side}tls-verify=false"));
        }
        if let Some(login) = &self.login {
            skopeo.arg(format!("--{side}creds")).arg(login);
        }
        skopeo
    }
}

pub(super) fn run_quietly(mut command: Command) -> Result<()> {
    output_of(&mut command)?;
    Ok(())
}

/// Compares a folder that skopeo wrote with an image: no byte more or less.
pub(super) fn same_files(folder: &Path, image: &Image) -> Result<()> {
    let mut expected: BTreeMap<String, &[u8]> = BTreeMap::new();
    for (number, manifest) in image.manifests.iter().enumerate() {
        let name = if number == 0 {
            "manifest.json".to_owned()
        } else {
            format!("{}.manifest.json", manifest.digest.hex())
        };
        expected.insert(name, &manifest.bytes);
    }
    for (digest, bytes) in &image.blobs {
        expected.insert(digest.hex().to_owned(), bytes);
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "version" {
            continue; // Of the folder's format.
        }
        let bytes = fs::read(entry.path())?;
        match expected.remove(&name) {
            Some(wanted) if wanted == bytes => {}
            Some(wanted) => {
                let (is, was) = (Digest::sha256(&bytes), Digest::sha256(wanted));
                return Err(format!("{name} has the digest {is} instead of {was}").into());
            }
            None => return Err(format!("{name} is not part of the image").into()),
        }
    }
    match expected.keys().next() {
        None => Ok(()),
        Some(name) => Err(format!("{name} is missing").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files that skopeo writes for an image.
    fn write(image: &Image) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("version"),
            "Directory Transport Version: 1.1\n",
        )
        .unwrap();
        for manifest in &image.manifests {
            let name = format!("{}.manifest.json", manifest.digest.hex());
            fs::write(folder.path().join(name), &manifest.bytes).unwrap();
        }
        let root = &image.manifests[0];
        let name = format!("{}.manifest.json", root.digest.hex());
        fs::rename(
            folder.path().join(name),
            folder.path().join("manifest.json"),
        )
        .unwrap();
        for (digest, bytes) in &image.blobs {
            fs::write(folder.path().join(digest.hex()), bytes).unwrap();
        }
        folder
    }

    #[test]
    fn files_differ_by_a_byte_a_missing_and_a_further_one() {
        let image = Image::fixture("v1").unwrap();
        let layer = image.blobs.keys().next().unwrap().hex();
        let folder = write(&image);
        same_files(folder.path(), &image).unwrap();

        fs::write(folder.path().join(layer), "other bytes").unwrap();
        let error = same_files(folder.path(), &image).unwrap_err().to_string();
        assert!(
            error.contains(layer) && error.contains("instead of"),
            "{error}"
        );

        fs::remove_file(folder.path().join(layer)).unwrap();
        let error = same_files(folder.path(), &image).unwrap_err().to_string();
        assert_eq!(error, format!("{layer} is missing"));

        let folder = write(&image);
        fs::write(folder.path().join("stray"), "").unwrap();
        let error = same_files(folder.path(), &image).unwrap_err().to_string();
        assert_eq!(error, "stray is not part of the image");
    }
}

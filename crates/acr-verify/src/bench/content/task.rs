//! What is measured, each time in a process of its own.

use std::path::PathBuf;
use std::process::Command;

use acr_client::image::{self, CopyOptions, Layout};
use acr_client::{Digest, RepositoryClient, UploadBlobOptions};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::cost::{Cost, Start};
use super::place::{Place, REPOSITORY};
use super::reference;
use crate::Result;
use crate::interop::output_of;

/// Work, and at which registry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) place: Place,
    pub(super) work: Work,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Work {
    /// The hash of a file and nothing else.
    Hash {
        file: PathBuf,
    },
    /// The reference uploads, downloads, saves.
    UploadLoop {
        file: PathBuf,
    },
    DownloadLoop {
        digest: String,
    },
    SaveLoop {
        digest: String,
        target: PathBuf,
    },
    /// Our client uploads a file.
    Upload {
        file: PathBuf,
        /// Bytes of one request; none is the default of the client.
        chunk: Option<u64>,
        /// How many uploads there are at a time.
        at_once: usize,
    },
    /// Our client downloads, awaited in `main` or in a task that is spawned.
    Download {
        digest: String,
        spawned: bool,
    },
    /// Our client pushes the image of a layout, with so many requests at a time or as many as it does by itself.
    PushImage {
        layout: PathBuf,
        concurrency: Option<usize>,
    },
    /// Our client copies that image to another repository of the registry.
    CopyImage,
    /// Our client saves.
    Save {
        digest: String,
        target: PathBuf,
    },
}

/// Does the task that this process was started for; prints what it has cost.
///
/// # Errors
/// The task is malformed, or something in it fails.
pub fn run(task: &str) -> Result<()> {
    let Task { place, work } = serde_json::from_str(task)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    println!("{}", runtime.block_on(work.measure(&place))?);
    Ok(())
}

impl Task {
    pub(super) fn at(place: &Place, work: Work) -> Self {
        let place = place.clone();
        Self { place, work }
    }

    /// Has it done by a process that is started for it.
    pub(super) fn run(&self) -> Result<Cost> {
        let task = serde_json::to_string(self)?;
        let mut command = Command::new(std::env::current_exe()?);
        cost(command.args(["bench", "content-task", &task]))
    }
}

/// What the last line of a program says that it has cost.
pub(super) fn cost(command: &mut Command) -> Result<Cost> {
    let output = output_of(command)?;
    Ok(output.lines().last().unwrap_or("").parse()?)
}

impl Work {
    async fn measure(self, place: &Place) -> Result<Cost> {
        match self {
            Self::Hash { file } => {
                let start = Start::now()?;
                reference::hash(&file)?;
                Ok(start.end()?)
            }
            Self::UploadLoop { file } => {
                let start = Start::now()?;
                reference::upload(place, &file).await?;
                Ok(start.end()?)
            }
            Self::DownloadLoop { digest } => {
                let digest = Digest::new(digest)?;
                let start = Start::now()?;
                reference::download(place, &digest).await?;
                Ok(start.end()?)
            }
            Self::SaveLoop { digest, target } => {
                let digest = Digest::new(digest)?;
                let start = Start::now()?;
                reference::save(place, &digest, &target).await?;
                Ok(start.end()?)
            }
            Self::Upload {
                file,
                chunk,
                at_once,
            } => {
                let repository = place.repository()?;
                // Signed in, connected, and with the code in memory.
                repository.upload_blob(b"small").await?;
                let start = Start::now()?;
                try_join_all((0..at_once).map(|_| upload(&repository, &file, chunk))).await?;
                Ok(start.end()?)
            }
            Self::Download { digest, spawned } => {
                let repository = place.repository()?;
                repository.head_blob(&digest).await?;
                let start = Start::now()?;
                let downloading = download(repository, digest);
                match spawned {
                    true => tokio::spawn(downloading).await??,
                    false => downloading.await?,
                }
                Ok(start.end()?)
            }
            Self::PushImage {
                layout,
                concurrency,
            } => {
                let (layout, to) = (Layout::open(layout)?, place.repository()?);
                let mut options = CopyOptions::default();
                options.concurrency = concurrency.unwrap_or(options.concurrency);
                let start = Start::now()?;
                image::push(&layout, (&to, "v1"), options).await?;
                Ok(start.end()?)
            }
            Self::CopyImage => {
                let client = place.client()?;
                let from = client.repository_client(REPOSITORY)?;
                let to = client.repository_client("bench/copy")?;
                let start = Start::now()?;
                image::copy((&from, "v1"), (&to, "v1"), CopyOptions::default()).await?;
                Ok(start.end()?)
            }
            Self::Save { digest, target } => {
                let repository = place.repository()?;
                repository.head_blob(&digest).await?;
                let start = Start::now()?;
                let blob = repository.download_blob(&digest).await?;
                blob.save(&target).await?;
                Ok(start.end()?)
            }
        }
    }
}

async fn upload(
    repository: &RepositoryClient,
    file: &std::path::Path,
    chunk: Option<u64>,
) -> Result<()> {
    let options = UploadBlobOptions {
        chunk_size: chunk,
        ..UploadBlobOptions::default()
    };
    repository.upload_blob_with(file, options).await?;
    Ok(())
}

async fn download(repository: RepositoryClient, digest: String) -> Result<()> {
    let mut blob = repository.download_blob(digest).await?;
    while blob.try_next().await?.is_some() {}
    Ok(())
}

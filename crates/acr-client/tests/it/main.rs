//! The integration tests of acr-client, a module for each concept.

#![allow(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

mod autotrait;
#[cfg(feature = "blocking")]
mod blocking;
#[cfg(feature = "hyper")]
mod examples;
#[cfg(feature = "hyper")]
mod hostile;
#[cfg(feature = "azure-core")]
mod identity_azure;
mod images;
mod regressions;
mod samples;
mod seeded;
mod suite;
#[cfg(feature = "hyper")]
mod tls;
mod tokens;
mod tracing;
mod transports;

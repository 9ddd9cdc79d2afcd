//! The client against a faithful registry: every operation in every situation, and whole jobs.
//!
//! - [`matrix`]: operation by situation, one test for each cell.
//! - [`authentication`], [`paging`], [`locks`]: the same tests on a registry in process and on one over TCP and TLS.
//! - [`blobs`], [`uploads`], [`manifests`]: content of every size and shape, in process.

#![allow(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

mod authentication;
mod backend;
mod blobs;
mod locks;
mod manifests;
mod matrix;
mod paging;
#[path = "../seeded/mod.rs"]
mod seeded;
mod uploads;

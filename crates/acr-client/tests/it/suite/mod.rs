//! The client against a faithful registry: every operation in every situation, and whole jobs.
//!
//! - [`matrix`]: operation by situation, one test for each cell.
//! - [`authentication`], [`paging`], [`locks`]: the same tests on a registry in process and on one over TCP and TLS.
//! - [`download`]: content that breaks on its way, on both too.
//! - [`blob`], [`upload`], [`manifest`]: content of every size and shape, in process.

mod authentication;
mod backend;
mod blob;
mod download;
mod locks;
mod manifest;
mod matrix;
mod paging;
mod upload;

//! Plain requests in, plain responses out: status, headers and bytes, against a registry in process.
//!
//! Client and mock share their wire types, so a mistake in those would hide from every test between the two. Here
//! nothing of them is used: a request is a method, a path, headers and bytes, and what is expected is written out as it
//! stands on the wire. Where the service's behaviour is not known, the test says that it was chosen.

mod anonymous;
mod bad_input;
mod blob;
mod challenge;
mod data;
mod fault;
mod fault_content;
mod fault_match;
mod fault_response;
mod headers;
mod limits;
mod locks;
mod manifest;
mod memory;
mod oci;
mod paging;
mod profile;
mod push;
mod referrers;
mod repository;
mod requests;
mod revoke;
mod room;
mod snapshot;
mod support;
mod switches;
mod tag;
mod token;
mod turns;
mod upload;

//! The state that a recorded exchange supposes: derived from request and respond by general rules, and put into a mock.
//!
//! - [`facts`]: what can be there, and what can be known of it;
//! - [`supposed`]: what one exchange supposes, operation by operation, and what it changes;
//! - [`plan`]: when each piece must be there in a session, so that what a later step shows and no earlier step made was
//!   there before;
//! - [`seed`]: puts it into the mock by its recorded seeds;
//! - [`service`]: what is no content: login server, clock, storage, page size, the order of scopes.

pub mod content;
pub mod facts;
pub mod listing;
pub mod plan;
pub mod seed;
pub mod service;
pub mod supposed;
pub mod upload;

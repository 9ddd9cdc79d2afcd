#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod auth;
mod blob;
mod body;
mod builder;
mod data;
#[cfg(feature = "server")]
mod entra;
mod error;
mod fault;
mod firewall;
mod hasher;
mod listing;
mod locks;
mod lookup;
mod manifest;
mod origin;
mod paging;
mod pause;
mod profile;
mod quota;
mod random;
mod rate;
mod referrers;
mod registry;
mod removed;
mod repository;
mod request_body;
mod request_context;
mod requests;
mod resolved_request;
mod response;
mod restore;
mod seed;
mod serve;
#[cfg(feature = "server")]
mod server;
mod service;
mod settings;
pub mod snapshot;
mod store;
mod tag;
mod text;
mod throttle;
#[cfg(feature = "server")]
mod tls;
mod upload;

/// The wire types, which some of this crate's functions take and give.
pub use acr_protocol as protocol;

pub use crate::body::{Body, BodyError};
pub use crate::builder::RegistryBuilder;
#[cfg(feature = "server")]
pub use crate::entra::{
    Application, Certificate, FederatedCredential, InvalidCertificate, ManagedIdentity,
};
pub use crate::fault::{
    ConnectionReset, Fault, FaultAction, FaultError, FaultHandle, FaultResponse,
};
pub use crate::origin::{ClientAddress, Origin};
pub use crate::profile::{Profile, UnknownProfile};
pub use crate::registry::Registry;
pub use crate::requests::RequestCounts;
pub use crate::seed::{RepositorySeed, SeedError};
#[cfg(feature = "server")]
pub use crate::server::{
    AcrMock, AcrMockBuilder, Environment, EnvironmentOptions, InvalidRegistryName, Ready,
    RegistryName, ServerEvent, SignIn, StartError, UnknownSignIn,
};
pub use crate::service::ResponseFuture;

pub use crate::snapshot::Snapshot;
pub use crate::store::Statistics;
pub use crate::throttle::Throttle;
pub use acr_clock::{Clock, ClockHold, Sleep, SystemClock, VirtualClock};
pub use acr_protocol::OperationClass;

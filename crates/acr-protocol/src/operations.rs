//! Every operation, under one path, and the one list of them.

pub use crate::auth::{ExchangeEntraToken, RequestAccessToken, RequestAccessTokenWithLogin};
pub use crate::blob::{DeleteBlob, GetBlob, HeadBlob};
pub use crate::manifest::properties::{
    GetManifestProperties, ListManifestProperties, UpdateManifestProperties,
};
pub use crate::manifest::{DeleteManifest, GetManifest, HeadManifest, SetManifest};
pub use crate::ping::Ping;
pub use crate::referrers::ListReferrers;
pub use crate::repository::{
    DeleteRepository, GetRepositoryProperties, ListRepositories, ListRepositoryNames,
    UpdateRepositoryProperties,
};
pub use crate::tag::{
    DeleteTag, GetTagProperties, ListTagProperties, ListTags, UpdateTagProperties,
};
pub use crate::upload::{
    CancelUpload, CompleteUpload, GetUploadStatus, MountBlob, StartUpload, UploadChunk,
};

/// Gives the names of all operation types to a macro, behind its other arguments, for what is the same for each of them.
///
/// ```
/// use acr_protocol::{Operation, Route, for_each_operation, operations::*};
///
/// fn is_idempotent(route: &Route) -> bool {
///     macro_rules! each {
///         ($route:ident: $($name:ident)*) => {
///             match $route { $(Route::$name(_) => <$name as Operation>::SPEC.idempotent,)* }
///         };
///     }
///     for_each_operation!(each, route:)
/// }
/// assert!(is_idempotent(&Ping.into()));
/// ```
#[macro_export]
macro_rules! for_each_operation {
    ($macro:ident $(, $($arguments:tt)*)?) => {
        $macro! {
            $($($arguments)*)?
            ListRepositoryNames GetRepositoryProperties UpdateRepositoryProperties DeleteRepository
            ListTagProperties GetTagProperties UpdateTagProperties DeleteTag
            ListManifestProperties GetManifestProperties UpdateManifestProperties
            Ping ListRepositories ListTags GetManifest HeadManifest SetManifest DeleteManifest ListReferrers
            HeadBlob GetBlob DeleteBlob MountBlob
            StartUpload GetUploadStatus UploadChunk CompleteUpload CancelUpload
            ExchangeEntraToken RequestAccessToken RequestAccessTokenWithLogin
        }
    };
}

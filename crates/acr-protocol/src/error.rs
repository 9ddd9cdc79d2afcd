//! What a registry says when it refuses, and what can be wrong with a response.

use std::fmt;

use http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text::{excerpt, one_line, open_text, without_secrets};
use crate::verify::{DigestMismatch, UnsupportedAlgorithm};

/// The code of a registry's error. Open: a code that this crate does not know is kept by name.
///
/// The constants can be used in a `match`.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorCode(Code);

macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident $variant:ident $text:literal;)*) => {
        #[derive(Clone, PartialEq, Eq)]
        enum Code { $($variant,)* Other(Box<str>) }

        impl ErrorCode {
            $($(#[$doc])* pub const $constant: Self = Self(Code::$variant);)*

            /// Every code that this crate knows by name.
            pub const KNOWN: &'static [Self] = &[$(Self::$constant),*];

            /// The code as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match &self.0 { $(Code::$variant => $text,)* Code::Other(text) => text }
            }
        }

        impl From<&str> for ErrorCode {
            fn from(text: &str) -> Self {
                match text { $($text => Self::$constant,)* other => Self(Code::Other(other.into())) }
            }
        }
    };
}

codes! {
    /// The blob is not in the repository.
    BLOB_UNKNOWN BlobUnknown "BLOB_UNKNOWN";
    /// The upload's state or request is damaged.
    BLOB_UPLOAD_INVALID BlobUploadInvalid "BLOB_UPLOAD_INVALID";
    /// The chunk does not begin where the upload stands, or its `Content-Range` is malformed.
    BLOB_UPLOAD_RANGE_INVALID BlobUploadRangeInvalid "BLOB_UPLOAD_RANGE_INVALID";
    /// There is no such upload; it may have expired or ended.
    BLOB_UPLOAD_UNKNOWN BlobUploadUnknown "BLOB_UPLOAD_UNKNOWN";
    /// The identity is known, the permission is missing; also a firewall's refusal.
    DENIED Denied "DENIED";
    /// A digest is malformed or is not that of the content.
    DIGEST_INVALID DigestInvalid "DIGEST_INVALID";
    /// A manifest names a blob that the repository does not hold.
    MANIFEST_BLOB_UNKNOWN ManifestBlobUnknown "MANIFEST_BLOB_UNKNOWN";
    /// The manifest is malformed, or is not of the media type it came with.
    MANIFEST_INVALID ManifestInvalid "MANIFEST_INVALID";
    /// The registry knows neither the method nor the path (said by `crane registry serve`, not by Azure).
    METHOD_UNKNOWN MethodUnknown "METHOD_UNKNOWN";
    /// The manifest is not in the repository.
    MANIFEST_UNKNOWN ManifestUnknown "MANIFEST_UNKNOWN";
    /// The repository's name is malformed.
    NAME_INVALID NameInvalid "NAME_INVALID";
    /// There is no such repository.
    NAME_UNKNOWN NameUnknown "NAME_UNKNOWN";
    /// A page's size or marker is malformed.
    PAGINATION_NUMBER_INVALID PaginationNumberInvalid "PAGINATION_NUMBER_INVALID";
    /// A lock, a quarantine or a full registry forbids the operation (Azure's own code).
    REGISTRY_DISALLOWED_OPERATION RegistryDisallowedOperation "REGISTRY_DISALLOWED_OPERATION";
    /// The length of the content is not the one announced.
    SIZE_INVALID SizeInvalid "SIZE_INVALID";
    /// The tag is malformed.
    TAG_INVALID TagInvalid "TAG_INVALID";
    /// There is no such tag (Azure's own code).
    TAG_UNKNOWN TagUnknown "TAG_UNKNOWN";
    /// Too many requests in a time.
    TOOMANYREQUESTS TooManyRequests "TOOMANYREQUESTS";
    /// No identity was given, or one that is not accepted or not sufficient.
    UNAUTHORIZED Unauthorized "UNAUTHORIZED";
    /// The registry cannot say what it is.
    UNKNOWN Unknown "UNKNOWN";
    /// The registry does not offer the operation.
    UNSUPPORTED Unsupported "UNSUPPORTED";
}

open_text!(ErrorCode);

/// One error of a registry's response.
#[doc(alias = "AcrErrorInfo")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RegistryError {
    /// What kind of error it is.
    pub code: ErrorCode,
    /// The registry's words. Empty where it gave none.
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub message: String,
    /// More about it, of any form: a string, an object, an array or `null`; `None` where the member is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::json::present")]
    pub detail: Option<Value>,
}

impl RegistryError {
    /// An error without detail.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
        }
    }

    /// The same with this detail, which may be `null`.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Value>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(self.code.as_str()))?;
        if self.message.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", one_line(&self.message))
    }
}

/// The body of an error response: `{"errors":[…]}`.
#[doc(alias = "AcrErrors")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorEnvelope {
    /// The errors, usually one; one for each missing blob of a manifest.
    #[serde(default, deserialize_with = "crate::json::null_is_default")]
    pub errors: Vec<RegistryError>,
}

impl ErrorEnvelope {
    /// Reads the body of an error response, whatever it is: some of the service's errors are plain text
    /// (`404 page not found`), some are empty, and storage responds in XML. What is not an envelope gives no errors.
    /// An error among them that is not of the form is passed over, one without a code is [`ErrorCode::UNKNOWN`].
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<Value>,
        }
        let errors =
            serde_json::from_slice(body).map_or_else(|_| Vec::new(), |body: Errors| body.errors);
        let errors = errors.into_iter().filter_map(|mut error| {
            let members = error.as_object_mut()?;
            if members.get("code").is_none_or(Value::is_null) {
                members.insert("code".to_owned(), Value::from(ErrorCode::UNKNOWN.as_str()));
            }
            serde_json::from_value(error).ok()
        });
        Self {
            errors: errors.collect(),
        }
    }
}

impl From<RegistryError> for ErrorEnvelope {
    fn from(error: RegistryError) -> Self {
        Self {
            errors: vec![error],
        }
    }
}

/// A response that is not what its operation's response must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The status is none of the operation's successes. The caller reads the errors from the body.
    #[error("unexpected status {0}")]
    Status(StatusCode),
    /// A header that the operation needs is missing.
    #[error("the response has no header {0}")]
    MissingHeader(HeaderName),
    /// A header is there but malformed.
    #[error("the response's header {name} is malformed ({value:?}): {reason}")]
    Header {
        /// Which header.
        name: HeaderName,
        /// The beginning of its value.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// The body is not of the expected form.
    #[error("the response's body is not {expected}: {reason}")]
    Body {
        /// What it should have been.
        expected: &'static str,
        /// What is wrong, and where.
        reason: String,
    },
    /// The content is not the one that was asked for.
    #[error(transparent)]
    Digest(#[from] DigestMismatch),
    /// The content cannot be held against its digest.
    #[error(transparent)]
    Unverifiable(#[from] UnsupportedAlgorithm),
}

impl DecodeError {
    pub(crate) fn header(
        name: HeaderName,
        value: &http::HeaderValue,
        reason: impl fmt::Display,
    ) -> Self {
        let value = String::from_utf8_lossy(value.as_bytes());
        let shown = if name == http::header::LOCATION {
            without_secrets(&value)
        } else {
            &value
        };
        Self::Header {
            value: excerpt(shown),
            name,
            reason: one_line(&reason.to_string()).into_owned(),
        }
    }

    pub(crate) fn json(expected: &'static str) -> impl FnOnce(serde_json::Error) -> Self {
        move |error| Self::Body {
            expected,
            reason: excerpt(&one_line(&error.to_string())),
        }
    }
}

/// The request cannot be written: a text in it is too long for a URL, or not fit for a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be written: {0}")]
pub struct InvalidRequest(String);

impl From<http::Error> for InvalidRequest {
    fn from(error: http::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for InvalidRequest {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_known_code_round_trips() {
        for code in ErrorCode::KNOWN {
            assert_eq!(ErrorCode::from(code.as_str()), *code);
            assert_eq!(
                serde_json::from_value::<ErrorCode>(json!(code)).unwrap(),
                *code
            );
        }
        assert_eq!(ErrorCode::from("NEW_ONE").as_str(), "NEW_ONE");
    }

    #[test]
    fn codes_can_be_matched() {
        let text = match ErrorCode::from("TAG_UNKNOWN") {
            ErrorCode::TAG_UNKNOWN => "tag",
            _ => "other",
        };
        assert_eq!(text, "tag");
    }

    #[test]
    fn detail_may_be_missing_null_or_anything() {
        for body in [
            r#"{"errors":[{"code":"A","message":"m"}]}"#,
            r#"{"errors":[{"code":"A","message":"m","detail":null}]}"#,
            r#"{"errors":[{"code":"A","message":"m","detail":"text"}]}"#,
            r#"{"errors":[{"code":"A","message":"m","detail":{"Tag":"x"}},{"code":"B","message":"","detail":[{"Type":"repository"}]}]}"#,
            r#"{"errors":[{"code":"A","message":"m","detail":[{"Type":"repository","Name":"a","Action":"pull"}]}]}"#,
        ] {
            let envelope = ErrorEnvelope::parse(body.as_bytes());
            assert_eq!(serde_json::to_string(&envelope).unwrap(), body);
        }
    }

    #[test]
    fn one_odd_error_does_not_hide_the_others() {
        let body = br#"{"errors":[7,{"code":["x"]},{"message":"no code"},{"code":null},{"code":"A"}],"more":1}"#;
        let texts: Vec<String> = ErrorEnvelope::parse(body)
            .errors
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(texts, ["UNKNOWN: no code", "UNKNOWN", "A"]);
    }

    #[test]
    fn bodies_that_are_no_envelope_give_no_errors() {
        for body in [
            "",
            "404 page not found\n",
            "<xml/>",
            "[]",
            "{\"errors\":null}",
            "{\"errors\":7}",
            "null",
        ] {
            assert_eq!(ErrorEnvelope::parse(body.as_bytes()).errors, []);
        }
    }

    #[test]
    fn an_error_about_a_location_shows_neither_login_nor_query() {
        let text = b"https://robot:hunter2@r.example/x\xff?sig=hunter2";
        let value = http::HeaderValue::from_bytes(text).unwrap();
        let error = DecodeError::header(http::header::LOCATION, &value, "not text");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(error.to_string().contains("r.example/x"), "{error}");
    }
}

//! How types of the crate `http` are written in a recording.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A method is a text.
pub(crate) mod method {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        method: &http::Method,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(method.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<http::Method, D::Error> {
        let method = String::deserialize(deserializer)?.to_ascii_uppercase();
        method.parse().map_err(D::Error::custom)
    }
}

/// A status is a number.
pub(crate) mod status {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        status: &http::StatusCode,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(status.as_u16())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<http::StatusCode, D::Error> {
        u16::deserialize(deserializer)?
            .try_into()
            .map_err(D::Error::custom)
    }
}

/// Headers are an object; the values of a header that is sent more than once are a list.
pub(crate) mod headers {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(
        untagged,
        expecting = "the value of a header must be a text or a list of texts"
    )]
    enum Values {
        One(String),
        Many(Vec<String>),
    }

    pub(crate) fn serialize<S: Serializer>(
        headers: &HeaderMap,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(headers.keys_len()))?;
        for name in headers.keys() {
            let values = headers.get_all(name).iter();
            let mut values: Vec<_> = values
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect();
            let values = match values.len() {
                1 => Values::One(values.remove(0)),
                _ => Values::Many(values),
            };
            map.serialize_entry(name.as_str(), &values)?;
        }
        map.end()
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<HeaderMap, D::Error> {
        deserializer.deserialize_map(Headers)
    }

    struct Headers;

    impl<'de> Visitor<'de> for Headers {
        type Value = HeaderMap;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of headers")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderMap, A::Error> {
            let mut headers = HeaderMap::new();
            while let Some((name, values)) = map.next_entry::<String, Values>()? {
                let key: HeaderName = name
                    .parse()
                    .map_err(|error| A::Error::custom(format!("header {name:?}: {error}")))?;
                if headers.contains_key(&key) {
                    let text = format!("header {name:?} is there twice; several values are a list");
                    return Err(A::Error::custom(text));
                }
                let values = match values {
                    Values::One(value) => vec![value],
                    Values::Many(values) => values,
                };
                for value in values {
                    let value = HeaderValue::from_bytes(value.as_bytes())
                        .map_err(|error| A::Error::custom(format!("header {name:?}: {error}")))?;
                    headers.append(&key, value);
                }
            }
            Ok(headers)
        }
    }
}

pub(crate) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let path = String::deserialize(deserializer)?;
    if path.starts_with('/') && !path.contains(['?', '#']) {
        return Ok(path);
    }
    let text = format!("path {path:?} must start with `/` and have no query");
    Err(D::Error::custom(text))
}

pub(crate) fn query<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let query = String::deserialize(deserializer)?;
    match query.starts_with('?') {
        false => Ok(query),
        true => Err(D::Error::custom("query must be written without its `?`")),
    }
}

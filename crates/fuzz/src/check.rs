//! Properties that several functions ask for.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use acr_protocol::RepositoryName;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A text that stands for a password or signature, and so may be in no error.
pub(crate) const SECRET: &str = "hunter2.is.in.no.error";

/// Whether the input gives the secret away itself, as a fuzzer comes to do that sees what is compared.
pub(crate) fn tells_the_secret(data: &[u8]) -> bool {
    data.windows(SECRET.len())
        .any(|part| part == SECRET.as_bytes())
}

/// The value's text is read back as the value, and has the same text again.
pub(crate) fn through_text<T>(value: &T)
where
    T: FromStr<Err: Display> + Display + PartialEq + Debug,
{
    let text = value.to_string();
    match text.parse::<T>() {
        Ok(read) => {
            assert_eq!(&read, value, "{text:?} is read as another value");
            assert_eq!(read.to_string(), text);
        }
        Err(error) => panic!("{value:?} is written as what cannot be read: {error}"),
    }
}

/// An error says something, and little of what came: a server can make a header of a megabyte.
pub(crate) fn error_is_bounded(error: &(dyn Error + 'static)) {
    for text in texts(error) {
        assert!(!text.is_empty());
        assert!(text.len() <= MAX_ERROR_BODY, "{} bytes", text.len());
    }
}

/// The secret stands neither in the error nor in what caused it.
pub(crate) fn error_hides_the_secret(error: &(dyn Error + 'static)) {
    for text in texts(error) {
        assert!(!text.contains(SECRET), "{text}");
    }
}

/// What an error and its causes say.
fn texts(error: &(dyn Error + 'static)) -> impl Iterator<Item = String> {
    let errors = std::iter::successors(Some(error), |&error| error.source());
    errors.flat_map(|error| [error.to_string(), format!("{error:?}")])
}

/// Where the operations are.
pub(crate) fn repository() -> RepositoryName {
    RepositoryName::new("app").unwrap_or_else(|error| panic!("the name is fixed: {error}"))
}

/// The bytes as text, and as a header where they can be one.
pub(crate) fn text_and_header(name: HeaderName, data: &[u8]) -> (String, Option<HeaderMap>) {
    let header = HeaderValue::from_bytes(data).ok();
    let headers = header.map(|value| HeaderMap::from_iter([(name, value)]));
    (String::from_utf8_lossy(data).into_owned(), headers)
}

/// An excerpt has 160 characters, each of which `Debug` of a `Debug` may write as up to 20 bytes, and an error holds
/// two excerpts at the most.
const MAX_ERROR_BODY: usize = 8 * 1024;

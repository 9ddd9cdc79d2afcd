use acr_protocol::Challenge;
use http::header::WWW_AUTHENTICATE;

use crate::check::{error_is_bounded, tells_the_secret, text_and_header, through_text};
use crate::hostile::a_challenge_moves_no_credential;

/// `WWW-Authenticate`: what is read is written and read back, every name is one, and a client with a password gives it
/// to nobody but the registry, whatever realm it is sent to.
pub fn challenge(data: &[u8]) {
    if tells_the_secret(data) {
        return;
    }
    let (text, headers) = text_and_header(WWW_AUTHENTICATE, data);
    match Challenge::parse(&text) {
        Ok(challenges) => read(&text, &challenges),
        Err(error) => error_is_bounded(&error),
    }
    let Some(headers) = headers else { return };
    let value = &headers[WWW_AUTHENTICATE];
    let whole = value
        .to_str()
        .ok()
        .and_then(|text| Challenge::parse(text).ok());
    assert_eq!(
        Challenge::from_headers(&headers),
        whole.unwrap_or_default(),
        "a header is read otherwise than its text"
    );
    a_challenge_moves_no_credential(value);
}

fn read(text: &str, challenges: &[Challenge]) {
    let written: Vec<String> = challenges.iter().map(ToString::to_string).collect();
    let written = written.join(", ");
    // A character may need a backslash, a value quotes.
    assert!(written.len() <= 4 * text.len() + 4);
    assert_eq!(Challenge::parse(&written).as_deref(), Ok(challenges));
    for challenge in challenges {
        let is_name = |c: char| c.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]{}".contains(c);
        assert!(!challenge.scheme().is_empty() && challenge.scheme().chars().all(is_name));
        assert!(!(challenge.is_basic() && challenge.is_bearer()));
        for value in [challenge.realm(), challenge.service(), challenge.error()] {
            assert!(value.is_none_or(|value| value.len() <= text.len()));
        }
        match challenge.scope() {
            Ok(scope) => through_text(&scope),
            Err(error) => error_is_bounded(&error),
        }
    }
}

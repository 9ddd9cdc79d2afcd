use acr_protocol::PageToken;
use http::StatusCode;
use http::header::LINK;

use crate::check::{error_is_bounded, tells_the_secret, text_and_header, through_text};
use crate::hostile::{no_request_leaves_the_registry, response};

/// `Link`, and the token of a page: what is read is written and read back, what passes for a path stays with the
/// registry, and a client follows no link to another place.
pub fn link(data: &[u8]) {
    if tells_the_secret(data) {
        return;
    }
    let (text, headers) = text_and_header(LINK, data);
    match PageToken::new(&text) {
        Ok(token) => {
            assert_eq!(token, text);
            read(&token);
        }
        Err(error) => error_is_bounded(&error),
    }
    let Some(headers) = headers else { return };
    match PageToken::from_headers(&headers) {
        Ok(Some(token)) => {
            assert!(text.contains(token.as_str()), "{token} came from nowhere");
            read(&token);
        }
        Ok(None) => {}
        Err(error) => error_is_bounded(&error),
    }
    let link = [(LINK, headers[LINK].clone())];
    let _names = no_request_leaves_the_registry(
        move |_| response(StatusCode::OK, &link, r#"{"name":"app","tags":["v1"]}"#),
        async |repository| repository.list_tags().collect_all().await,
    );
}

fn read(token: &PageToken) {
    through_text(token);
    assert!(!token.as_str().contains(['<', '>', '"', ' ']));
    let written = token
        .to_link()
        .map(|link| [(LINK, link)].into_iter().collect());
    let again = written.map(|headers| PageToken::from_headers(&headers));
    assert_eq!(again, Some(Ok(Some(token.clone()))));
    if let Some(path) = token.path_and_query() {
        assert!(path.scheme().is_none() && path.authority().is_none());
        // Browsers and their kin read two slashes, also backward ones, as the beginning of a host.
        let mut begin = path.path().chars();
        assert_eq!(begin.next(), Some('/'));
        assert!(!matches!(begin.next(), Some('/' | '\\')), "{path}");
    }
}

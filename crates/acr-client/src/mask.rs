//! Takes out of what is told of a response the credential that its request carried: servers, and
//! programs in front of them, repeat what they were sent.

use std::borrow::Cow;

use acr_protocol::auth::parse_basic_login;
use acr_protocol::{ErrorCode, RegistryError, Secret};
use http::HeaderValue;

/// Secrets in every form in which they are likely to come back. `Debug` shows none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mask(Vec<Secret>);

impl Mask {
    /// Hides secrets: as they are, as they stand in JSON, and as they stand in a form.
    pub(crate) fn of<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut shapes: Vec<Secret> = Vec::new();
        for secret in secrets {
            let json = serde_json::Value::from(secret.expose()).to_string();
            let form: String =
                url::form_urlencoded::byte_serialize(secret.expose().as_bytes()).collect();
            let quoted = json
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'));
            let spaced = form.replace('+', "%20");
            for shape in [secret.expose(), quoted.unwrap_or_default(), &form, &spaced] {
                if !shape.is_empty() && !shapes.iter().any(|known| known.expose() == shape) {
                    shapes.push(shape.into());
                }
            }
        }
        // The longest first, so that none is left over in part where one is within another.
        shapes.sort_by_key(|shape| std::cmp::Reverse(shape.expose().len()));
        Self(shapes)
    }

    /// Hides what a header `Authorization` holds: the token, or the password in both its forms.
    pub(crate) fn of_header(value: Option<&HeaderValue>) -> Self {
        let Some(value) = value else {
            return Self::default();
        };
        let text = value.to_str().unwrap_or_default();
        let (_, encoded) = text.split_once(' ').unwrap_or(("", text));
        let mut secrets = vec![Secret::new(encoded.trim())];
        secrets.extend(parse_basic_login(value).map(|(_, password)| password));
        Self::of(&secrets)
    }

    /// Hides what both hide.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self.0
            .sort_by_key(|shape| std::cmp::Reverse(shape.expose().len()));
        self
    }

    /// The text with stars in the place of secrets.
    pub(crate) fn text<'a>(&self, text: impl Into<Cow<'a, str>>) -> String {
        let mut text = text.into().into_owned();
        for shape in &self.0 {
            if text.contains(shape.expose()) {
                text = text.replace(shape.expose(), "***");
            }
        }
        text
    }

    /// Takes the secrets out of what a registry says. A detail that holds one is left out.
    pub(crate) fn errors(&self, errors: &mut [RegistryError]) {
        for error in errors {
            if self.is_in(error.code.as_str()) {
                error.code = ErrorCode::from(&*self.text(error.code.as_str()));
            }
            error.message = self.text(std::mem::take(&mut error.message));
            let detail = error.detail.take();
            error.detail = detail.filter(|detail| !self.is_within(detail));
        }
    }

    fn is_in(&self, text: &str) -> bool {
        self.0.iter().any(|shape| text.contains(shape.expose()))
    }

    fn is_within(&self, detail: &serde_json::Value) -> bool {
        !self.0.is_empty() && self.is_in(&detail.to_string())
    }
}

#[cfg(test)]
mod tests {
    use acr_protocol::auth::basic_login;

    use super::*;

    #[test]
    fn a_secret_is_hidden_in_every_form_in_which_it_may_come_back() {
        let mask = Mask::of([&Secret::new("hun\"ter 2")]);
        for text in [
            "bad hun\"ter 2",
            r#"{"message":"bad hun\"ter 2"}"#,
            "password=hun%22ter+2",
            "/token?password=hun%22ter%202",
        ] {
            let masked = mask.text(text);
            assert!(
                masked.contains("***") && !masked.contains("ter"),
                "{masked}"
            );
        }
        assert_eq!(Mask::of([&Secret::new("")]).text("text"), "text");
    }

    #[test]
    fn of_a_header_its_token_is_hidden_and_of_a_login_the_password_too() {
        let basic = basic_login("robot", &"hunter2".into());
        let mask = Mask::of_header(Some(&basic));
        let header = basic.to_str().unwrap();
        let masked = mask.text(format!("{header} is robot:hunter2"));
        assert_eq!(masked, "Basic *** is robot:***");
        let bearer = HeaderValue::from_static("Bearer hunter2");
        assert_eq!(Mask::of_header(Some(&bearer)).text("[hunter2]"), "[***]");
        assert_eq!(Mask::of_header(None).text("hunter2"), "hunter2");
    }

    #[test]
    fn what_a_registry_says_keeps_all_that_is_no_secret() {
        let mut errors = [
            RegistryError::new(ErrorCode::DENIED, "for hunter2"),
            RegistryError::new("BAD hunter2".into(), ""),
        ];
        errors[0].detail = Some(serde_json::json!({ "sent": "hunter2" }));
        errors[1].detail = Some(serde_json::json!({ "name": "app" }));
        Mask::of([&Secret::new("hunter2")]).errors(&mut errors);
        assert_eq!(errors[0], RegistryError::new(ErrorCode::DENIED, "for ***"));
        assert_eq!(errors[1].code.as_str(), "BAD ***");
        assert!(errors[1].detail.is_some());
    }
}

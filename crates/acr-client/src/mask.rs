//! Takes out of what is told of a response the credential that its request carried: servers, and
//! programs in front of them, repeat what they were sent.

use std::borrow::Cow;

use acr_protocol::auth::parse_basic_login;
use acr_protocol::{ErrorCode, RegistryError, Secret};
use http::HeaderValue;

/// Secrets to be hidden, the longest first. `Debug` shows none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mask(Vec<Secret>);

impl Mask {
    /// Hides secrets in every spelling that [`Secret::redact`] knows.
    pub(crate) fn of<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let secrets = secrets.into_iter().filter(|secret| !secret.is_empty());
        let mut secrets: Vec<Secret> = secrets.cloned().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self(secrets)
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
    pub(crate) fn and(self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(&other.0))
    }

    /// The text with stars in the place of secrets.
    pub(crate) fn text<'a>(&self, text: impl Into<Cow<'a, str>>) -> String {
        let secrets = self.0.iter();
        secrets.fold(text.into().into_owned(), |text, secret| {
            secret.redact(&text, "***")
        })
    }

    /// Takes the secrets out of what a registry says. A detail that holds one is left out.
    pub(crate) fn errors(&self, errors: &mut [RegistryError]) {
        for error in errors {
            let code = self.text(error.code.as_str());
            if code != error.code.as_str() {
                error.code = ErrorCode::from(&*code);
            }
            error.message = self.text(std::mem::take(&mut error.message));
            error.detail.take_if(|detail| {
                let detail = detail.to_string();
                self.text(&*detail) != detail
            });
        }
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

//! The credential of a replayed request: what the recording hides, so that the response can be the recorded one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{PASSWORD, Replay, USER};
use crate::fidelity::exchange::{Exchange, parameter};
use crate::fidelity::request::{Prepared, form};
use crate::fidelity::state::service;
use crate::fidelity::target::Target;

impl Replay {
    /// The credential: what the recording hides, so that the response can be the recorded one.
    pub(super) fn credential(&self, step: &Exchange) -> Option<String> {
        let recorded = step.request.headers.first("Authorization");
        let is_basic =
            recorded.is_some_and(|value| value.to_ascii_lowercase().starts_with("basic"));
        if step.to_data {
            // Storage wants none, and says so if it gets one.
            return recorded.map(str::to_owned);
        }
        let basic = |password: &str| {
            let login = STANDARD.encode(format!("{USER}:{password}"));
            Some(format!("Basic {login}"))
        };
        let refused = step.response.status == 401;
        if step.target.is_oauth() {
            return match (is_basic, refused) {
                (false, _) => None,
                (true, true) => basic("another-password"),
                (true, false) => basic(PASSWORD),
            };
        }
        let needed = step.target.scope(&step.request.method, &step.request.query);
        let bearer = |token: &str| Some(format!("Bearer {token}"));
        if !refused {
            if is_basic {
                return basic(PASSWORD);
            }
            if recorded.is_none() && needs_no_token(step) {
                return None;
            }
            if let Some(token) = self
                .handed
                .token_for(&needed)
                .filter(|_| !needed.is_empty())
            {
                return bearer(token);
            }
            return bearer(&self.mock.access_token(&needed.join(" ")).ok()?);
        }
        match service::challenge_error(step) {
            Some("invalid_token") => bearer("eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"),
            Some(_) => match self.handed.token_without(&needed) {
                Some(token) => bearer(token),
                None => bearer(&self.mock.access_token(OTHER_SCOPE).ok()?),
            },
            None if is_basic => basic("another-password"),
            None => None,
        }
    }

    pub(super) fn write_form(&self, step: &Exchange, login_server: &str, prepared: &mut Prepared) {
        if step.request.method != "POST" {
            return;
        }
        let granted = step.succeeds();
        let text = step.request.body.text().unwrap_or_default();
        let value = |name| parameter(text, name).unwrap_or_default();
        let mut tokens = Vec::new();
        if step.target == Target::Exchange {
            if granted && value("access_token").is_empty() {
                tokens.push(("access_token", "replayed".to_owned()));
            }
        } else if granted && (value("grant_type") != "password" || service::has_no_form(step)) {
            let token = match self.handed.refresh_token() {
                Some(token) => Some(token.to_owned()),
                None => self.mock.refresh_token("replayed"),
            };
            tokens.extend(token.map(|token| ("refresh_token", token)));
        }
        prepared.body = form(step, login_server, &tokens);
        let has_type = prepared
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if !has_type {
            let form = "application/x-www-form-urlencoded".to_owned();
            prepared.headers.push(("Content-Type".to_owned(), form));
        }
    }
}

/// A scope that no operation of a recording needs.
const OTHER_SCOPE: &str = "repository:replay/other:metadata_read";

/// Whether the request has got its response without a token: it fits no grammar, or it did not get past the front.
fn needs_no_token(step: &Exchange) -> bool {
    step.target == Target::Other
        || matches!(step.response.status, 403 | 404) && {
            let content_type = step
                .response
                .headers
                .first("Content-Type")
                .unwrap_or_default();
            step.response.status == 403 || !content_type.starts_with("application/json")
        }
}

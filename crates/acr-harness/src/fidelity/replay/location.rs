//! Leads requests to the places that the mock has given out: an upload's location, a URL of data.

use std::time::{Duration, SystemTime};

use acr_protocol::RepositoryName;

use super::{Replay, split_url};
use crate::Result;
use crate::fidelity::exchange::Exchange;
use crate::fidelity::request::Prepared;
use crate::fidelity::state::plan::StepPlan;
use crate::fidelity::state::service;
use crate::fidelity::state::upload::Location;

impl Replay {
    /// Leads the request to where the mock has its data, by a redirect of its own if no step has brought one.
    pub(super) fn point_at_data(
        &mut self,
        step: &Exchange,
        digest: &str,
        prepared: &mut Prepared,
    ) -> Result<()> {
        let location = match self.handed.data(digest) {
            Some(location) => location.to_owned(),
            None => self.redirect_to(digest)?,
        };
        let (_, target) = split_url(&location).ok_or("the redirect leads nowhere")?;
        prepared.target = target;
        if step.response.status == 403 {
            // A signature that no longer holds.
            let late = service::time_of(step).unwrap_or_else(SystemTime::now);
            self.clock.set(late + Duration::from_secs(20 * 60 + 1));
        }
        Ok(())
    }

    pub(super) fn redirect_to(&self, digest: &str) -> Result<String> {
        for home in &self.homes {
            let token = self.mock.access_token(&format!("repository:{home}:pull"));
            let Ok(token) = token else { continue };
            let request = format!(
                "GET /v2/{home}/blobs/{digest} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
                self.login_server
            );
            let respond = self.connector.send(request.as_bytes())?;
            if let (307, Some(location)) = (respond.status, respond.first("Location")) {
                return Ok(location.to_owned());
            }
        }
        Err(format!("no repository redirects to {digest}").into())
    }

    /// Leads the request to a location of the mock's, and returns the mock's id of the upload.
    pub(super) fn point_at_upload(
        &mut self,
        step: &Exchange,
        plan: &StepPlan,
        repository: &str,
        recorded_id: &str,
        prepared: &mut Prepared,
    ) -> String {
        let id = self.handed.upload(recorded_id);
        if id != recorded_id {
            prepared.target = prepared.target.replacen(recorded_id, &id, 1);
        }
        let (Some(held), Ok(name)) = (plan.held, RepositoryName::new(repository)) else {
            return id;
        };
        let at = |offset| self.recorded.upload_location(&name, &id, offset);
        let newest = self.handed.location(&id).map(str::to_owned);
        let location = match plan.location {
            Location::Newest => newest.or_else(|| at(held)),
            Location::Tampered => newest
                .or_else(|| at(held))
                .map(|location| tampered(&location)),
            // A chunk that comes twice begins where the first of it began.
            Location::Stale => {
                let start = step.request.headers.first("Content-Range");
                let start = start.and_then(|range| range.split('-').next()?.parse::<u64>().ok());
                at(start.filter(|start| *start < held).unwrap_or_default())
            }
        };
        if let Some(location) = location {
            let kept: String = step
                .request
                .query
                .split('&')
                .filter(|pair| {
                    let name = pair.split('=').next().unwrap_or_default();
                    !name.is_empty() && name != "_state" && name != "_nouploadcache"
                })
                .map(|pair| format!("&{pair}"))
                .collect();
            // The path stays as the client wrote it.
            let path = prepared.target.split('?').next().unwrap_or_default();
            let query = location.split_once('?').map(|(_, query)| query);
            prepared.target = format!("{path}?{}{kept}", query.unwrap_or_default());
        }
        id
    }
}

fn tampered(location: &str) -> String {
    match location.split_once("_state=") {
        Some((before, _)) => format!("{before}_state=dGFtcGVyZWQ%3D"),
        None => location.to_owned(),
    }
}

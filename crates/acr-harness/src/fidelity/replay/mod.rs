//! Plays the exchanges of a session on a fresh mock, over TLS, and compares each respond with its recording.

mod credential;
mod location;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use acr_mock::recorded::Recorded;
use acr_mock::{AcrMock, Registry, Throttle};
use acr_protocol::OperationClass;

use crate::Result;
use crate::fidelity::clock::ReplayClock;
use crate::fidelity::compare::{Context, Difference, Kind, compare};
use crate::fidelity::exchange::Exchange;
use crate::fidelity::handed::Handed;
use crate::fidelity::raw_http::{Connector, RawResponse};
use crate::fidelity::request::Prepared;
use crate::fidelity::settle::settle;
use crate::fidelity::state::plan::{Action, RealBytes, StepPlan, plan};
use crate::fidelity::state::seed;
use crate::fidelity::state::service;
use crate::fidelity::state::supposed::HOME_OF_DATA;
use crate::fidelity::state::upload::skip_reason;
use crate::fidelity::target::Target;

/// What has become of an exchange.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The line's id.
    pub id: String,
    /// File and line.
    pub place: String,
    /// What it is about.
    pub area: String,
    /// Whether it matches.
    pub ending: Ending,
}

/// How a replay has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The response is the recorded one.
    Match,
    /// It differs.
    Mismatch(Vec<Difference>),
    /// It was not replayed, for this reason.
    Skipped(String),
}

/// Plays exchanges in their order on one fresh mock. `real_bytes` finds the real bytes of a digest, if somebody has them.
///
/// # Errors
///
/// If the mock cannot be started.
pub fn play(mut steps: Vec<Exchange>, real_bytes: &RealBytes) -> Result<Vec<Outcome>> {
    settle(&mut steps);
    let reasons: Vec<Option<String>> = steps.iter().map(skip_reason).collect();
    let skipped: Vec<bool> = reasons.iter().map(Option::is_some).collect();
    let plans = plan(&steps, &skipped, real_bytes);
    let mut replay = if skipped.iter().all(|skipped| *skipped) {
        None
    } else {
        Some(Replay::start(&steps)?)
    };
    let mut outcomes = Vec::new();
    for ((step, plan), reason) in steps.iter().zip(&plans).zip(reasons) {
        let ending = match (reason, &mut replay) {
            (Some(reason), _) => Ending::Skipped(reason),
            (None, Some(replay)) => replay.step(step, plan),
            (None, None) => Ending::Skipped("nothing of its session can be replayed".to_owned()),
        };
        outcomes.push(Outcome {
            id: step.id.clone(),
            place: step.place.clone(),
            area: step.area.clone(),
            ending,
        });
    }
    Ok(outcomes)
}

struct Replay {
    mock: AcrMock,
    recorded: Recorded,
    clock: ReplayClock,
    connector: Connector,
    login_server: String,
    handed: Handed,
    /// Repositories that the session names: one of them holds what is read at the data origin.
    homes: Vec<String>,
}

/// The login server of a recording that hides its own.
const SOME_REGISTRY: &str = "myregistry.azurecr.io";
const USER: &str = "replay";
const PASSWORD: &str = "replayed-password";
/// Longer than any session.
const LONG: Duration = Duration::from_secs(50 * 365 * 24 * 3600);

impl Replay {
    fn start(steps: &[Exchange]) -> Result<Self> {
        let time = steps.iter().find_map(service::time_of);
        let clock = ReplayClock::at(time.unwrap_or_else(SystemTime::now));
        let (page_size, page_size_limit) = service::page_sizes(steps);
        let anonymous = steps.iter().filter_map(service::anonymous);
        let mut builder = Registry::builder()
            .clock(clock.clone())
            .page_size(page_size)
            .page_size_limit(page_size_limit)
            .upload_life(LONG)
            .user(USER, PASSWORD)
            .anonymous_pull(
                anonymous.clone().count() == 0 || anonymous.clone().any(|let_in| let_in),
            );
        if steps.iter().any(service::gives_blobs_itself) {
            builder = builder.data_redirect(false);
        }
        for step in steps.iter().filter(|step| step.succeeds()) {
            if let Some((user, password)) = service::login(step) {
                builder = builder.user(user, password);
            }
        }
        if let [step] = steps
            && service::is_throttled(step)
        {
            let throttle = Throttle::per_minute(0);
            let throttle = match step.response.headers.has("Retry-After") {
                true => throttle.with_retry_after(),
                false => throttle,
            };
            for class in CLASSES {
                builder = builder.throttle(class, throttle);
            }
        }
        let registry = builder.build();
        let mock = AcrMock::builder().registry(registry.clone()).start()?;
        let address: SocketAddr = mock.local_addr();
        let connector = Connector::new(address, mock.ca_pem().unwrap_or_default())?;
        let recorded = registry.recorded();
        if let Some(wording) = steps.iter().find_map(service::wording) {
            recorded.challenge_wording(wording);
        }
        if let Some(storage) = steps.iter().find_map(service::storage) {
            recorded.storage(storage);
        }
        let login_server = steps.iter().find_map(service::login_server);
        let mut homes: Vec<String> = steps
            .iter()
            .filter_map(|step| step.target.repository().map(str::to_owned))
            .collect();
        homes.push(HOME_OF_DATA.to_owned());
        homes.dedup();
        Ok(Self {
            mock,
            recorded,
            clock,
            connector,
            login_server: login_server.unwrap_or_else(|| SOME_REGISTRY.to_owned()),
            handed: Handed::default(),
            homes,
        })
    }

    fn step(&mut self, step: &Exchange, plan: &StepPlan) -> Ending {
        if let Some(time) = service::time_of(step) {
            self.clock.set(time);
        }
        if let Err(problem) = self.bring_about(step, &plan.before) {
            return no_response(step, format!("the state cannot be made: {problem}"));
        }
        let ending = match self.exchange(step, plan) {
            Ok((respond, context)) => {
                let differences = compare(step, &respond, &context);
                self.handed.note(step, &respond);
                if differences.is_empty() {
                    Ending::Match
                } else {
                    Ending::Mismatch(differences)
                }
            }
            Err(error) => no_response(step, error.to_string()),
        };
        match self.bring_about(step, &plan.after) {
            Ok(()) => ending,
            Err(problem) => no_response(step, format!("the state cannot be undone: {problem}")),
        }
    }

    fn bring_about(&mut self, step: &Exchange, actions: &[Action]) -> Result<(), String> {
        if let Some(storage) = service::storage(step) {
            self.recorded.storage(storage);
        }
        self.recorded.entra_refusal(service::entra_refusal(step));
        self.recorded.refused_client(service::refused_client(step));
        if let Some(order) = service::scope_order(step) {
            self.recorded.scope_order(order);
        }
        for action in actions {
            if let Action::Upload { id, .. } = action {
                let id = self.handed.upload(id);
                self.handed.forget_locations(&id);
            }
            seed::apply(&self.recorded, action, &|id| self.handed.upload(id))?;
        }
        Ok(())
    }

    /// Sends the request, and follows a redirect that the recorder has hidden.
    fn exchange(&mut self, step: &Exchange, plan: &StepPlan) -> Result<(RawResponse, Context)> {
        let login_server = service::login_server(step).unwrap_or_else(|| self.login_server.clone());
        let host = match step.to_data {
            true => step
                .request
                .headers
                .first("Host")
                .unwrap_or("storage.invalid"),
            false => &login_server,
        };
        let mut prepared = Prepared::of(step, host);
        let mut context = Context {
            storage: step.to_data,
            client_id: prepared.client_id(),
            filler: plan.filler,
            ..Context::default()
        };
        match &step.target {
            Target::Exchange | Target::Token => self.write_form(step, &login_server, &mut prepared),
            Target::Data { digest } => self.point_at_data(step, digest, &mut prepared)?,
            Target::Upload { repository, id } => {
                let id = self.point_at_upload(step, plan, repository, id, &mut prepared);
                context.upload_id = Some(id);
            }
            _ => {}
        }
        prepared.authorization = self.credential(step);
        context.login_server = login_server;
        let mut respond = self.connector.send(&prepared.bytes())?;
        let hides_redirect = matches!(step.target, Target::Blob { .. })
            && !(300..400).contains(&step.response.status);
        if hides_redirect && respond.status == 307 {
            self.handed.note(step, &respond);
            let location = respond.first("Location").unwrap_or_default().to_owned();
            let (host, target) = split_url(&location).ok_or("the redirect leads nowhere")?;
            (prepared.host, prepared.target) = (host, target);
            prepared.authorization = None;
            context.storage = true;
            respond = self.connector.send(&prepared.bytes())?;
        }
        Ok((respond, context))
    }
}

const CLASSES: [OperationClass; 7] = [
    OperationClass::Token,
    OperationClass::MetadataRead,
    OperationClass::MetadataWrite,
    OperationClass::Manifest,
    OperationClass::Referrers,
    OperationClass::Blob,
    OperationClass::Delete,
];

/// Host and target of an absolute URL.
fn split_url(url: &str) -> Option<(String, String)> {
    let (_, rest) = url.split_once("://")?;
    let at = rest.find('/')?;
    Some((rest[..at].to_owned(), rest[at..].to_owned()))
}

fn no_response(step: &Exchange, problem: String) -> Ending {
    Ending::Mismatch(vec![Difference {
        kind: Kind::NoAnswer,
        part: "respond".to_owned(),
        recorded: step.response.status.to_string(),
        actual: problem,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_host_and_target() {
        let url = "https://a.blob.core.windows.net/i//docker?x=1";
        let parts = Some((
            "a.blob.core.windows.net".to_owned(),
            "/i//docker?x=1".to_owned(),
        ));
        assert_eq!(split_url(url), parts);
        assert_eq!(split_url("/x"), None);
    }
}

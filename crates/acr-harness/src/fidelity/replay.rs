//! Plays the exchanges of a session on a fresh mock, over TLS, and compares each answer with its recording.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use acr_mock::recorded::Recorded;
use acr_mock::{AcrMock, Registry, Throttle};
use acr_protocol::{OperationClass, RepositoryName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::clock::ReplayClock;
use super::compare::{Context, Difference, Kind, compare};
use super::exchange::Exchange;
use super::handed::Handed;
use super::raw_http::{Answer, Connector};
use super::request::{Prepared, form};
use super::settle::settle;
use super::state::plan::{Action, Library, StepPlan, plan};
use super::state::seed;
use super::state::service;
use super::state::supposed::HOME_OF_DATA;
use super::state::upload::{Location, skip_reason};
use super::target::Target;
use crate::Result;

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
    /// The answer is the recorded one.
    Match,
    /// It differs.
    Mismatch(Vec<Difference>),
    /// It was not replayed, for this reason.
    Skipped(String),
}

/// Plays exchanges in their order on one fresh mock. `library` finds the real bytes of a digest, if somebody has them.
///
/// # Errors
///
/// If the mock cannot be started.
pub fn play(mut steps: Vec<Exchange>, library: &Library) -> Result<Vec<Outcome>> {
    settle(&mut steps);
    let reasons: Vec<Option<String>> = steps.iter().map(skip_reason).collect();
    let skipped: Vec<bool> = reasons.iter().map(Option::is_some).collect();
    let plans = plan(&steps, &skipped, library);
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
            return no_answer(step, format!("the state cannot be made: {problem}"));
        }
        let ending = match self.exchange(step, plan) {
            Ok((answer, context)) => {
                let differences = compare(step, &answer, &context);
                self.handed.note(step, &answer);
                if differences.is_empty() {
                    Ending::Match
                } else {
                    Ending::Mismatch(differences)
                }
            }
            Err(error) => no_answer(step, error.to_string()),
        };
        match self.bring_about(step, &plan.after) {
            Ok(()) => ending,
            Err(problem) => no_answer(step, format!("the state cannot be undone: {problem}")),
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
    fn exchange(&mut self, step: &Exchange, plan: &StepPlan) -> Result<(Answer, Context)> {
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
        let mut answer = self.connector.send(&prepared.bytes())?;
        let hides_redirect = matches!(step.target, Target::Blob { .. })
            && !(300..400).contains(&step.response.status);
        if hides_redirect && answer.status == 307 {
            self.handed.note(step, &answer);
            let location = answer.first("Location").unwrap_or_default().to_owned();
            let (host, target) = split_url(&location).ok_or("the redirect leads nowhere")?;
            (prepared.host, prepared.target) = (host, target);
            prepared.authorization = None;
            context.storage = true;
            answer = self.connector.send(&prepared.bytes())?;
        }
        Ok((answer, context))
    }

    /// The credential: what the recording hides, so that the answer can be the recorded one.
    fn credential(&self, step: &Exchange) -> Option<String> {
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

    fn write_form(&self, step: &Exchange, login_server: &str, prepared: &mut Prepared) {
        if step.request.method != "POST" {
            return;
        }
        let granted = step.succeeds();
        let text = step.request.body.text().unwrap_or_default();
        let value = |name| super::exchange::parameter(text, name).unwrap_or_default();
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

    /// Leads the request to where the mock has its data, by a redirect of its own if no step has brought one.
    fn point_at_data(
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

    fn redirect_to(&self, digest: &str) -> Result<String> {
        for home in &self.homes {
            let token = self.mock.access_token(&format!("repository:{home}:pull"));
            let Ok(token) = token else { continue };
            let request = format!(
                "GET /v2/{home}/blobs/{digest} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
                self.login_server
            );
            let answer = self.connector.send(request.as_bytes())?;
            if let (307, Some(location)) = (answer.status, answer.first("Location")) {
                return Ok(location.to_owned());
            }
        }
        Err(format!("no repository redirects to {digest}").into())
    }

    /// Leads the request to a location of the mock's, and returns the mock's id of the upload.
    fn point_at_upload(
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

/// A scope that no operation of a recording needs.
const OTHER_SCOPE: &str = "repository:replay/other:metadata_read";

const CLASSES: [OperationClass; 7] = [
    OperationClass::Token,
    OperationClass::MetadataRead,
    OperationClass::MetadataWrite,
    OperationClass::Manifest,
    OperationClass::Referrers,
    OperationClass::Blob,
    OperationClass::Delete,
];

/// Whether the request has got its answer without a token: it fits no grammar, or it did not get past the front.
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

fn tampered(location: &str) -> String {
    match location.split_once("_state=") {
        Some((before, _)) => format!("{before}_state=dGFtcGVyZWQ%3D"),
        None => location.to_owned(),
    }
}

/// Host and target of an absolute URL.
fn split_url(url: &str) -> Option<(String, String)> {
    let (_, rest) = url.split_once("://")?;
    let at = rest.find('/')?;
    Some((rest[..at].to_owned(), rest[at..].to_owned()))
}

fn no_answer(step: &Exchange, problem: String) -> Ending {
    Ending::Mismatch(vec![Difference {
        kind: Kind::NoAnswer,
        part: "answer".to_owned(),
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

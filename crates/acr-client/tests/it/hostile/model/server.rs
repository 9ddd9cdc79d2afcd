//! A registry, its token server, and everything else there is, all of which lie.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use acr_client::transport::OperationContext;
use acr_client::transport::{Body, Transport, TransportError, TransportErrorKind, from_fn};
use acr_mock::VirtualClock;
use acr_protocol::ScopeSet;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastrand::Rng;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use url::Url;
use url::form_urlencoded;

use super::Shared;
use super::clients::Rights;
use super::honest::{Wants, content};
use super::invariants::UnderWay;
use crate::hostile::{SECRET, response};

pub(super) struct World {
    pub(super) clock: VirtualClock,
    pub(super) dice: Rng,
    pub(super) host: &'static str,
    /// What it wants, once it is honest.
    pub(super) honest: Option<Wants>,
    /// Whether it gives tokens to everybody, accepts none, and asks for another scope each time.
    stubborn: bool,
    /// How it refuses who asks for tokens of another service.
    pub(super) says_of_others: u16,
    /// The tokens that were given out.
    pub(super) entra: HashSet<String>,
    pub(super) refresh_tokens: BTreeMap<String, Refresh>,
    pub(super) tokens: BTreeMap<String, Token>,
    last: Option<String>,
    /// What was asked for in challenges, by what would have been needed.
    pub(super) challenges: HashMap<ScopeSet, HashSet<ScopeSet>>,
    pub(super) realms: HashSet<String>,
    pub(super) has_asked_for_a_password: bool,
    pub(super) in_progress: UnderWay,
    /// Whether somebody has asked for a token where, or as, a lie had told, since all is honest.
    pub(super) misled: bool,
    counts: HashMap<usize, usize>,
    lines: Vec<String>,
}

/// An access token that was given out.
pub(super) struct Token {
    /// What it was asked for with; more than one where it was given out again.
    pub(super) asked: Vec<ScopeSet>,
    pub(super) granted: ScopeSet,
    pub(super) rights: Rights,
    pub(super) dies_at: SystemTime,
    pub(super) dead: bool,
}

/// A refresh token that was given out.
pub(super) struct Refresh {
    pub(super) dies_at: SystemTime,
    pub(super) rights: Rights,
}

/// A request as the servers see it.
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) authorization: String,
    pub(super) headers: String,
    pub(super) body: String,
    operation: &'static str,
}

type Outcome = Result<Response<Body>, TransportError>;

/// What all of a client's requests go through.
pub(super) fn transport(world: &Shared, client: usize) -> impl Transport {
    let world = world.clone();
    from_fn(move |request: Request<Body>| {
        let world = world.clone();
        async move {
            let seen = Seen::of(request).await;
            let (clock, response, pause, key) = {
                let mut world = world.lock().unwrap();
                let (response, pause, key) = world.receive(client, &seen);
                (world.clock.clone(), response, pause, key)
            };
            let _under_way = key.map(|key| Ends(world, key));
            if !pause.is_zero() {
                clock.sleep(pause).await;
            }
            response
        }
    })
}

/// Takes note of the end of a request for a token, which may be that nobody waits for it any more.
struct Ends(Shared, (usize, String));

impl Drop for Ends {
    fn drop(&mut self) {
        if let Ok(mut world) = self.0.lock() {
            world.in_progress.remove(&self.1);
        }
    }
}

impl World {
    pub(super) fn new(clock: VirtualClock, mut dice: Rng) -> Self {
        let host = if dice.bool() {
            AZURE
        } else {
            "registry.example"
        };
        Self {
            host,
            honest: None,
            stubborn: dice.u8(..16) == 0,
            says_of_others: *dice.choice(&[400, 401, 403]).unwrap(),
            clock,
            dice,
            entra: HashSet::new(),
            refresh_tokens: BTreeMap::new(),
            tokens: BTreeMap::new(),
            last: None,
            challenges: HashMap::new(),
            realms: HashSet::new(),
            has_asked_for_a_password: false,
            in_progress: UnderWay::new(),
            misled: false,
            counts: HashMap::new(),
            lines: Vec::new(),
        }
    }

    pub(super) fn is_azure(&self) -> bool {
        self.host == AZURE
    }

    pub(super) fn origin(&self) -> String {
        format!("https://{}", self.host)
    }

    /// Where an honest registry has its tokens.
    pub(super) fn realm(&self) -> String {
        format!("https://{}/oauth2/token", self.host)
    }

    pub(super) fn is_own(&self, seen: &Seen) -> bool {
        seen.url.origin().ascii_serialization() == self.origin()
    }

    pub(super) const fn is_honest(&self) -> bool {
        self.honest.is_some()
    }

    /// From now on everything is served as it should be.
    pub(super) fn turn_honest(&mut self) {
        self.honest = Some(match self.dice.u8(..8) {
            0 => Wants::Nothing,
            1 if !self.is_azure() => Wants::Basic,
            _ => Wants::Bearer,
        });
        self.has_asked_for_a_password |= self.honest == Some(Wants::Basic);
        if self.dice.bool() {
            self.kill(1);
        }
        self.note(format!("-- from now on honest: {:?}", self.honest));
    }

    /// Makes one in so many of its tokens worthless.
    fn kill(&mut self, one_in: u8) {
        let dice = &mut self.dice;
        for token in self.tokens.values_mut() {
            token.dead |= dice.u8(..one_in) == 0;
        }
        self.refresh_tokens.retain(|_, _| dice.u8(..one_in) > 0);
    }

    pub(super) fn forget_counts(&mut self) {
        self.counts.clear();
        self.note("-- a round".to_owned());
    }

    pub(super) fn count(&self, client: usize) -> usize {
        self.counts.get(&client).copied().unwrap_or_default()
    }

    pub(super) fn note(&mut self, line: String) {
        self.lines.push(line);
    }

    pub(super) fn told(&self) -> String {
        self.lines.join("\n")
    }

    fn receive(
        &mut self,
        client: usize,
        seen: &Seen,
    ) -> (Outcome, Duration, Option<(usize, String)>) {
        *self.counts.entry(client).or_default() += 1;
        let at = self.now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 100_000;
        let line = format!(
            "{at} {client}: {} {} {}",
            seen.line(),
            seen.authorization,
            seen.body
        );
        self.note(line);
        self.check(seen);
        let key = self.begin(client, seen);
        let (response, pause) = self.response(seen);
        let told = match &response {
            Ok(response) => format!(
                "    {} {:.200}",
                response.status(),
                format!("{:?}", response.headers().get_all("www-authenticate"))
            ),
            Err(error) => format!("    {error}"),
        };
        self.note(told);
        (response, pause, key)
    }

    fn response(&mut self, seen: &Seen) -> (Outcome, Duration) {
        let own = self.is_own(seen);
        if self.is_honest() {
            let response = match (own, seen.is_for_a_token()) {
                (true, true) => self.honest_tokens(seen),
                (true, false) => self.honest_registry(seen),
                // Nobody is there any more.
                (false, _) => {
                    self.misled = true;
                    response(self.says_of_others, &[], "")
                }
            };
            return (Ok(response), Duration::ZERO);
        }
        if self.dice.u8(..20) == 0 {
            self.kill(2);
        }
        let pause = match self.dice.u8(..100) {
            0 => Duration::from_secs(3600),
            1..50 => Duration::from_millis(self.dice.u64(..3000)),
            _ => Duration::ZERO,
        };
        if self.stubborn && own && !seen.is_for_a_token() {
            let scope = format!("repository:r{}:pull", self.lines.len());
            self.challenge_by(&seen.needed(), &scope);
            let (realm, host) = (self.realm(), self.host);
            let text = format!(r#"Bearer realm="{realm}",service="{host}",scope="{scope}""#);
            return (Ok(response(401, &[("www-authenticate", &text)], "")), pause);
        }
        if self.stubborn && own {
            return (Ok(self.some_token(seen, own)), pause);
        }
        if self.dice.u8(..20) == 0 {
            return (Err(self.broken()), pause);
        }
        let response = match (own, seen.is_for_a_token()) {
            (_, true) => self.lying_tokens(seen, own),
            (true, false) => self.lying_registry(seen),
            (false, false) => content(seen),
        };
        (Ok(response), pause)
    }

    fn broken(&mut self) -> TransportError {
        let kind = if self.dice.bool() {
            TransportErrorKind::Connect
        } else {
            TransportErrorKind::Interrupted
        };
        TransportError::new(kind, "the wire is cut")
    }

    fn lying_registry(&mut self, seen: &Seen) -> Response<Body> {
        match self.dice.u8(..100) {
            0..40 => self.honest_registry(seen),
            40..46 => content(seen),
            46..76 => self.challenge(seen),
            76..79 => response(401, &[], ""),
            79..82 if seen.method == Method::GET => {
                let to = ("location", "https://storage.example/data?sig=1");
                response(307, &[to], "")
            }
            _ => self.refusal_of_some_kind(seen),
        }
    }

    fn lying_tokens(&mut self, seen: &Seen, own: bool) -> Response<Body> {
        match self.dice.u8(..100) {
            0..30 if own => self.honest_tokens(seen),
            0..65 => self.some_token(seen, own),
            65..68 => response(200, &[], r#"{"access_token":""}"#),
            68..71 => response(200, &[], "nonsense"),
            71..73 => response(307, &[("location", "https://elsewhere.example/")], ""),
            _ => self.refusal_of_some_kind(seen),
        }
    }

    fn some_token(&mut self, seen: &Seen, own: bool) -> Response<Body> {
        let token = if seen.url.path() == "/oauth2/exchange" {
            format!(r#"{{"refresh_token":"{}"}}"#, self.refresh_token())
        } else {
            let rights = *self.dice.choice(&[Rights::Read, Rights::All]).unwrap();
            let token = self.access_token(seen.scope(), rights, !own);
            format!(r#"{{"access_token":"{token}"}}"#)
        };
        response(200, &[], &token)
    }

    /// A refusal or a failure, which may repeat what was sent.
    fn refusal_of_some_kind(&mut self, seen: &Seen) -> Response<Body> {
        let status = *self
            .dice
            .choice(&[400, 401, 403, 404, 405, 429, 429, 500, 502, 503, 504])
            .unwrap();
        let said = match self.dice.u8(..4) {
            0 => seen.authorization.clone(),
            1 => seen.body.clone(),
            _ => "no".to_owned(),
        };
        let body = format!(r#"{{"errors":[{{"code":"NO","message":"{said}"}}]}}"#);
        let after = self.dice.u8(..200).to_string();
        let with_pause = matches!(status, 429 | 503) && self.dice.bool();
        let headers = [("retry-after", &*after)];
        response(status, if with_pause { &headers } else { &[] }, &body)
    }

    fn challenge(&mut self, seen: &Seen) -> Response<Body> {
        let basic = r#"Basic realm="r""#.to_owned();
        let text = match self.dice.u8(..10) {
            0 => basic,
            1 => format!("{basic}, {}", self.bearer(seen)),
            2 => format!("{}, {basic}", self.bearer(seen)),
            _ => self.bearer(seen),
        };
        self.has_asked_for_a_password |= text.contains("Basic");
        response(401, &[("www-authenticate", &text)], "")
    }

    fn bearer(&mut self, seen: &Seen) -> String {
        let (own, host) = (self.realm(), self.host);
        let realm = match self.dice.u8(..24) {
            0 | 1 => format!("https://{host}/other/token"),
            2 => format!("https://{host}/v2/token"),
            3..6 => "https://auth.elsewhere.example/token".to_owned(),
            6 => "https://auth.elsewhere.example/oauth2/token".to_owned(),
            7 => "/oauth2/token".to_owned(),
            8 => "https://".to_owned(),
            9 => format!("http://{host}/oauth2/token"),
            10 => format!("https://{host}:444/oauth2/token"),
            11 => format!("https://u:p@{host}/oauth2/token"),
            12 => format!("https://{host}/{}", "x".repeat(5000)),
            13 => String::new(),
            _ => own,
        };
        self.realms.insert(realm.clone());
        let service = match self.dice.u8(..12) {
            0 => "victim.azurecr.io".to_owned(),
            1 => String::new(),
            2 => "s".repeat(600),
            _ => host.to_owned(),
        };
        let needed = seen.needed();
        let scope = match self.dice.u8(..16) {
            0 | 1 => "repository:other:pull".to_owned(),
            2 => "repository:app:delete".to_owned(),
            3 => "repository:*:pull".to_owned(),
            4 => "repository:app/*:pull,push repository:app:pull".to_owned(),
            5 => "repository:app:*".to_owned(),
            6 => "registry:catalog:*".to_owned(),
            7 => format!("repository:{}:pull", "a".repeat(9000)),
            8 => "nonsense".to_owned(),
            9 => String::new(),
            _ => needed.to_string(),
        };
        self.challenge_by(&needed, &scope);
        let mut text = format!(r#"Bearer realm="{realm}",service="{service}""#);
        if self.dice.u8(..8) > 0 {
            write!(text, r#",scope="{scope}""#).unwrap();
        }
        let error = self
            .dice
            .choice(&["", "invalid_token", "insufficient_scope"]);
        if let Some(error) = error.filter(|error| !error.is_empty()) {
            write!(text, r#",error="{error}""#).unwrap();
        }
        text
    }

    /// Takes note of what a challenge asks for.
    pub(super) fn challenge_by(&mut self, needed: &ScopeSet, asked: &str) {
        self.realms.insert(self.realm());
        if let Ok(asked) = asked.parse::<ScopeSet>()
            && !asked.is_empty()
        {
            let all = self.challenges.entry(needed.clone()).or_default();
            all.insert(asked);
        }
    }

    pub(super) fn entra_token(&mut self) -> String {
        let token = format!("entra-{SECRET}-{}", self.entra.len());
        self.entra.insert(token.clone());
        token
    }

    pub(super) fn refresh_token(&mut self) -> String {
        let at = self.refresh_tokens.len() + 1000 * self.lines.len();
        let (token, dies_at) = self.lives("refresh", at);
        let useless = !self.is_honest() && self.dice.u8(..6) == 0;
        let rights = if useless { Rights::None } else { Rights::All };
        let refresh = Refresh { dies_at, rights };
        self.refresh_tokens.insert(token.clone(), refresh);
        token
    }

    /// Gives an access token out. `useless`: whether the registry itself would accept it.
    pub(super) fn access_token(
        &mut self,
        scope: ScopeSet,
        rights: Rights,
        useless: bool,
    ) -> String {
        let hostile = !self.is_honest();
        if hostile
            && self.dice.u8(..10) == 0
            && let Some(last) = &self.last
            && let Some(token) = self.tokens.get_mut(last)
        {
            token.asked.push(scope);
            return last.clone();
        }
        let at = self.tokens.len();
        let (text, dies_at) = self.lives("access", at);
        let narrow = hostile && self.dice.u8(..8) == 0;
        let token = Token {
            granted: if narrow {
                ScopeSet::new()
            } else {
                scope.clone()
            },
            asked: vec![scope],
            rights,
            dies_at,
            dead: useless,
        };
        self.tokens.insert(text.clone(), token);
        self.last = Some(text.clone());
        text
    }

    /// A token, most often one that tells its end, and when that is.
    fn lives(&mut self, what: &str, at: usize) -> (String, SystemTime) {
        let seconds = if self.is_honest() {
            self.dice.i64(300..7200)
        } else if self.dice.u8(..3) == 0 {
            self.dice.i64(-100..100)
        } else {
            self.dice.i64(-100..7200)
        };
        let now = self.now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let end = now.saturating_add_signed(seconds);
        let dies_at = UNIX_EPOCH + Duration::from_secs(end);
        if self.dice.u8(..4) == 0 {
            // It is good for a minute by the rules.
            let dies_at = dies_at.max(self.now() + Duration::from_secs(60));
            return (format!("{what}-{SECRET}-{at}"), dies_at);
        }
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{end}}}"#));
        (format!("e30.{claims}.{what}-{SECRET}-{at}"), dies_at)
    }
}

impl Seen {
    async fn of(request: Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let authorization = head.headers.get(AUTHORIZATION);
        let context: &OperationContext = head.extensions.get().unwrap();
        Self {
            authorization: authorization
                .map_or("", |value| value.to_str().unwrap())
                .to_owned(),
            url: head.uri.to_string().parse().unwrap(),
            method: head.method,
            headers: format!("{:?}", head.headers),
            body: String::from_utf8(body.to_vec()).unwrap(),
            operation: context.operation(),
        }
    }

    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.url)
    }

    pub(super) fn is_for_a_token(&self) -> bool {
        self.operation.contains("token")
    }

    /// A field of the form, or of the query where there is no form.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let form = if self.body.is_empty() {
            self.url.query().unwrap_or_default()
        } else {
            &self.body
        };
        let mut fields = form_urlencoded::parse(form.as_bytes());
        fields
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The scope that a token is asked for with.
    pub(super) fn scope(&self) -> ScopeSet {
        self.field("scope").unwrap_or_default().parse().unwrap()
    }

    /// The scope that a token must cover for this request to the registry.
    pub(super) fn needed(&self) -> ScopeSet {
        let path = self.url.path();
        if path.contains("_catalog") {
            return "registry:catalog:*".parse().unwrap();
        }
        let name = if path.contains("/base/os/") {
            "base/os"
        } else if path.contains("/app/") {
            "app"
        } else {
            return ScopeSet::new();
        };
        let actions = match self.method {
            Method::DELETE => "delete",
            Method::PUT => "pull,push",
            _ if path.contains("/_tags/") => "metadata_read",
            _ => "pull",
        };
        format!("repository:{name}:{actions}").parse().unwrap()
    }
}

const AZURE: &str = "mock.azurecr.io";

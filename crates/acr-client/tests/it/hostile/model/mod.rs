//! The client's authentication under registries and token servers that change their mind with every
//! request, by seed, and the laws that hold all the same.
//!
//! [`server`] responses: in a third of all cases as an honest registry would, else with whatever challenge,
//! refusal or failure comes to its mind. [`invariants`] look at every request. Here are the calls, several at
//! a time, some given up half-way, and what must become of them. At last the registry turns honest; ten
//! minutes later every client must be of use again.

mod clients;
mod honest;
mod invariants;
mod server;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use acr_client::{
    ContainerRegistryClient, Credential, Error, ErrorKind, LimiterOptions, Manifest, MediaType,
    RetryOptions,
};
use acr_mock::VirtualClock;
use bytes::Bytes;
use fastrand::Rng;
use futures_util::future::{BoxFuture, Either, join_all, select};

use self::clients::{Link, Rights};
use self::server::World;
use crate::hostile::{SECRET, text};

/// The world as everybody in it shares it.
type Shared = Arc<Mutex<World>>;

#[test]
fn no_registry_makes_a_client_break_a_law_or_spoils_it_for_good() {
    for seed in 0..SEEDS {
        Scene::new(seed).play();
    }
}

#[test]
fn a_seed_plays_the_same_each_time() {
    for seed in 0..20 {
        let (once, again) = (Scene::new(seed).play(), Scene::new(seed).play());
        assert!(once == again, "seed {seed}");
    }
}

/// A seed's world with its clients.
struct Scene {
    world: Shared,
    clock: VirtualClock,
    dice: Rng,
    clients: Vec<Client>,
    /// Kept for its end.
    told: Told,
}

struct Client {
    client: ContainerRegistryClient,
    links: Vec<Link>,
    /// How many requests one of its calls may cost.
    most: usize,
}

/// What a client can be asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Ping,
    Catalog,
    TagProperties,
    GetManifest,
    SetManifest,
    DeleteTag,
    DeleteManifest,
    Own,
    Token,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let clock = VirtualClock::starting_at(start);
        let world = World::new(clock.clone(), Rng::with_seed(dice.u64(..)));
        let world = Arc::new(Mutex::new(world));
        let told = Told {
            seed,
            world: world.clone(),
        };
        let mut scene = Self {
            world,
            clock,
            dice,
            clients: Vec::new(),
            told,
        };
        for at in 0..=usize::from(scene.dice.u8(..4) == 0) {
            let client = scene.client(at);
            scene.clients.push(client);
        }
        scene
    }

    fn client(&mut self, at: usize) -> Client {
        let links = clients::links(&mut self.dice);
        let credential = match &*links {
            [alone] => alone.credential(&self.world),
            _ => Credential::chain(links.iter().map(|link| link.credential(&self.world))),
        };
        let attempts = self.dice.u32(1..=3);
        let retry = RetryOptions {
            max_retries: attempts - 1,
            deadline: (self.dice.u8(..4) == 0).then(|| Duration::from_secs(self.dice.u64(1..90))),
            seed: Some(self.told.seed),
            ..RetryOptions::default()
        };
        let limited = self.dice.u8(..4) == 0;
        let limiter = limited.then(LimiterOptions::default);
        let endpoint = format!("https://{}", self.world.lock().unwrap().host);
        let client = ContainerRegistryClient::builder(endpoint)
            .credential(credential)
            .transport(server::transport(&self.world, at))
            .clock(self.clock.clone())
            .retry(retry)
            .limiter(limiter)
            .build()
            .unwrap();
        // Each attempt sends a ping, follows one redirect, and meets four challenges, each and the
        // beginning with a token. Who waited for his turn may need another token for each.
        let attempts = attempts as usize;
        let tokens = if limited { 10 } else { 5 };
        let of_a_token: usize = links.iter().map(Link::requests_for_a_token).sum();
        let most = attempts * (1 + 1 + 5 + tokens * of_a_token * attempts);
        Client {
            client,
            links,
            most,
        }
    }

    fn play(mut self) -> String {
        for _ in 0..self.dice.u8(3..7) {
            self.round();
            let pause = match self.dice.u8(..4) {
                0 => 0,
                1 => self.dice.u64(..90),
                2 => self.dice.u64(..1000),
                _ => self.dice.u64(..9000),
            };
            self.clock.advance(Duration::from_secs(pause));
        }
        self.world.lock().unwrap().turn_honest();
        self.clock.advance(Duration::from_secs(600));
        for at in 0..self.clients.len() {
            self.is_of_use(at);
        }
        self.world.lock().unwrap().told()
    }

    /// One to eight calls at a time, of which some are given up.
    fn round(&mut self) {
        let several = self.dice.u8(..3) == 0;
        let calls = if several { self.dice.usize(2..=8) } else { 1 };
        let one_thing = self.dice.bool().then(|| (self.job(), self.repository()));
        let mut work = Vec::new();
        let mut most = vec![0; self.clients.len()];
        for _ in 0..calls {
            let at = self.dice.usize(..self.clients.len());
            let (job, repository) = one_thing.unwrap_or_else(|| (self.job(), self.repository()));
            most[at] += self.clients[at].most;
            let call = run(self.clients[at].client.clone(), job, repository);
            let ends = self.dice.u8(..5) == 0;
            let patience = ends.then(|| Duration::from_millis(self.dice.u64(..5000)));
            let begins = Duration::from_millis(self.dice.u64(..4) * self.dice.u64(..400));
            let clock = self.clock.clone();
            work.push(async move {
                if !begins.is_zero() {
                    clock.sleep(begins).await;
                }
                let Some(patience) = patience else {
                    return Some(call.await);
                };
                match select(call, clock.sleep(patience)).await {
                    Either::Left((done, _)) => Some(done),
                    Either::Right(_) => None,
                }
            });
        }
        self.world.lock().unwrap().forget_counts();
        for outcome in self.clock.drive(join_all(work)).into_iter().flatten() {
            if let Err(error) = outcome {
                is_a_decent_error(&error);
            }
        }
        for (at, most) in most.into_iter().enumerate() {
            let sent = self.world.lock().unwrap().count(at);
            assert!(sent <= most, "{sent} requests where {most} are the most");
        }
    }

    /// After the registry turned honest.
    fn is_of_use(&mut self, at: usize) {
        let links = self.clients[at].links.clone();
        let rights = self.world.lock().unwrap().rights_of(&links);
        let job = match rights {
            Some(Rights::All) | None => self.job(),
            Some(_) => *self.dice.choice(&Job::OF_READERS).unwrap(),
        };
        let repository = self.repository();
        self.world.lock().unwrap().note(format!(
            "-- honest: {job:?} of {repository} by {links:?}, who has {rights:?}"
        ));
        let call = || run(self.clients[at].client.clone(), job, repository);
        self.world.lock().unwrap().misled = false;
        let mut outcome = self.clock.drive(call());
        if let Err(error) = &outcome
            && (self.world.lock().unwrap().misled || text(error).contains("another server"))
        {
            // It went by the last lie once more; but never again.
            is_a_decent_error(error);
            outcome = self.clock.drive(call());
        }
        match outcome {
            Ok(()) => {}
            Err(error) if rights.is_none() => is_a_decent_error(&error),
            Err(error) => panic!("the client is spoiled: {}", text(&error)),
        }
    }

    fn job(&mut self) -> Job {
        *self.dice.choice(&Job::ALL).unwrap()
    }

    fn repository(&mut self) -> &'static str {
        self.dice.choice(["app", "base/os"]).unwrap()
    }
}

impl Job {
    const ALL: [Self; 9] = [
        Self::Ping,
        Self::Catalog,
        Self::TagProperties,
        Self::GetManifest,
        Self::SetManifest,
        Self::DeleteTag,
        Self::DeleteManifest,
        Self::Own,
        Self::Token,
    ];
    const OF_READERS: [Self; 5] = [
        Self::Ping,
        Self::TagProperties,
        Self::GetManifest,
        Self::Own,
        Self::Token,
    ];
}

fn run(
    client: ContainerRegistryClient,
    job: Job,
    name: &'static str,
) -> BoxFuture<'static, Result<(), Error>> {
    Box::pin(async move {
        let repository = client.repository_client(name)?;
        match job {
            Job::Ping => client.ping().await,
            Job::Catalog => {
                let first = client.list_repository_names().try_next().await;
                first.map(drop)
            }
            Job::TagProperties => repository.get_tag_properties("v1").await.map(drop),
            Job::GetManifest => repository.get_manifest("v1").await.map(drop),
            Job::SetManifest => {
                let manifest = Manifest::new("{}", MediaType::OCI_MANIFEST);
                repository.set_manifest("v1", &manifest).await.map(drop)
            }
            Job::DeleteTag => repository.delete_tag("v1").await.map(drop),
            Job::DeleteManifest => {
                let digest = honest::DIGEST.parse::<acr_client::Digest>().unwrap();
                repository.delete_manifest(digest).await.map(drop)
            }
            Job::Own => {
                let request = http::Request::get(format!("/v2/{name}/_own")).body(Bytes::new());
                let scope = format!("repository:{name}:pull");
                let response = client.authorized_request(request.unwrap(), &scope).await?;
                assert!(!response.status().is_redirection() || response.status() == 307);
                Ok(())
            }
            Job::Token => {
                let scope = format!("repository:{name}:pull");
                let token = client.access_token(&scope).await?;
                let debug = format!("{token:?}");
                assert!(!debug.contains(SECRET), "{debug}");
                Ok(())
            }
        }
    })
}

/// Whatever the servers do, an error says what it happened in, and repeats no secret.
fn is_a_decent_error(error: &Error) {
    let shown = format!(
        "{} {:?} {:?} {:?}",
        text(error),
        error.registry_errors(),
        error.request_id(),
        error.missing_scope()
    );
    for secret in [SECRET, &*clients::login()] {
        assert!(!shown.contains(secret), "a secret is in the error: {shown}");
    }
    assert!(error.operation().is_some(), "{shown}");
    // Nothing is wrong with what the calls ask for.
    assert_ne!(error.kind(), ErrorKind::InvalidInput, "{shown}");
}

/// Tells the seed and what went over the wire when a law is broken.
struct Told {
    seed: u64,
    world: Shared,
}

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let world = self.world.lock();
            let world = world.unwrap_or_else(std::sync::PoisonError::into_inner);
            eprintln!("seed {}:\n{}", self.seed, world.told());
        }
    }
}

const SEEDS: u64 = 500;

//! How many requests the client's work costs on the wire.

use std::fmt;

use acr_client::transport::from_fn;
use acr_client::{ContainerRegistryClient, Credential, Error};
use acr_mock::{Registry, VirtualClock};

use crate::Result;

/// Requests by the kind of work, counted at the registry, for one who signs in with an Entra token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Requests {
    /// The first call of a client that asks the registry what it wants.
    pub first: u64,
    /// The first call of a client that knows what every Azure registry wants.
    pub assume_azure_auth: u64,
    /// Each further call in the same scope.
    pub steady: f64,
    /// Each call of two repositories in turn, from the third on.
    pub in_turn: f64,
    /// Each of 300 calls over 100 repositories in two scopes, the tokens included.
    pub interleaved: f64,
    /// Exchanges for 64 first calls at once.
    pub concurrent_exchanges: u64,
    /// Access tokens for 64 first calls at once, in one scope.
    pub concurrent_tokens: u64,
}

impl Requests {
    /// Does the work and counts.
    ///
    /// # Errors
    /// An operation failed.
    pub fn count() -> Result<Self> {
        let first = Scene::new(1, false)?.first()?;
        let scene = Scene::new(1, true)?;
        let assume_azure_auth = scene.first()?;
        let steady = scene.reads((0..100).map(|_| 0))?;
        let scene = Scene::new(2, true)?;
        scene.reads([0, 1])?;
        let in_turn = scene.reads((0..100).map(|at| at % 2))?;
        let (concurrent_exchanges, concurrent_tokens) = Scene::new(1, true)?.at_once(64)?;
        Ok(Self {
            first,
            assume_azure_auth,
            steady,
            in_turn,
            interleaved: Scene::new(100, true)?.interleaved(100)?,
            concurrent_exchanges,
            concurrent_tokens,
        })
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "requests on the wire, counted at the registry:")?;
        writeln!(f, "  first call, registry asked first   {}", self.first)?;
        writeln!(
            f,
            "  first call, realm known            {}",
            self.assume_azure_auth
        )?;
        writeln!(
            f,
            "  further calls of the scope         {:.2} each",
            self.steady
        )?;
        writeln!(
            f,
            "  two repositories in turn           {:.2} each",
            self.in_turn
        )?;
        writeln!(
            f,
            "  300 calls, 100 repositories        {:.2} each, tokens included",
            self.interleaved
        )?;
        writeln!(
            f,
            "  64 first calls at once             {} exchange, {} token",
            self.concurrent_exchanges, self.concurrent_tokens
        )?;
        write!(
            f,
            "requests: first {}, known realm {}, steady {:.2}, interleaved {:.2}, \
             64 concurrent {} exchange {} token",
            self.first,
            self.assume_azure_auth,
            self.steady,
            self.interleaved,
            self.concurrent_exchanges,
            self.concurrent_tokens
        )
    }
}

/// A registry with some repositories, and a client of it.
struct Scene {
    registry: Registry,
    clock: VirtualClock,
    client: ContainerRegistryClient,
}

impl Scene {
    fn new(repositories: usize, assume_azure_auth: bool) -> Result<Self> {
        let clock = VirtualClock::new();
        let registry = Registry::builder().clock(clock.clone()).build();
        for at in 0..repositories {
            registry.seed(name(at))?.image("v1")?;
        }
        let client = ContainerRegistryClient::builder("https://mock.azurecr.io")
            .credential(Credential::entra_token("any"))
            .assume_azure_auth(assume_azure_auth)
            .transport(from_fn({
                let registry = registry.clone();
                move |request| registry.try_handle(request)
            }))
            .clock(clock.clone())
            .build()?;
        Ok(Self {
            registry,
            clock,
            client,
        })
    }

    fn total(&self) -> u64 {
        let total = self.registry.requests().total();
        self.registry.reset_requests();
        total
    }

    fn first(&self) -> Result<u64> {
        self.clock
            .drive(self.client.get_repository_properties(name(0)))?;
        Ok(self.total())
    }

    /// Reads the properties of these repositories; gives the requests for each.
    fn reads(&self, places: impl IntoIterator<Item = usize>) -> Result<f64> {
        let mut calls = 0;
        for place in places {
            self.clock
                .drive(self.client.get_repository_properties(name(place)))?;
            calls += 1;
        }
        Ok(self.total() as f64 / f64::from(calls))
    }

    /// Three operations in two scopes on each repository, one round after the other.
    fn interleaved(&self, repositories: usize) -> Result<f64> {
        let rounds = async {
            for round in 0..3 {
                for at in 0..repositories {
                    let repository = self.client.repository_client(name(at))?;
                    if round == 1 {
                        repository.get_manifest("v1").await?;
                    } else {
                        repository.get_tag_properties("v1").await?;
                    }
                }
            }
            Ok::<_, Error>(())
        };
        self.clock.drive(rounds)?;
        Ok(self.total() as f64 / (3 * repositories) as f64)
    }

    /// So many first calls at once; gives exchanges and tokens.
    fn at_once(&self, calls: usize) -> Result<(u64, u64)> {
        let calls = (0..calls).map(|_| self.client.get_repository_properties(name(0)));
        let outcomes = self.clock.drive(futures_util::future::join_all(calls));
        for outcome in outcomes {
            outcome?;
        }
        let requests = self.registry.requests();
        let of = |operation| requests.of(operation).unwrap_or_default();
        Ok((of("exchange_entra_token"), of("request_access_token")))
    }
}

fn name(place: usize) -> String {
    format!("team/app-{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_costs_no_more_than_is_said_of_it() {
        let requests = Requests::count().expect("every operation succeeds");
        assert!(
            requests.first <= 4 && requests.assume_azure_auth <= 3,
            "{requests}"
        );
        assert!(
            (requests.steady, requests.in_turn) == (1.0, 1.0),
            "{requests}"
        );
        assert!(requests.interleaved <= 501.0 / 300.0, "{requests}");
        let concurrent = (requests.concurrent_exchanges, requests.concurrent_tokens);
        assert_eq!(concurrent, (1, 1), "{requests}");
    }
}

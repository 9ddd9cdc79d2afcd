#[cfg(feature = "hyper")]
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use acr_clock::Clock;
use http::HeaderValue;
#[cfg(feature = "hyper")]
use http::Uri;

use super::ContainerRegistryClient;
use crate::audience::Audience;
use crate::auth::{Authorizer, Credential};
use crate::environment::Environment;
use crate::error::Error;
#[cfg(feature = "hyper")]
use crate::error::ErrorKind;
use crate::limiter::{Limiter, LimiterOptions};
use crate::pipeline::{Pipeline, Shared};
use crate::referrers::Kept;
use crate::retry::{RetryOptions, RetryPolicy};
use crate::sender::{MinRate, Sender};
#[cfg(feature = "hyper")]
use crate::transport::HyperTransportBuilder;
use crate::transport::Transport;
use crate::url::Endpoint;

/// Settings for a [`ContainerRegistryClient`].
///
/// ```
/// # use acr_client::transport::Transport;
/// # use acr_client::{Clock, ContainerRegistryClient, Credential};
/// # fn example(transport: impl Transport, clock: impl Clock) -> Result<(), acr_client::Error> {
/// let client = ContainerRegistryClient::builder("https://name.azurecr.io")
///     .credential(Credential::password("robot", "its password"))
///     .transport(transport)
///     .clock(clock)
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "settings are of no use until the client is built"]
#[doc(alias = "ContainerRegistryClientOptions")]
pub struct ClientBuilder {
    endpoint: String,
    credential: Credential,
    audience: Option<Audience>,
    /// `None`: the default one.
    transport: Option<Arc<dyn Transport>>,
    clock: Option<Arc<dyn Clock>>,
    idle_timeout: Duration,
    body_timeout: Duration,
    min_rate: Option<MinRate>,
    max_json_size: usize,
    retry: RetryOptions,
    limiter: Option<LimiterOptions>,
    assume_azure_auth: bool,
    application: Option<String>,
    danger_allow_http: bool,
    #[cfg(feature = "hyper")]
    hyper: HyperTransportBuilder,
}

impl ClientBuilder {
    /// Starts with the endpoint and credential that the environment names; the
    /// [crate's front page](crate#environment) lists the variables.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the endpoint is missing, or when
    /// variables for two kinds of credential are set; it names them.
    pub fn from_env() -> Result<Self, Error> {
        let environment = Environment::read()?;
        Ok(Self::new(environment.endpoint).credential(environment.credential))
    }

    pub(crate) fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            credential: Credential::anonymous(),
            audience: None,
            transport: None,
            clock: None,
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            min_rate: None,
            max_json_size: 8 << 20,
            retry: RetryOptions::default(),
            limiter: Some(LimiterOptions::default()),
            assume_azure_auth: true,
            application: None,
            danger_allow_http: false,
            #[cfg(feature = "hyper")]
            hyper: HyperTransportBuilder::default(),
        }
    }

    /// Sets who the client is. The default is [`Credential::anonymous`].
    pub fn credential(mut self, credential: Credential) -> Self {
        self.credential = credential;
        self
    }

    /// Sets whom Entra ID tokens are asked for. The default follows from the endpoint's host, see
    /// [`Audience`].
    pub fn audience(mut self, audience: impl Into<Audience>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sets what sends the requests. The default, with the feature `hyper`, is
    /// [`HyperTransport`](crate::transport). What is set last holds, this or `hyper`: a proxy or a root
    /// certificate belongs to the transport that it was set for.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Sets up the default transport, such as its root certificates and its proxy, and sends the
    /// requests by it.
    ///
    /// ```
    /// # use acr_client::{ContainerRegistryClient, Credential};
    /// # fn example(pem: &str) -> Result<(), acr_client::Error> {
    /// let client = ContainerRegistryClient::builder("https://name.example")
    ///     .hyper(|hyper| hyper.root_certificate_pem(pem).proxy("http://proxy:8080"))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "hyper")]
    #[doc(alias = "root_certificate_pem")]
    #[doc(alias = "proxy")]
    #[doc(alias = "connection_verify")]
    #[doc(alias = "proxies")]
    pub fn hyper(
        mut self,
        settings: impl FnOnce(HyperTransportBuilder) -> HyperTransportBuilder,
    ) -> Self {
        self.transport = None;
        self.hyper = settings(self.hyper);
        self
    }

    /// Sets where the client takes the time from: how long a token lives, when a server has fallen silent, when a
    /// retry is due. The default, with the feature `hyper`, is [`TokioClock`](crate::clock::TokioClock); without it
    /// there is none.
    ///
    /// A [`VirtualClock`](crate::clock::VirtualClock) that nobody moves never ends a wait; drive it, or turn the waits
    /// off by [`RetryOptions::none`] and `limiter(None)`.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Sets how long the server may be silent: until the head of a response, counted from when the
    /// last 64 KiB of the request were taken by the transport, and from one part of the response's body
    /// to the next. The default is 60 seconds.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets how long a body that is read whole may take, from when it is first waited for: JSON, a
    /// manifest. For each 64 KiB that have arrived it may take a second more. The default is 60 seconds.
    ///
    /// It ends a server that sends a byte now and then, which the idle timeout lets go on. The body of an
    /// error or of a token, which is a line or two, has one idle timeout for all of it. Blobs are streams,
    /// see [`min_stream_rate`](Self::min_stream_rate).
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// Sets the least rate at which a stream has to arrive: so many bytes per second, on average over each
    /// window of that length. It is a [`BlobStream`](crate::BlobStream), or the body of an
    /// [`authorized_request`](ContainerRegistryClient::authorized_request). The default is none: a stream
    /// may take any time, as long as it is not silent for longer than the idle timeout; so is a rate of 0.
    ///
    /// Time counts from when the program asks for more until it takes it, not while it does something else.
    /// One that asks, and then leaves the call alone for a while, as a `select!` whose other branch takes
    /// long, is taken for waiting; only of what is longer than the window that is not believed. A stream
    /// that is slower ends with [`Timeout`](crate::ErrorKind::Timeout); a blob is tried again as
    /// [`RetryOptions`](crate::RetryOptions) have it, but what has come too slowly is no progress.
    pub fn min_stream_rate(mut self, bytes_per_second: u64, window: Duration) -> Self {
        let rate = MinRate {
            bytes_per_second,
            window,
        };
        self.min_rate = (bytes_per_second > 0).then_some(rate);
        self
    }

    /// Sets the most bytes that a page of a list, or other JSON, may have. The default is 8 MiB.
    ///
    /// Manifests are bounded by 4 MiB, which no registry needs to exceed; blobs are not bounded.
    pub fn max_json_size(mut self, bytes: usize) -> Self {
        self.max_json_size = bytes;
        self
    }

    /// Sets how often, when and for how long failed attempts are repeated;
    /// [`RetryOptions::none`] repeats nothing.
    pub fn retry(mut self, options: RetryOptions) -> Self {
        self.retry = options;
        self
    }

    /// Sets how the client holds itself back, for each class of operations, by what the registry says
    /// and refuses. `None` lets every call go at once, for registries without limits or programs that
    /// have their own.
    pub fn limiter(mut self, options: impl Into<Option<LimiterOptions>>) -> Self {
        self.limiter = options.into();
        self
    }

    /// Sets whether what every Azure registry asks for is taken as known. The default is `true`.
    ///
    /// Registries at `*.azurecr.io`, `*.azurecr.cn` and `*.azurecr.us` all want a token for the
    /// operation's own scope, from their own `/oauth2/token`. Knowing that saves the first request,
    /// which would be refused. Any other registry is always asked, and one that never asks for a token
    /// costs no request for one.
    pub fn assume_azure_auth(mut self, known: bool) -> Self {
        self.assume_azure_auth = known;
        self
    }

    /// Names the application in the header `User-Agent`, before the client's own name.
    pub fn application(mut self, name: impl Into<String>) -> Self {
        self.application = Some(name.into());
        self
    }

    /// Allows credentials to be sent over plain `http`, where everybody on the way can read them.
    ///
    /// For a registry on this machine, in tests.
    pub fn danger_allow_http(mut self, allow: bool) -> Self {
        self.danger_allow_http = allow;
        self
    }

    /// Builds the client. Sends nothing and opens nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when a setting is malformed, when a secret has a
    /// control character in it, such as the line break at the end of a file, when a
    /// credential would go over plain `http`, when there is no transport or clock, or when the variable
    /// that names the proxy on the way to the endpoint is of no use.
    pub fn build(mut self) -> Result<ContainerRegistryClient, Error> {
        let endpoint = Endpoint::parse(&self.endpoint)?;
        if !endpoint.is_https() && !self.credential.is_anonymous() && !self.danger_allow_http {
            return Err(Error::invalid(format!(
                "the endpoint {endpoint} is plain http, over which a credential can be read by \
                 everybody; use https, or danger_allow_http for a test"
            )));
        }
        if self.idle_timeout.is_zero() {
            return Err(Error::invalid("`idle_timeout` must be more than zero"));
        }
        if self.body_timeout.is_zero() {
            return Err(Error::invalid(
                "the body timeout is zero; nothing could be read",
            ));
        }
        if self.min_rate.is_some_and(|rate| rate.window.is_zero()) {
            return Err(Error::invalid(
                "the window of the least rate is zero; no byte could arrive in it",
            ));
        }
        self.credential.check()?;
        let transport = self.take_transport(&endpoint)?;
        let clock = self.take_clock()?;
        let sender = Sender {
            transport,
            retry: RetryPolicy::new(self.retry.clone(), clock.clone()),
            limiter: Limiter::new(clock.clone(), self.limiter.clone()),
            clock,
            idle_timeout: self.idle_timeout,
            body_timeout: self.body_timeout,
            min_rate: self.min_rate,
            user_agent: self.user_agent()?,
        };
        let audience = self
            .audience
            .unwrap_or_else(|| Audience::of_host(endpoint.host()));
        let authorizer = Authorizer::new(
            sender.clone(),
            endpoint.clone(),
            self.credential,
            audience,
            self.assume_azure_auth,
        )?;
        Ok(ContainerRegistryClient::over(Pipeline::new(Shared {
            endpoint,
            sender,
            authorizer,
            max_json_size: self.max_json_size,
            kept_referrers: Kept::default(),
            largest_request: AtomicU64::new(u64::MAX),
        })))
    }

    #[cfg(feature = "hyper")]
    fn take_transport(&mut self, endpoint: &Endpoint) -> Result<Arc<dyn Transport>, Error> {
        if let Some(transport) = self.transport.take() {
            return Ok(transport);
        }
        let invalid = |error: Box<dyn StdError + Send + Sync>| {
            let what = "the default transport cannot be built";
            Error::of_foreign(ErrorKind::InvalidInput, what, error)
        };
        let transport = std::mem::take(&mut self.hyper).build();
        let transport = transport.map_err(|error| invalid(error.into()))?;
        let root = endpoint.absolute(&Uri::from_static("/v2/"))?;
        let reached = transport.check(&root);
        reached.map_err(|error| invalid(error.into()))?;
        Ok(Arc::new(transport))
    }

    #[cfg(not(feature = "hyper"))]
    fn take_transport(&mut self, _: &Endpoint) -> Result<Arc<dyn Transport>, Error> {
        self.transport.take().ok_or_else(|| {
            Error::invalid("there is no transport; set one, or turn on the feature `hyper`")
        })
    }

    #[cfg(feature = "hyper")]
    #[expect(clippy::unnecessary_wraps, reason = "fails without the feature")]
    fn take_clock(&mut self) -> Result<Arc<dyn Clock>, Error> {
        let clock = self.clock.take();
        Ok(clock.unwrap_or_else(|| Arc::new(acr_clock::TokioClock)))
    }

    #[cfg(not(feature = "hyper"))]
    fn take_clock(&mut self) -> Result<Arc<dyn Clock>, Error> {
        self.clock.take().ok_or_else(|| {
            Error::invalid("there is no clock; set one, or turn on the feature `hyper`")
        })
    }

    fn user_agent(&self) -> Result<HeaderValue, Error> {
        let own = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
        match &self.application {
            None => Ok(HeaderValue::from_static(own)),
            Some(name) => HeaderValue::try_from(format!("{name} {own}")).map_err(|_| {
                Error::invalid("the application's name holds what no header can hold")
            }),
        }
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = Endpoint::parse(&self.endpoint);
        f.debug_struct("ClientBuilder")
            // One that is malformed may hold a password.
            .field("endpoint", &endpoint.ok())
            .field("credential", &format_args!("{}", self.credential.kinds()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use acr_clock::VirtualClock;

    use super::*;
    use crate::error::ErrorKind;
    use crate::transport::{Body, from_fn};

    fn builder() -> ClientBuilder {
        ContainerRegistryClient::builder("https://r.example")
            .transport(from_fn(|_| async { http::Response::new(Body::empty()) }))
            .clock(VirtualClock::new())
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        assert_eq!(builder().build().unwrap().endpoint(), "https://r.example");
        for builder in [
            builder().idle_timeout(Duration::ZERO),
            builder().body_timeout(Duration::ZERO),
            builder().min_stream_rate(1, Duration::ZERO),
            builder().credential(Credential::chain([])),
            builder().application("two\nlines"),
            builder().credential(Credential::password("robot", "of a file\n")),
            ContainerRegistryClient::builder("https://r.example/v2"),
        ] {
            let error = builder.build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }

    #[test]
    fn the_application_stands_before_the_client_in_the_user_agent() {
        let agent = builder().application("tool/1").user_agent().unwrap();
        assert!(agent.to_str().unwrap().starts_with("tool/1 acr-client/"));
    }

    #[test]
    fn debug_shows_the_endpoint_and_the_kind_of_credential_alone() {
        let malformed = ContainerRegistryClient::builder("https://u:hunter2@r.example")
            .credential(Credential::password("robot", "hunter2"));
        assert!(!format!("{malformed:?}").contains("hunter2"));

        let credential = Credential::password("robot", "hunter2").or(Credential::anonymous());
        let client = builder().credential(credential).build().unwrap();
        let shown = "endpoint: https://r.example, credential: the password, anonymous access, .. }";
        assert_eq!(
            format!("{client:?}"),
            format!("ContainerRegistryClient {{ {shown}")
        );
        let app = client.repository_client("app").unwrap();
        assert_eq!(
            format!("{app:?}"),
            format!("RepositoryClient {{ name: \"app\", {shown}")
        );
    }

    #[cfg(not(feature = "hyper"))]
    #[test]
    fn without_a_default_a_transport_and_a_clock_are_asked_for() {
        let bare = || ContainerRegistryClient::builder("https://r.example");
        let error = bare().build().unwrap_err();
        assert!(error.to_string().contains("no transport"), "{error}");
        let transport = from_fn(|_| async { http::Response::new(Body::empty()) });
        let error = bare().transport(transport).build().unwrap_err();
        assert!(error.to_string().contains("no clock"), "{error}");
    }
}

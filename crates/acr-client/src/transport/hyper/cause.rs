//! What each failure on the way means: whether another try may help, and what to tell.

use std::error::Error as StdError;
use std::io;

use http::Uri;
use rustls::{AlertDescription as Alert, CertificateError, Error as Tls};

use super::rules::InvalidVariable;
use super::tunnel::{ProxyError, What};
use crate::error::cause::{chain, find};
use crate::error::transport::kind_within;
use crate::error::{decisive, is_transient};
use crate::transport::{TransportError, TransportErrorKind as Kind};

/// The error of a request that brought no response, or not all of it. `is_connect`: whether no
/// connection came to be; `place`: the host and port that were meant.
pub(super) fn told<E>(error: E, is_connect: bool, place: &str) -> TransportError
where
    E: StdError + Send + Sync + 'static,
{
    // What a body of the caller's has said stays as it is.
    let (kind, text) = match kind_within(&error) {
        Some(kind) => (kind, decisive(&error)),
        None if is_connect => of_connect(&error, place),
        None => of_exchange(&error),
    };
    TransportError::told(kind, text, error)
}

/// Host and port of a URL, as they are told.
pub(super) fn place(url: &Uri) -> String {
    let port = match url.scheme_str() {
        Some("http") => 80,
        _ => 443,
    };
    let host = url.host().unwrap_or_default();
    format!("{host}:{}", url.port_u16().unwrap_or(port))
}

/// No connection came to be.
///
/// | cause | another try |
/// |---|---|
/// | the name is not known, or the resolver does not respond | may help: names are new at times, and resolvers restart |
/// | refused, unreachable, reset, silent | may help |
/// | a certificate that is not trusted, no TLS at all, no common version or cipher | does not |
/// | an alert that says nothing about who or what the two are | may help |
/// | the proxy responds with 408, 429 or 5xx | may help |
/// | the proxy responds with anything else, such as 407 or 403, or no HTTP | does not |
/// | the variable that names the proxy is of no use | does not |
fn of_connect(error: &(dyn StdError + 'static), place: &str) -> (Kind, String) {
    if let Some(error) = find::<InvalidVariable>(error) {
        return (Kind::Refused, error.to_string());
    }
    if let Some(error) = find::<ProxyError>(error) {
        return of_proxy(error);
    }
    if let Some(error) = find::<Tls>(error) {
        return of_tls(error, place);
    }
    if chain(error).any(|error| error.to_string() == NO_NAME) {
        let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
        let text = format!(
            "the host name {host} cannot be resolved: {}",
            decisive(error)
        );
        return (Kind::Connect, text);
    }
    let what = match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => format!("{place} refuses the connection"),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            format!("{place} cannot be reached")
        }
        _ => format!("no connection to {place}"),
    };
    (Kind::Connect, format!("{what}: {}", decisive(error)))
}

/// No way through a proxy came to be.
fn of_proxy(error: &ProxyError) -> (Kind, String) {
    let (kind, cause) = match &error.what {
        What::Refused { status, .. } if is_transient(*status) => {
            return (Kind::Connect, error.to_string());
        }
        What::Refused { .. } | What::Talked => return (Kind::Refused, error.to_string()),
        What::Unreachable(cause) => {
            let place = error.proxy.split_once("://").map_or("", |(_, place)| place);
            of_connect(cause.as_ref(), place)
        }
        What::Broken(cause) => match of_exchange(cause.as_ref()) {
            (Kind::Unreadable, text) => (Kind::Refused, text),
            (_, text) => (Kind::Connect, text),
        },
    };
    (kind, format!("{error}: {cause}"))
}

/// The handshake failed: for what the server is, or on the way.
fn of_tls(error: &Tls, place: &str) -> (Kind, String) {
    let text = match error {
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("the certificate of {place} is that of another name ({error})"),
        Tls::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => format!(
            "the certificate of {place} has expired, or this machine's clock is wrong ({error})"
        ),
        Tls::InvalidCertificate(_) => format!(
            "the certificate of {place} is not trusted ({error}); where it should be, give its root \
             to HyperTransportBuilder::root_certificate_pem or name a file with it in SSL_CERT_FILE"
        ),
        Tls::InvalidMessage(_) => {
            format!("{place} does not speak TLS, but perhaps plain http ({error})")
        }
        Tls::AlertReceived(alert) if !is_final(*alert) => {
            return (
                Kind::Connect,
                format!("{place} broke the TLS handshake off: {error}"),
            );
        }
        Tls::DecryptError | Tls::FailedToGetCurrentTime | Tls::FailedToGetRandomBytes => {
            return (
                Kind::Connect,
                format!("the TLS handshake with {place} failed: {error}"),
            );
        }
        _ => format!("no TLS with {place}: {error}"),
    };
    (Kind::Untrusted, text)
}

/// Whether an alert is about what the two sides are, and not about what happened to them.
const fn is_final(alert: Alert) -> bool {
    !matches!(
        alert,
        Alert::CloseNotify
            | Alert::UnexpectedMessage
            | Alert::BadRecordMac
            | Alert::DecryptionFailed
            | Alert::RecordOverflow
            | Alert::DecryptError
            | Alert::InternalError
            | Alert::UserCanceled
    )
}

/// The request was begun and no response came, or not all of its body.
///
/// | cause | another try |
/// |---|---|
/// | hung up, reset, silent | may help |
/// | not HTTP, a head that is too large, chunks that are none | does not: it is another kind of server |
/// | the request itself | does not |
fn of_exchange(error: &(dyn StdError + 'static)) -> (Kind, String) {
    let root = decisive(error);
    let broke = |what: &str| (Kind::Interrupted, format!("the connection broke: {what}"));
    if let Some(error) = find::<hyper::Error>(error) {
        if error.is_timeout() {
            return (
                Kind::Timeout,
                format!("the server was silent for too long: {root}"),
            );
        }
        if error.to_string() == TOO_LARGE {
            let text = "the head of the response is too large to be read";
            return (Kind::Unreadable, text.to_owned());
        }
        if error.is_parse() || error.is_parse_status() {
            return (
                Kind::Unreadable,
                format!("the response is not HTTP: {root}"),
            );
        }
        if error.is_incomplete_message() {
            return broke("the server hung up before the end of the response");
        }
        if error.is_canceled() || error.is_closed() || error.is_body_write_aborted() {
            return broke(&root);
        }
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => (
            Kind::Timeout,
            format!("the server was silent for too long: {root}"),
        ),
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
            if find::<Tls>(error).is_none() =>
        {
            (
                Kind::Unreadable,
                format!("the body of the response is not HTTP: {root}"),
            )
        }
        Some(_) => broke(&root),
        None => (
            Kind::Other,
            format!("the request could not be sent: {root}"),
        ),
    }
}

/// What hyper's connector says where no address came of a name.
const NO_NAME: &str = "dns error";
/// What hyper says of a head that it does not read any further.
const TOO_LARGE: &str = "message head is too large";

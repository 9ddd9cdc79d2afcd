//! Arguments and environment of the binary.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use acr_mock::protocol::ScopeSet;
use acr_mock::{EnvironmentOptions, Profile, RegistryName, SignIn};
use clap::builder::{PossibleValuesParser, Resettable, TypedValueParser as _};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser};

use crate::log::Level;

/// What the program is to do, checked.
pub(crate) struct Settings {
    /// As they are given; the lists are read below.
    pub(crate) args: Args,
    pub(crate) hosts: Vec<String>,
    pub(crate) registry: Option<RegistryName>,
    /// None: the registry's own.
    pub(crate) users: Vec<User>,
    pub(crate) entra_tokens: Vec<EntraToken>,
}

pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: String,
}

pub(crate) struct EntraToken {
    pub(crate) token: String,
    pub(crate) permissions: ScopeSet,
}

/// What the program was started for.
pub(crate) enum Work {
    /// Serving until a signal.
    Serve(Box<Settings>),
    /// Running a command beside a mock.
    Run(Box<Run>),
    /// Asking a mock whether it is there.
    Healthcheck(Option<String>),
}

/// A command, and the mock that it is run beside.
pub(crate) struct Run {
    pub(crate) settings: Settings,
    pub(crate) environment: EnvironmentOptions,
    pub(crate) summary: bool,
    pub(crate) command: Vec<OsString>,
}

/// Reads arguments and environment; the error is an exit code, and everything is said already.
pub(crate) fn parse() -> Result<Work, ExitCode> {
    let mut command = command();
    let work = command
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches))
        .and_then(|cli| work(cli).map_err(|(kind, text)| command.error(kind, text)));
    work.map_err(|error| {
        let usage = error.use_stderr();
        // A closed stdout or stderr changes nothing about the exit code.
        let _ = without_stray_values(error).print();
        if usage {
            ExitCode::from(USAGE)
        } else {
            ExitCode::SUCCESS
        }
    })
}

/// The exit code of bad usage.
pub(crate) const USAGE: u8 = 2;

/// An in-memory Azure Container Registry for tests (unofficial).
///
/// When it is ready, one line of JSON on stdout says where it listens, which CA to trust and how to log in. It ends
/// with SIGINT, SIGTERM or, if asked to, with the end of stdin.
#[derive(Parser)]
#[command(name = "acr-mock", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Subcommand>,
    #[command(flatten)]
    args: Args,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// Run a command beside a mock, which ends with it, with variables that lead its Azure SDKs to the mock.
    ///
    /// It ends with the exit code of the command, 128 and more after a signal, 126 or 127 where the command cannot be
    /// started, 125 where the mock cannot, 2 on bad usage. stdout belongs to the command alone.
    Run(Box<RunArgs>),
    /// Ask a mock whether it is there: 0 within two seconds where it is, else 1.
    Healthcheck {
        /// Its registry or its local port [default: that of ACR_MOCK_CONTROL, else of ACR_MOCK_ENDPOINT].
        #[arg(value_name = "URL")]
        url: Option<String>,
    },
}

#[derive(clap::Args)]
struct RunArgs {
    /// Sign the command in as this.
    ///
    /// The variables of all others are taken out of its environment, so that no real secret leaves the machine. With
    /// `none` nothing about identities is changed.
    #[arg(
        long,
        value_name = "WHO",
        env = "ACR_MOCK_IDENTITY",
        default_value = SignIn::ManagedIdentity.as_str(),
        value_parser = PossibleValuesParser::new(SignIn::ALL.map(SignIn::as_str)).try_map(|word| word.parse::<SignIn>())
    )]
    identity: SignIn,

    /// Give container tools a login, in a configuration of docker and podman that has this one alone.
    #[arg(long, env = "ACR_MOCK_DOCKER_LOGIN", action = ArgAction::SetTrue, value_parser = parse_switch)]
    docker_login: bool,

    /// Say at the end, on stderr, how many requests there were of each kind.
    #[arg(long, env = "ACR_MOCK_SUMMARY", action = ArgAction::SetTrue, value_parser = parse_switch)]
    summary: bool,

    #[command(flatten)]
    args: Args,

    /// The command and its arguments, behind `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Options of the mock.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Listen at this IP address and port; port 0 takes a free one.
    ///
    /// The data origin takes a free port of its own. A wildcard address is reported as 127.0.0.1. An address that other
    /// machines can reach needs --user, --entra-token or --host, and no Entra token is taken there that is not named.
    #[arg(
        long,
        value_name = "ADDR",
        env = "ACR_MOCK_LISTEN",
        default_value = "127.0.0.1:0"
    )]
    pub(crate) listen: SocketAddr,

    /// Serve the local port at this loopback address, or not at all with `off`.
    ///
    /// It speaks plain http and has the endpoints of managed identities: IDENTITY_ENDPOINT and IDENTITY_HEADER of the
    /// ready line make DefaultAzureCredential of every language sign in here.
    #[arg(
        long,
        value_name = "ADDR|off",
        env = "ACR_MOCK_CONTROL_LISTEN",
        default_value = "127.0.0.1:0",
        value_parser = parse_address
    )]
    pub(crate) control: Address,

    /// Serve the authority of a fake Entra ID at this address, or not at all with `off`.
    ///
    /// It speaks https, so there is none with --plain-http.
    #[arg(
        long,
        value_name = "ADDR|off",
        env = "ACR_MOCK_AUTHORITY_LISTEN",
        default_value = "127.0.0.1:0",
        value_parser = parse_address
    )]
    pub(crate) authority: Address,

    /// Speak plain http instead of https (most SDKs refuse it).
    #[arg(long, env = "ACR_MOCK_PLAIN_HTTP", action = ArgAction::SetTrue, value_parser = parse_switch)]
    pub(crate) plain_http: bool,

    /// Put a further host name into the certificate, such as a compose service; repeatable.
    ///
    /// With --plain-http it is a name that clients may come by, beside localhost and addresses; others are refused (421).
    /// Give two of them to clients elsewhere: who comes by one is redirected to the other for data.
    #[arg(long = "host", value_name = "NAME", env = "ACR_MOCK_HOST")]
    hosts: Vec<String>,

    /// Serve the registry by its production name too, NAME or NAME.azurecr.io, .azurecr.cn or .azurecr.us.
    ///
    /// Clients come by it through the proxy at the local port (HTTPS_PROXY), which knows this name, the data origin's and
    /// Entra's login hosts, and passes nothing on. One such name so far.
    #[arg(long = "registry", value_name = "NAME", env = "ACR_MOCK_REGISTRY")]
    registries: Vec<String>,

    /// Write the CA's certificate (PEM) to this file, and leave it there [default: a temporary file].
    #[arg(long, value_name = "FILE", env = "ACR_MOCK_CA_OUT")]
    pub(crate) ca_out: Option<PathBuf>,

    /// Write the ready line to this file too; it appears complete, by a rename.
    #[arg(long, value_name = "FILE", env = "ACR_MOCK_READY_FILE")]
    pub(crate) ready_file: Option<PathBuf>,

    /// Let this user in; repeatable [default: the user `mock` with a random password].
    ///
    /// The ready line names the first user. In the environment the password is better hidden than among the arguments.
    // Text, and checked later: the error of a value parser would print the value.
    #[arg(
        long = "user",
        value_name = "NAME:PASSWORD",
        env = "ACR_MOCK_USER",
        hide_env_values = true
    )]
    users: Vec<String>,

    /// Take this Entra token, for these scopes or for everything, and no other; repeatable.
    ///
    /// SCOPES are separated by blanks, such as `repository:samples/app:pull,push registry:catalog:*`. The token ends at
    /// the first colon.
    // Text, and checked later, as above.
    #[arg(
        long = "entra-token",
        value_name = "TOKEN[:SCOPES]",
        env = "ACR_MOCK_ENTRA_TOKEN",
        hide_env_values = true
    )]
    entra_tokens: Vec<String>,

    /// Take no Entra token but those of --entra-token.
    ///
    /// Without it, and without --entra-token, every token is taken that is not empty, but only at a loopback address.
    #[arg(long, env = "ACR_MOCK_REFUSE_ENTRA_TOKENS", action = ArgAction::SetTrue, value_parser = parse_switch)]
    pub(crate) refuse_entra_tokens: bool,

    /// Take every Entra token that is not empty, for everything, also beyond loopback.
    #[arg(long, env = "ACR_MOCK_ACCEPT_ANY_ENTRA_TOKEN", action = ArgAction::SetTrue, value_parser = parse_switch)]
    pub(crate) accept_any_entra_token: bool,

    /// Follow these rules where the service and the OCI specification differ.
    ///
    /// `acr` is the service as it is recorded: blobs come by a redirect, manifests are deleted by digest alone, and
    /// what they name must be there. `oci` does all that the OCI conformance suite asks for.
    #[arg(
        long,
        value_name = "PROFILE",
        env = "ACR_MOCK_PROFILE",
        default_value = Profile::default().as_str(),
        value_parser = PossibleValuesParser::new(PROFILES).try_map(|name| name.parse::<Profile>())
    )]
    pub(crate) profile: Profile,

    /// Let everyone pull, without a login.
    #[arg(long, env = "ACR_MOCK_ANONYMOUS_PULL", action = ArgAction::SetTrue, value_parser = parse_switch)]
    pub(crate) anonymous_pull: bool,

    /// Hold at most so many bytes of content; a push beyond it is refused as by a registry that is full (405).
    #[arg(long, value_name = "BYTES", env = "ACR_MOCK_MAX_BYTES")]
    pub(crate) max_bytes: Option<u64>,

    /// Close a connection whose TLS handshake or whose request's head takes longer.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "ACR_MOCK_HEAD_TIMEOUT",
        default_value = "30",
        value_parser = parse_seconds
    )]
    pub(crate) head_timeout: Duration,

    /// Close a connection whose request's body is silent for longer, or whose client takes no byte of a response.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "ACR_MOCK_BODY_TIMEOUT",
        default_value = "60",
        value_parser = parse_seconds
    )]
    pub(crate) body_timeout: Duration,

    /// Close a connection that has no request for longer.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "ACR_MOCK_IDLE_TIMEOUT",
        default_value = "300",
        value_parser = parse_seconds
    )]
    pub(crate) idle_timeout: Duration,

    /// Serve requests on so many threads, to use more cores than one.
    #[arg(long, value_name = "N", env = "ACR_MOCK_WORKERS", default_value = "1")]
    pub(crate) workers: NonZeroUsize,

    /// End when stdin is closed, so that no mock outlives the program that started it.
    #[arg(long, env = "ACR_MOCK_EXIT_ON_STDIN_CLOSE", action = ArgAction::SetTrue, value_parser = parse_switch)]
    pub(crate) exit_on_stdin_close: bool,

    /// Say this much on stderr; `info` has a line for each request.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "ACR_MOCK_LOG",
        default_value = "info",
        ignore_case = true
    )]
    pub(crate) log: Level,
}

const PROFILES: [&str; 2] = [Profile::Acr.as_str(), Profile::Oci.as_str()];

const AFTER_HELP: &str = "\
Each option may be given as an environment variable too; switches take 1 or true (0 or false is off), repeatable \
options take a list separated by newlines. An empty variable counts as none.

Exit codes: 0 after a signal or the end of stdin, 2 on bad usage, 1 otherwise.";

fn command() -> clap::Command {
    let command = without_empty_variables(Cli::command());
    // stderr is the command's too.
    command.mut_subcommand("run", |run| {
        without_empty_variables(run).mut_arg("log", |arg| arg.default_value("warn"))
    })
}

/// Compose files and CI systems set a variable to nothing where they mean none.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| {
        let empty = arg
            .get_env()
            .and_then(std::env::var_os)
            .is_some_and(|value| value.is_empty());
        if empty {
            arg.env(Resettable::Reset)
        } else {
            arg
        }
    })
}

fn parse_switch(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err("a switch is 1 or true, 0 or false"),
    }
}

/// Where to listen, if anywhere.
#[derive(Clone, Copy)]
pub(crate) struct Address(pub(crate) Option<SocketAddr>);

fn parse_address(text: &str) -> Result<Address, &'static str> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(Address(None));
    }
    let address = text.parse().ok();
    address
        .map(|address| Address(Some(address)))
        .ok_or("it is an IP address with a port, such as 127.0.0.1:0, or `off`")
}

fn parse_seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().filter(|&seconds| seconds > 0);
    seconds
        .map(Duration::from_secs)
        .ok_or("a time is a whole number of seconds, from 1 on")
}

type Usage = (ErrorKind, String);

fn work(cli: Cli) -> Result<Work, Usage> {
    Ok(match cli.command {
        None => Work::Serve(Box::new(settings(cli.args)?)),
        Some(Subcommand::Healthcheck { url }) => Work::Healthcheck(url),
        Some(Subcommand::Run(run)) => {
            let environment = EnvironmentOptions {
                sign_in: run.identity,
                docker_login: run.docker_login,
            };
            Work::Run(Box::new(Run {
                settings: settings(run.args)?,
                environment,
                summary: run.summary,
                command: run.command,
            }))
        }
    })
}

fn settings(mut args: Args) -> Result<Settings, Usage> {
    let invalid = |text: &str| Err((ErrorKind::ValueValidation, text.to_owned()));
    let hosts: Vec<String> = list(&args.hosts)
        .map(|host| host.trim().to_owned())
        .collect();
    let users = list(&args.users)
        .map(parse_user)
        .collect::<Result<Vec<_>, _>>()?;
    let names: BTreeSet<&str> = users.iter().map(|user| user.name.as_str()).collect();
    if names.len() < users.len() {
        return invalid("--user: the same name is given twice");
    }
    let entra_tokens = list(&args.entra_tokens)
        .map(parse_entra_token)
        .collect::<Result<Vec<_>, _>>()?;
    let names: BTreeSet<&str> = entra_tokens.iter().map(|one| one.token.as_str()).collect();
    if names.len() < entra_tokens.len() {
        return invalid("--entra-token: the same token is given twice");
    }
    if args.accept_any_entra_token && args.refuse_entra_tokens {
        return invalid(
            "--accept-any-entra-token: it cannot be given together with --refuse-entra-tokens",
        );
    }
    let is_guarded = !hosts.is_empty()
        || !users.is_empty()
        || !entra_tokens.is_empty()
        || args.accept_any_entra_token;
    if !args.listen.ip().to_canonical().is_loopback() && !is_guarded {
        let ip = args.listen.ip();
        return invalid(&format!("--listen: {ip} {UNGUARDED}"));
    }
    let registry = registry(&args)?;
    args.ca_out = absolute("--ca-out", args.ca_out)?;
    args.ready_file = absolute("--ready-file", args.ready_file)?;
    Ok(Settings {
        args,
        hosts,
        registry,
        users,
        entra_tokens,
    })
}

/// The production name, checked before anything starts.
fn registry(args: &Args) -> Result<Option<RegistryName>, Usage> {
    let invalid = |text: String| (ErrorKind::ValueValidation, format!("--registry: {text}"));
    let names = list(&args.registries)
        .map(|name| match name.trim().parse::<RegistryName>() {
            Ok(parsed) => Ok(parsed),
            Err(error) => Err(invalid(format!("`{name}`: {error}"))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let problem = match names.as_slice() {
        [] => return Ok(None),
        [one, another, ..] if one == another => "the same name is given twice",
        [_, _, ..] => "one registry is served so far; start a mock for each",
        [_] if args.plain_http => "it needs https, so not --plain-http",
        [_] if args.control.0.is_none() => "it needs the local port, so not --control off",
        [_] => return Ok(names.into_iter().next()),
    };
    Err(invalid(problem.to_owned()))
}

const UNGUARDED: &str = "can be reached from other machines, and nothing protects the registry; say who may come with \
    --user NAME:PASSWORD or --entra-token TOKEN[:SCOPES], or by which name clients come with --host NAME (then only who \
    has read the password in the ready line may come), or let everybody in with --accept-any-entra-token";

/// The elements of a repeatable option: each occurrence is one, or several separated by newlines.
fn list(values: &[String]) -> impl Iterator<Item = &str> {
    values.iter().flat_map(|value| {
        let many = value.contains('\n');
        value
            .split('\n')
            .map(|line| line.trim_end_matches('\r'))
            .filter(move |line| !(many && line.is_empty()))
    })
}

/// The errors name no value: it may be the password.
fn parse_user(text: &str) -> Result<User, Usage> {
    let problem = match text.split_once(':') {
        None => "it is NAME:PASSWORD, and a colon is missing",
        Some(("", _)) => "the name is empty",
        Some((_, "")) => "the password is empty",
        Some((name, password)) => {
            return Ok(User {
                name: name.to_owned(),
                password: password.to_owned(),
            });
        }
    };
    Err((ErrorKind::ValueValidation, format!("--user: {problem}")))
}

fn parse_entra_token(text: &str) -> Result<EntraToken, Usage> {
    let (token, scopes) = text.split_once(':').unwrap_or((text, EVERYTHING));
    let problem = if token.is_empty() {
        "the token is empty"
    } else if let Some(permissions) = scopes.parse::<ScopeSet>().ok().filter(|s| !s.is_empty()) {
        return Ok(EntraToken {
            token: token.to_owned(),
            permissions,
        });
    } else {
        "it is TOKEN or TOKEN:SCOPES, and what follows the first colon is not a valid list of scopes such as \
         `repository:samples/app:pull,push registry:catalog:*`"
    };
    Err((
        ErrorKind::ValueValidation,
        format!("--entra-token: {problem}"),
    ))
}

const EVERYTHING: &str = "repository:*:* registry:catalog:*";

/// The path that the ready line names: whoever reads it may be in another folder.
fn absolute(option: &str, path: Option<PathBuf>) -> Result<Option<PathBuf>, Usage> {
    let Some(path) = path else { return Ok(None) };
    let absolute = std::path::absolute(path)
        .map_err(|error| (ErrorKind::ValueValidation, format!("{option}: {error}")))?;
    if absolute.to_str().is_none() {
        return Err((
            ErrorKind::InvalidUtf8,
            format!("{option}: the path is not UTF-8, and the ready line is JSON"),
        ));
    }
    Ok(Some(absolute))
}

/// A stray word may be half of a `NAME:PASSWORD` that was quoted wrongly, so it is not repeated.
fn without_stray_values(error: clap::Error) -> clap::Error {
    let stray = matches!(
        error.get(ContextKind::InvalidArg),
        Some(ContextValue::String(argument)) if !argument.starts_with('-')
    );
    let is_argument = error.kind() == ErrorKind::UnknownArgument && stray;
    if is_argument || error.kind() == ErrorKind::InvalidSubcommand {
        return command().error(
            ErrorKind::UnknownArgument,
            "unexpected argument: the program takes options, or one of its commands; what is run stands behind `--`",
        );
    }
    error
}

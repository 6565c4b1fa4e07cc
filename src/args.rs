//! Flags and environment of the program. Nothing else reads the environment.

pub mod policy;

use std::{ffi::OsString, path::PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::cards::fetch::ConnectTo;

/// Image of the operator, of this very version.
pub const IMAGE: &str = concat!("ghcr.io/inference-gateway/igw:", env!("CARGO_PKG_VERSION"));
/// Namespace of the operator: the one of the Go operator.
pub const NAMESPACE: &str = "inference-gateway-system";

/// Kubernetes operator for inference gateways.
///
/// Without a command it runs the operator, with every flag of `igw run`.
#[derive(Debug, Parser)]
#[command(
    name = "igw",
    version,
    args_conflicts_with_subcommands = true,
    args_override_self = true,
    subcommand_negates_reqs = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `igw run`.
    #[command(flatten)]
    pub run: Run,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator (the default).
    #[command(args_override_self = true)]
    Run(Box<Run>),
    /// Print the objects that custom resources become, without a cluster.
    Render(Render),
    /// Show what applying custom resources would change, field by field. Exit status 1 when something would.
    Diff(Diff),
    /// Print everything that a cluster needs to run the operator: namespace, definitions, rights and Deployment.
    Install(Install),
    /// Build policy modules, look at them, run them, and pack them for the cluster.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// The operator's child that compiles one module.
    #[command(hide = true)]
    PolicyCompile,
    /// The operator's child that runs modules.
    #[command(hide = true)]
    PolicyEvaluate,
    /// Print the custom resource definitions.
    Crds,
    /// Print the role that the operator needs, generated from the kinds it makes.
    Rbac(policy::AddedKinds),
    /// Print the reference of every field, as Markdown.
    Reference,
    /// Print a shell completion script.
    Completions {
        /// Shell to complete in.
        shell: clap_complete::Shell,
    },
}

/// How to reach the API server.
#[derive(Debug, Clone, Default, Args)]
pub struct Connection {
    /// Kubeconfig file; the one of kubectl, or the pod's ServiceAccount, when absent.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// Flags of the operator.
#[derive(Debug, Args)]
pub struct Run {
    /// How to reach the API server.
    #[command(flatten)]
    pub connection: Connection,
    /// Look after custom resources only in namespaces with matching labels, for example team=a,tier in (x,y). All when
    /// empty. Labels that come later count.
    #[arg(
        long,
        value_name = "SELECTOR",
        env = "WATCH_NAMESPACE_SELECTOR",
        default_value = "",
        hide_default_value = true
    )]
    pub watch_namespace_selector: String,
    /// Address for Prometheus metrics at /metrics; 0 switches it off.
    #[arg(long, value_name = "ADDRESS", default_value = ":9090")]
    pub metrics_bind_address: Bind,
    /// Address for /healthz and /readyz; 0 switches it off.
    #[arg(long, value_name = "ADDRESS", default_value = ":8081")]
    pub health_probe_bind_address: Bind,
    /// Custom resources of one kind that are worked on at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    /// Connect to HOST2:PORT2 instead of HOST1:PORT1 when an agent is asked for its card, as curl does; empty means any.
    /// For an operator outside the cluster. May be repeated.
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2")]
    pub agent_connect_to: Vec<ConnectTo>,
    /// File with certificates in PEM form. With it the certificates of agents that speak TLS are verified when they are asked
    /// for their cards; without, they are not, as in a kubelet's probe.
    #[arg(long, value_name = "FILE")]
    pub agent_ca_file: Option<PathBuf>,
    /// Policies.
    #[command(flatten, next_help_heading = "Policies")]
    pub policies: policy::Operator,
    /// What to log: a level, or a filter such as info,igw=debug.
    #[arg(long, value_name = "FILTER", env = "IGW_LOG")]
    pub log: Option<String>,
    /// How to write logs.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Flags of the Go operator.
    #[command(flatten, next_help_heading = "Flags of the Go operator")]
    pub go: GoFlags,
}

/// As Go's strconv.ParseBool reads it.
fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// How to write logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Flags that the Go operator takes, so that an args list written for it starts this one.
#[derive(Debug, Args)]
pub struct GoFlags {
    /// Accepted; one replica is to run, with strategy Recreate as in the manifests.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = go_bool, hide_default_value = true, hide_possible_values = true, require_equals = true)]
    pub leader_elect: bool,
    /// Accepted with a warning: metrics are served without TLS.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = go_bool, hide = true, require_equals = true)]
    pub metrics_secure: bool,
    /// Accepted without effect.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = go_bool, hide = true, require_equals = true)]
    pub enable_http2: bool,
    /// Accepted without effect: there are no webhooks.
    #[arg(long, hide = true, value_name = "PATH")]
    pub webhook_cert_path: Option<String>,
    /// Accepted without effect: there are no webhooks.
    #[arg(long, hide = true, value_name = "NAME")]
    pub webhook_cert_name: Option<String>,
    /// Accepted without effect: there are no webhooks.
    #[arg(long, hide = true, value_name = "NAME")]
    pub webhook_cert_key: Option<String>,
    /// Accepted without effect: metrics are served without TLS.
    #[arg(long, hide = true, value_name = "PATH")]
    pub metrics_cert_path: Option<String>,
    /// Accepted without effect: metrics are served without TLS.
    #[arg(long, hide = true, value_name = "NAME")]
    pub metrics_cert_name: Option<String>,
    /// Accepted without effect: metrics are served without TLS.
    #[arg(long, hide = true, value_name = "NAME")]
    pub metrics_cert_key: Option<String>,
    /// Logs for development: text, from level debug.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = go_bool, hide = true, require_equals = true)]
    pub zap_devel: bool,
    /// Log encoding: json or console.
    #[arg(long, hide = true, value_name = "ENCODER")]
    pub zap_encoder: Option<String>,
    /// Log level: debug, info, error, panic or a number (1 is debug).
    #[arg(long, hide = true, value_name = "LEVEL")]
    pub zap_log_level: Option<String>,
    /// Accepted without effect.
    #[arg(long, hide = true, value_name = "LEVEL")]
    pub zap_stacktrace_level: Option<String>,
    /// Accepted without effect: times are RFC 3339.
    #[arg(long, hide = true, value_name = "ENCODING")]
    pub zap_time_encoding: Option<String>,
}

/// Flags of `igw render`.
#[derive(Debug, Args)]
pub struct Render {
    /// Files with custom resources and the ConfigMaps they name; - is standard input, a folder means its YAML files.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Namespace of custom resources that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Yaml)]
    pub output: Output,
}

/// Flags of `igw diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// Files with custom resources; - is standard input, a folder means its YAML files.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Namespace of custom resources that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Ask no server: compare with the objects in --live.
    #[arg(long)]
    pub offline: bool,
    /// Files with live objects, as kubectl get -o yaml prints them (with --offline).
    #[arg(long, value_name = "FILE", requires = "offline")]
    pub live: Vec<PathBuf>,
    /// Show literal values of environment variables.
    #[arg(long)]
    pub show_values: bool,
    /// How to reach the API server.
    #[command(flatten)]
    pub connection: Connection,
}

/// Flags of `igw install`.
#[derive(Debug, Args)]
pub struct Install {
    /// Image of the operator.
    #[arg(long, value_name = "IMAGE", default_value = IMAGE, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub image: String,
    /// Namespace to run it in.
    #[arg(short, long, value_name = "NAME", default_value = NAMESPACE, value_parser = namespace)]
    pub namespace: String,
    /// Kinds of objects that policies may be granted to add.
    #[command(flatten)]
    pub added: policy::AddedKinds,
}

/// As the API server takes the name of a namespace.
fn namespace(text: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = !text.starts_with('-') && !text.ends_with('-');
    if (1..=63).contains(&text.len()) && text.chars().all(inside) && ends {
        return Ok(text.to_owned());
    }
    Err("a namespace has 1 to 63 lower case letters, digits and dashes, and no dash at its ends".into())
}

/// How to print objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// YAML documents.
    Yaml,
    /// A JSON list.
    Json,
}

/// Where to listen, or nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind(pub Option<String>);

impl std::str::FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "0" || text.is_empty() {
            return Ok(Self(None));
        }
        let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        match port {
            Some(Ok(_)) => Ok(Self(Some(text.to_owned()))),
            _ => Err(format!("{text:?} is no address: write HOST:PORT, :PORT or 0")),
        }
    }
}

impl Run {
    /// The log filter, from our flag or the Go operator's.
    #[must_use]
    pub fn log_filter(&self) -> String {
        if let Some(filter) = &self.log {
            return filter.clone();
        }
        let own = match self.go.zap_log_level.as_deref() {
            Some("debug") => "debug",
            Some("error" | "dpanic" | "panic" | "fatal") => "error",
            Some(number) if number.parse::<u8>().is_ok_and(|level| level > 0) => "debug",
            None if self.go.zap_devel => "debug",
            _ => "info",
        };
        // The libraries' own lines are for their authors.
        format!("warn,igw={own}")
    }

    /// Whether to log JSON.
    #[must_use]
    pub fn log_json(&self) -> bool {
        match (self.log_format, self.go.zap_encoder.as_deref()) {
            (Some(format), _) => format == LogFormat::Json,
            (None, encoder) => encoder == Some("json"),
        }
    }
}

/// Turns the single dash that Go's flag package takes into two, for long names only.
pub fn with_two_dashes(args: impl IntoIterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    const GO: &[&str] = &["metrics-", "health-", "leader-", "webhook-", "enable-", "zap-", "kubeconfig"];
    args.into_iter().map(|arg| match arg.to_str().and_then(|text| text.strip_prefix('-')) {
        Some(name) if GO.iter().any(|go| name.starts_with(go)) => OsString::from(format!("--{name}")),
        _ => arg,
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::{Bind, Cli, Command, with_two_dashes};
    use crate::object::ChildKind;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(with_two_dashes(args.iter().map(Into::into)))
    }

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn args_written_for_the_go_operator_start_this_one() {
        // The args of its install manifest, and every other flag it has.
        let args = [
            "igw",
            "--leader-elect",
            "--health-probe-bind-address=:8081",
            "--metrics-bind-address=:9090",
            "--zap-encoder=json",
            "--zap-log-level=info",
            "--metrics-secure=false",
            "--webhook-cert-path=/certs",
            "--webhook-cert-name=tls.crt",
            "--webhook-cert-key=tls.key",
            "--metrics-cert-path=/m",
            "--metrics-cert-name=tls.crt",
            "--metrics-cert-key=tls.key",
            "--enable-http2=false",
            "--zap-devel=true",
            "--zap-stacktrace-level=error",
            "--zap-time-encoding=iso8601",
            "-leader-elect=T",
        ];
        // The last one repeats the first, with one dash and in Go's own words; Go takes the last.
        let cli = parse(&args).unwrap_or_else(|error| panic!("{error}"));
        assert!(cli.run.go.leader_elect && cli.run.log_json());
        assert_eq!(cli.run.log_filter(), "warn,igw=info");
        let one_dash = parse(&["igw", "-leader-elect=true", "-metrics-bind-address", "0"]);
        assert_eq!(one_dash.unwrap_or_else(|error| panic!("{error}")).run.metrics_bind_address, Bind(None));
        assert!(matches!(parse(&["igw", "run", "--leader-elect"]).map(|cli| cli.command), Ok(Some(Command::Run(_)))));
    }

    #[test]
    fn kinds_that_policies_may_add_are_those_that_have_a_rule() {
        let args = ["igw", "run", "--policy-added-kinds=NetworkPolicy.networking.k8s.io,ConfigMap,ConfigMap"];
        let Some(Command::Run(run)) = parse(&args).unwrap_or_else(|error| panic!("{error}")).command else {
            panic!("the command is run");
        };
        let kinds = [ChildKind::ConfigMap, ChildKind::NetworkPolicy];
        assert!(run.policies.added.kinds().into_iter().eq(kinds), "{:?}", run.policies.added);
        for command in ["run", "rbac", "install"] {
            for wrong in ["Secret", "Deployment.apps", "NetworkPolicy", "ConfigMap.x"] {
                let error = parse(&["igw", command, "--policy-added-kinds", wrong]).expect_err(wrong).to_string();
                let possible = ["ConfigMap,", "NetworkPolicy.networking.k8s.io", "PodMonitor.monitoring.coreos.com"];
                assert!(possible.iter().all(|kind| error.contains(kind)), "{error}");
            }
        }
    }

    #[test]
    fn addresses_read_as_go_reads_them() {
        let read = |text: &str| text.parse::<Bind>().map(|bind| bind.0);
        assert_eq!(read(":9090"), Ok(Some(":9090".into())));
        assert_eq!(read("127.0.0.1:1"), Ok(Some("127.0.0.1:1".into())));
        assert_eq!(read("0"), Ok(None));
        assert!(read("9090x").is_err());
    }
}

//! Flags of `igw policy`.

use std::{collections::BTreeSet, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::{NAMESPACE, namespace};
use crate::{object::ChildKind, policy::paths::added};

/// Flags of the operator that are about policies.
#[derive(Debug, Clone, Args)]
pub struct Operator {
    /// What to do with policies.
    #[arg(long, value_enum, value_name = "MODE", default_value_t = Policies::Enforce)]
    pub policies: Policies,
    /// Run WasmPolicies too, which the users of a namespace can make for it.
    #[arg(long)]
    pub namespaced_policies: bool,
    /// Run WasmPolicies also where no admission rule checks what their authors may do.
    #[arg(long, requires = "namespaced_policies")]
    pub without_admission_rule: bool,
    /// Kinds of objects that policies may be granted to add.
    #[command(flatten)]
    pub added: AddedKinds,
    /// Namespace, besides the operator's own, whose ConfigMaps may hold modules of ClusterWasmPolicies; may be repeated.
    #[arg(long = "policy-module-namespaces", value_name = "NAME", value_delimiter = ',', value_parser = namespace)]
    pub module_namespaces: Vec<String>,
    /// Name of this operator: it runs the policies whose spec.operator says so.
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = namespace)]
    pub operator_name: String,
    /// Namespace that the operator runs in. No policy ever matches a custom resource there.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = NAMESPACE, value_parser = namespace)]
    pub operator_namespace: String,
}

/// The flag that says which kinds of objects policies may be granted to add.
#[derive(Debug, Clone, Default, Args)]
pub struct AddedKinds {
    /// Kind of objects that policies may be granted to add, for example PeerAuthentication.security.istio.io; may be
    /// repeated. The operator needs rights to such objects: igw rbac with the same flag prints them.
    #[arg(long = "policy-added-kinds", value_name = "KIND.GROUP", value_delimiter = ',', value_parser = added_kind)]
    kinds: Vec<ChildKind>,
}

impl AddedKinds {
    /// Each of them once.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<ChildKind> {
        self.kinds.iter().copied().collect()
    }
}

/// What the operator does with policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Policies {
    /// Run them.
    #[default]
    Enforce,
    /// Run none, and leave every custom resource that one matches as it is.
    Hold,
    /// Run none, and make objects as if there were none. Takes away what policies have added.
    Off,
}

/// What can be done with policy modules.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Build the module of a policy crate: compile it for WebAssembly, make a component of it, and write into it what
    /// policy.yaml and settings.schema.json say of it.
    Build(Build),
    /// Show what a module is: name, version, digest, imports, settings, wanted kinds, and what compiling it costs.
    Inspect(Inspect),
    /// Run a module on the objects that custom resources become, without a cluster: objects on standard output, what
    /// changed and what the module logged on standard error.
    Run(Run),
    /// Print what applies a module: a ConfigMap that holds it, named by its digest, and the custom resource of the policy.
    Pack(Pack),
}

/// Flags of `igw policy build`.
#[derive(Debug, Args)]
pub struct Build {
    /// Folder of the crate, with Cargo.toml and policy.yaml.
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// File to write; target/policy/NAME.wasm in the folder of the crate when absent.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Folder for what the compiler makes; target in the folder of the crate when absent.
    #[arg(long, value_name = "DIR")]
    pub target_dir: Option<PathBuf>,
    /// Build the standard library too, with Debian's compiler (packages rustc-web, rust-web-src and lld). Done by itself
    /// where there is no standard library for WebAssembly.
    #[arg(long)]
    pub build_std: bool,
}

/// Flags of `igw policy inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Module, as it is or packed with gzip.
    #[arg(value_name = "FILE")]
    pub module: PathBuf,
}

/// Flags of `igw policy run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Module, as it is or packed with gzip.
    #[arg(value_name = "MODULE")]
    pub module: PathBuf,
    /// Files with custom resources and the ConfigMaps they name; - is standard input, a folder means its YAML files.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// File with the settings, YAML or JSON; {} when absent.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// File with what the policy is granted, YAML or JSON, as in spec.grants of its custom resource; nothing when absent.
    #[arg(long, value_name = "FILE")]
    pub grants: Option<PathBuf>,
    /// Namespace of custom resources that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Show literal values of environment variables.
    #[arg(long)]
    pub show_values: bool,
}

/// Flags of `igw policy pack`.
#[derive(Debug, Args)]
pub struct Pack {
    /// Module, as `igw policy build` wrote it.
    #[arg(value_name = "FILE")]
    pub module: PathBuf,
    /// Name of the policy's custom resource.
    #[arg(long, value_name = "NAME", value_parser = namespace)]
    pub name: String,
    /// Namespace of the ConfigMap, and of a WasmPolicy; the operator's own with --cluster, else default.
    #[arg(short, long, value_name = "NAME", value_parser = namespace)]
    pub namespace: Option<String>,
    /// Make a ClusterWasmPolicy, for all namespaces, in place of a WasmPolicy.
    #[arg(long)]
    pub cluster: bool,
    /// File with the settings, YAML or JSON; {} when absent.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Kind of custom resource to match, for example Gateway; may be repeated. All of the operator's when absent.
    #[arg(long = "parent", value_name = "KIND")]
    pub parents: Vec<String>,
    /// Label that a custom resource must have to be matched; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub labels: Vec<(String, String)>,
    /// Start of image names that the policy may bring in; may be repeated.
    #[arg(long = "grant-image", value_name = "PREFIX")]
    pub grant_images: Vec<String>,
    /// Kind of objects that the policy may add, for example PeerAuthentication.security.istio.io; may be repeated.
    #[arg(long = "grant-kind", value_name = "KIND.GROUP", requires = "cluster", value_parser = kind)]
    pub grant_kinds: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("write KEY=VALUE".into()),
    }
}

/// One of the kinds in code: there is a rule for each.
fn added_kind(text: &str) -> Result<ChildKind, String> {
    let (kind, group) = kind(text)?;
    added::kind(&group, &kind).map(|added| added.child).ok_or_else(|| {
        let possible: Vec<_> = added::KINDS.iter().map(|added| added.child.info().group_kind()).collect();
        format!("policies can add no such objects; possible are {}", possible.join(", "))
    })
}

fn kind(text: &str) -> Result<(String, String), String> {
    match text.split_once('.') {
        Some((kind, group)) if !kind.is_empty() && !group.is_empty() => Ok((kind.into(), group.into())),
        None if !text.is_empty() => Ok((text.into(), String::new())),
        _ => Err("write KIND.GROUP, or KIND for the core group".into()),
    }
}

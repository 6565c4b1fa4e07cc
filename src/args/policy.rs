//! Flags of `igw policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What can be done with policy modules.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Show what a module is: name, version, digest, imports, settings, wanted kinds, and what compiling it costs.
    Inspect(Inspect),
    /// Run a module on the objects that custom resources become, without a cluster: objects on standard output, what
    /// changed and what the module logged on standard error.
    Run(Run),
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
    /// Namespace of custom resources that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Show literal values of environment variables.
    #[arg(long)]
    pub show_values: bool,
}

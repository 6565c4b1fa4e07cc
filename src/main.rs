//! The program: parse, then one subcommand; nothing else.

use std::process::ExitCode;

use clap::Parser as _;
use igw::{args, cli};

fn main() -> ExitCode {
    let args = args::Cli::parse_from(args::with_two_dashes(std::env::args_os()));
    cli::main(args)
}

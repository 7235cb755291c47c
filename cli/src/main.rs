//! The `nirc` command: arguments in, progress and diagnostics out.
//!
//! It decides nothing about networks or chips: every subcommand reads its arguments, hands them to a
//! job of the runtime, and shows what came of it.
//!
//! # Invariants
//! * Results go to standard output, and with `--json` nothing else does; progress, notes and errors go
//!   to standard error.
//! * The exit code is 0 when the job was done (or ended on request), 1 after an error in what it was
//!   given or met, 2 when the command line itself makes no sense.

#![forbid(unsafe_code)]

mod args;
mod check;
mod compile;
mod conventions;
mod convert;
mod data;
mod diff;
mod gradcheck;
mod gradient;
mod inspect;
mod run;
mod show;
mod supported;
mod targets;
mod train;

use std::process::ExitCode;

use clap::Parser;
use nirc_ir::Diagnostics;

use args::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    match execute(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            show::diagnostics(&problems, json);
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: &Arguments) -> Result<(), Diagnostics> {
    let json = arguments.json;
    match &arguments.command {
        Command::Inspect(inspect) => inspect::inspect(inspect, json),
        Command::Check(check) => check::check(check, json),
        Command::Supported => supported::supported(json),
        Command::Conventions(args) => conventions::conventions(args, json),
        Command::Convert(convert) => convert::convert(convert, json),
        Command::Diff(diff) => diff::diff(diff, json),
        Command::Compile(compile) => compile::compile(compile, json),
        Command::Data(data) => data::data(data, json),
        Command::Train(train) => train::train(train, json),
        Command::Run(run) => run::run(run, json),
        Command::Gradient(gradient) => gradient::gradient(gradient, json),
        Command::Gradcheck(gradcheck) => gradcheck::gradcheck(gradcheck, json),
        Command::Targets => targets::targets(json),
    }
}

//! tetherd: finds commands whose input or output is tied to the network. See the crate's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == tetherd::sensor::canary::ARGUMENT) {
        // A process of our own, started to be heard of; `wait` makes it live long enough to be looked at.
        if args.next().is_some() {
            std::thread::sleep(std::time::Duration::from_secs(5));
        }
        return ExitCode::SUCCESS;
    }
    match tetherd::cli::main() {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            eprintln!("tetherd: {failure}");
            ExitCode::from(failure.exit().code())
        }
    }
}

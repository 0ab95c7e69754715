//! tetherd: finds commands whose input or output is tied to the network. See the crate's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    match tetherd::cli::main() {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            eprintln!("tetherd: {failure}");
            ExitCode::from(failure.exit().code())
        }
    }
}

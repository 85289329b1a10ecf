//! Tells cargo that the migrations are part of the program, which does not notice new files by itself; and puts what the
//! console's pages load of others beside the program, from where npm has put it by `gateway/browser/package-lock.json`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The files, below the folder that `tests/setup.sh` fills, and their names in the build's own.
const FILES: [(&str, &str); 2] =
    [("@xterm/xterm/lib/xterm.mjs", "xterm.mjs"), ("@xterm/xterm/css/xterm.css", "xterm.css")];

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=browser/package-lock.json");
    let installed = Path::new("../target/console/node_modules");
    let Some(out) = std::env::var_os("OUT_DIR").map(PathBuf::from) else { return ExitCode::FAILURE };
    for (from, to) in FILES {
        let from = installed.join(from);
        println!("cargo:rerun-if-changed={}", from.display());
        if let Err(fault) = std::fs::copy(&from, out.join(to)) {
            // cargo shows what stands behind `error=`, and nothing else of a failed build script at first sight.
            println!("cargo::error=cannot copy {}: {fault}", from.display());
            println!(
                "cargo::error=it comes from npm, by its lock file: run `sh tests/setup.sh build` once, then build again"
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

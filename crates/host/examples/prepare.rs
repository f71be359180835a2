//! Prepares a module: `prepare IN.wasm OUT.wasm`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = &arguments[..] else {
        eprintln!("usage: prepare IN.wasm OUT.wasm");
        return ExitCode::from(2);
    };
    let prepared = std::fs::read(from)
        .map_err(|error| format!("{from}: {error}"))
        .and_then(|module| host::prepare::prepare(&module).map_err(|error| format!("{from}: {error}")))
        .and_then(|prepared| std::fs::write(to, prepared).map_err(|error| format!("{to}: {error}")));
    match prepared {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

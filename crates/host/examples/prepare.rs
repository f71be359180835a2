//! `prepare IN.wasm OUT.wasm`: prepares a module, as the server does before it serves it.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: prepare IN.wasm OUT.wasm".into());
    };
    std::fs::write(to, host::prepare::prepare(&std::fs::read(from)?)?)?;
    Ok(())
}

//! The `floe` program: SQL in, answers out. Everything it does is in [`cli`]; everything it knows is in the library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}

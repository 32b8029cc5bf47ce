//! The `floe` program: SQL in, answers out. Everything it does is in [`cli`]; everything it knows is in the library.

mod cli;

/// Counts what the process allocates, so that the memory limit holds for all of it.
#[global_allocator]
static ALLOCATOR: floe::memory::CountingAllocator<tikv_jemallocator::Jemalloc> =
    floe::memory::CountingAllocator::new(tikv_jemallocator::Jemalloc);

fn main() -> std::process::ExitCode {
    cli::main()
}

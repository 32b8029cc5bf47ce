//! The `floe` program: SQL in, answers out. Everything it does is in [`cli`]; everything it knows is in the library.

mod cli;

/// Counts what the process allocates, so that the memory limit holds for all of it.
#[global_allocator]
static ALLOCATOR: floe::memory::CountingAllocator<tikv_jemallocator::Jemalloc> =
    floe::memory::CountingAllocator::new(tikv_jemallocator::Jemalloc);

/// One arena for each processor: with the default four, much of a small limit lies in arenas of threads that are idle.
// SAFETY: jemalloc reads this symbol, a pointer to a C string, when it starts; nothing else has the name.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 20] = b"percpu_arena:percpu\0";

fn main() -> std::process::ExitCode {
    cli::main()
}

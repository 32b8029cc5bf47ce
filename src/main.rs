//! The `floe` program: SQL in, answers out. Everything it does is in [`cli`]; everything it knows is in the library.

mod cli;

/// Counts what the process allocates, so that the memory limit holds for all of it.
#[global_allocator]
static ALLOCATOR: floe::memory::CountingAllocator<tikv_jemallocator::Jemalloc> =
    floe::memory::CountingAllocator::new(tikv_jemallocator::Jemalloc);

/// One arena for each processor: with the default four, much of a small limit lies in arenas of threads that are idle.
/// Only small objects are kept ready for each thread, and no allocation gets a page more for the sake of cache lines:
/// most are columns of some 8 to 64 kilobytes, of which that would be a good part. What is larger than 8 MiB (hash tables,
/// blocks of objects) may be used again as the rest is, instead of being given back to the system whenever it is freed.
// SAFETY: jemalloc reads this symbol, a pointer to a C string, when it starts; nothing else has the name.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 79] = b"percpu_arena:percpu,tcache_max:4096,cache_oblivious:false,oversize_threshold:0\0";

fn main() -> std::process::ExitCode {
    cli::main()
}

//! Writes the answer of a query as Parquet under a memory limit, however large it is:
//! `cargo run --release --example sorted_copy -- "SELECT * FROM 'big.parquet' ORDER BY name" sorted.parquet 300MB`.
//!
//! The answer is never in memory as a whole. The program counts what it allocates, as `floe` itself does, so that the
//! limit holds for the process.

use floe::Result;
use floe::session::Session;

#[global_allocator]
static ALLOCATOR: floe::memory::CountingAllocator<tikv_jemallocator::Jemalloc> =
    floe::memory::CountingAllocator::new(tikv_jemallocator::Jemalloc);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [query, path, limit, more @ ..] = arguments.as_slice() else {
        eprintln!("usage: sorted_copy QUERY FILE MEMORY_LIMIT [SETTING=VALUE]...");
        return Ok(());
    };
    let mut builder = Session::builder().memory_limit(limit);
    for setting in more {
        if let Some((name, value)) = setting.split_once('=') {
            builder = builder.set(name, value);
        }
    }
    let rows = builder.build()?.sql(query)?.write_parquet(path)?;
    println!("{rows} rows");
    Ok(())
}

//! Which airline was late, and by how much? The same question in SQL and by verbs, over the flights of 2013.
//!
//! `cargo run --release --example flights`, in the folder of the package.

use floe::prelude::*;

fn main() -> Result<()> {
    let session = Session::builder().memory_limit("256MB").build()?;

    // SQL over a glob of files.
    session
        .sql(
            "SELECT carrier, count(*) AS flights, round(avg(dep_delay), 1) AS mean_delay
             FROM 'testdata/flights/csv/2013-*.csv'
             WHERE dep_delay IS NOT NULL
             GROUP BY carrier ORDER BY mean_delay DESC LIMIT 5",
        )?
        .show()?;

    // The same by verbs, over the Parquet files.
    let flights = session.read_parquet("testdata/flights/parquet/**/*.parquet")?;
    flights
        .filter(col("dep_delay").is_not_null())?
        .group_by([col("carrier")])?
        .agg([count(lit(1)).alias("flights"), round(vec![avg(col("dep_delay")), lit(1)]).alias("mean_delay")])?
        .sort([col("mean_delay").sort(false, false)])?
        .limit(0, Some(5))?
        .show()?;

    // A frame as a table of SQL, and its batches as they come.
    session.register("flights", &flights)?;
    let busy = session.sql("SELECT month, count(*) AS n FROM flights GROUP BY ALL ORDER BY n DESC")?;
    for batch in busy.stream()? {
        let batch = batch?;
        println!("{} months, {} columns", batch.num_rows(), batch.num_columns());
    }
    Ok(())
}

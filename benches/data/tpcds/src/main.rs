//! Writes one table of TPC-DS as CSV with a header to standard output: `tpcds-data TABLE SCALE`.
//!
//! Without arguments it lists the tables. An empty field is NULL; texts that hold a comma are quoted. The generator is
//! the crate `tpcdsgen`, which matches the reference generator bit for bit, its known faults included.

use std::error::Error;
use std::io::{self, BufWriter, Write};

use tpcdsgen::config::{Session, SessionBuilder};
use tpcdsgen::csv::{self, CsvRow};
use tpcdsgen::row;
use tpcdsgen::table::Table;

/// Calls `$do!(session, table, out, Name Generator Csv)` for the table whose generator it is.
macro_rules! for_table {
    ($table:expr, $session:expr, $out:expr, $($name:ident: $generator:ident $csv:ident),+ $(,)?) => {
        match $table {
            $(Table::$name => {
                let source_rows = *$session.get_source_row_range(Table::$name).end();
                for row in row::$generator::new($session.clone(), source_rows) {
                    writeln!($out, "{}", csv::$csv::new(&row))?;
                }
            })+
            other => return Err(format!("{} has no data", other.get_name()).into()),
        }
    };
}

fn write_table(table: Table, session: &Session, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    writeln!(out, "{}", csv::csv_header(table, ','))?;
    for_table!(
        table, session, out,
        CallCenter: CallCenterRowGenerator CallCenterCsv,
        CatalogPage: CatalogPageRowGenerator CatalogPageCsv,
        CatalogReturns: CatalogReturnsRowGenerator CatalogReturnsCsv,
        CatalogSales: CatalogSalesRowGenerator CatalogSalesCsv,
        Customer: CustomerRowGenerator CustomerCsv,
        CustomerAddress: CustomerAddressRowGenerator CustomerAddressCsv,
        CustomerDemographics: CustomerDemographicsRowGenerator CustomerDemographicsCsv,
        DateDim: DateDimRowGenerator DateDimCsv,
        HouseholdDemographics: HouseholdDemographicsRowGenerator HouseholdDemographicsCsv,
        IncomeBand: IncomeBandRowGenerator IncomeBandCsv,
        Inventory: InventoryRowGenerator InventoryCsv,
        Item: ItemRowGenerator ItemCsv,
        Promotion: PromotionRowGenerator PromotionCsv,
        Reason: ReasonRowGenerator ReasonCsv,
        ShipMode: ShipModeRowGenerator ShipModeCsv,
        Store: StoreRowGenerator StoreCsv,
        StoreReturns: StoreReturnsRowGenerator StoreReturnsCsv,
        StoreSales: StoreSalesRowGenerator StoreSalesCsv,
        TimeDim: TimeDimRowGenerator TimeDimCsv,
        Warehouse: WarehouseRowGenerator WarehouseCsv,
        WebPage: WebPageRowGenerator WebPageCsv,
        WebReturns: WebReturnsRowGenerator WebReturnsCsv,
        WebSales: WebSalesRowGenerator WebSalesCsv,
        WebSite: WebSiteRowGenerator WebSiteCsv,
    );
    Ok(out.flush()?)
}

fn tables() -> impl Iterator<Item = Table> {
    Table::values().iter().copied().filter(|table| table.get_name() != "dbgen_version")
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, scale] = arguments.as_slice() else {
        let names: Vec<_> = tables().map(|table| table.get_name()).collect();
        println!("{}", names.join("\n"));
        return Ok(());
    };
    let table = tables().find(|table| table.get_name() == name).ok_or_else(|| format!("no table {name}"))?;
    let session = SessionBuilder::new().with_scale_factor(scale.parse()?).build()?;
    write_table(table, &session, &mut BufWriter::with_capacity(1 << 20, io::stdout().lock()))
}

//! Overflow is an error, whatever the optimizer does; and nothing is raised in branches that no row takes.

use datafusion_optimizer::OptimizerContext;
use datafusion_optimizer::optimizer::Optimizer;

use super::harness::{analysed, column, optimised, query, table};
use crate::error::Code;
use crate::expr::fold_checked;

fn overflows(sql: &str) {
    match query(sql, &table()) {
        Err(error) => assert_eq!(error.code(), Code::Overflow, "{sql}: {error}"),
        Ok(batch) => panic!("{sql} gave {batch:?}"),
    }
}

#[test]
fn constants_overflow_at_run_time() {
    for expression in [
        "9223372036854775807 + 1",
        "1 + 9223372036854775807",
        "CAST('9223372036854775807' AS BIGINT) * 2",
        "-9223372036854775808 - 1",
        "-(-9223372036854775807 - 1)",
        "CAST(2147483647 AS INTEGER) + CAST(1 AS INTEGER)",
        "CAST(255 AS TINYINT UNSIGNED) + CAST(1 AS TINYINT UNSIGNED)",
        "CAST(0 AS BIGINT UNSIGNED) - CAST(1 AS BIGINT UNSIGNED)",
        "CAST('99999999999999999999999999999999999999' AS DECIMAL(38,0)) + 1",
        "CAST('99999999999999999999999999999999999999' AS DECIMAL(38,0)) * 2",
        "(9223372036854775807 + 1) - 1",
        "abs(-9223372036854775808)",
    ] {
        overflows(&format!("SELECT {expression}"));
        overflows(&format!("SELECT {expression} FROM t"));
        overflows(&format!("SELECT i FROM t WHERE {expression} > b"));
    }
}

#[test]
fn columns_overflow() {
    for expression in
        ["b + 1", "b - 1", "b * 2", "-b", "i + CAST(1 AS INTEGER)", "b + i", "h + 1", "h * h", "b * b", "abs(b)"]
    {
        overflows(&format!("SELECT {expression} FROM t"));
        overflows(&format!("SELECT i FROM t WHERE ({expression}) <> 5"));
    }
}

#[test]
fn constants_that_the_optimizer_makes_overflow() {
    overflows("SELECT x + 1 FROM (SELECT 9223372036854775807 AS x) q");
    overflows("SELECT x FROM (SELECT 9223372036854775807 AS x, b FROM t) q WHERE x + 1 > b");
    overflows("SELECT y * 2 FROM (SELECT x + 1 AS y FROM (SELECT 9223372036854775806 AS x FROM t) q) r");
    overflows("SELECT i FROM t WHERE b = 9223372036854775807 AND b + 1 < 5");
}

#[test]
fn what_fits_is_exact_and_folded() {
    assert_eq!(column("SELECT 9223372036854775806 + 1").unwrap(), ["9223372036854775807"]);
    assert_eq!(column("SELECT -(-9223372036854775807)").unwrap(), ["9223372036854775807"]);
    assert_eq!(column("SELECT (1 + 2) * 3 - 4").unwrap(), ["5"]);
    assert_eq!(column("SELECT i + 1 FROM t").unwrap(), ["2", "2147483648", "", "-6"]);
    assert_eq!(column("SELECT d * d FROM t WHERE b = 0").unwrap(), ["2.2500"]);
    assert_eq!(column("SELECT 1 - d FROM t").unwrap(), ["-0.50", "1.01", "", "-9999999999998.99"]);
    assert_eq!(column("SELECT -i FROM t").unwrap(), ["-1", "-2147483647", "", "7"]);
    let plan = optimised("SELECT b FROM t WHERE b > 5 * 10 + 2", &table()).unwrap();
    assert!(plan.display_indent().to_string().contains("t.b > Int64(52)"), "{}", plan.display_indent());
    let plan = optimised("SELECT b + 0, 1 * b, b - (3 - 3) FROM t", &table()).unwrap();
    assert!(!plan.display_indent().to_string().contains("checked"), "{}", plan.display_indent());
}

#[test]
fn branches_not_taken_raise_nothing() {
    let one = |sql: &str| assert_eq!(column(sql).unwrap(), ["1"], "{sql}");
    one("SELECT CASE WHEN true THEN 1 ELSE 9223372036854775807 + 1 END");
    one("SELECT CASE WHEN b < 9223372036854775807 THEN b + 1 ELSE 0 END FROM t WHERE b = 0");
    one("SELECT coalesce(1, 9223372036854775807 + 1)");
    one("SELECT CASE WHEN b = 5 THEN 9223372036854775807 + 1 ELSE 1 END FROM t WHERE b = 0");
    one("SELECT coalesce(i, CAST(9223372036854775807 + b AS INTEGER)) FROM t WHERE b < 5 AND i = 1");
    let guarded =
        "SELECT CASE WHEN b BETWEEN -9223372036854775807 AND 9223372036854775806 THEN b + 1 ELSE 1 END FROM t";
    assert_eq!(column(guarded).unwrap(), ["1", "1", "1", "8"]);
    assert_eq!(column("SELECT b FROM t WHERE b < 100 AND b > 0 AND b * b = 49").unwrap(), ["7"]);
    assert_eq!(column("SELECT b <> 0 AND 14 / b = 2 FROM t").unwrap(), ["false", "false", "false", "true"]);
    assert_eq!(column("SELECT b = 0 OR 14 / b = 2 FROM t").unwrap(), ["true", "false", "false", "true"]);
    assert_eq!(column("SELECT i FROM t WHERE s <> 'x' AND CAST(s AS BIGINT) > 1").unwrap(), ["-7"]);
}

#[test]
fn division_by_zero_is_an_error_that_names_the_expression() {
    let error = query("SELECT 1 / b FROM t", &table()).unwrap_err();
    assert_eq!(error.code(), Code::DivisionByZero);
    assert_eq!(error.message(), "division by zero in 1 / b");
    assert_eq!(query("SELECT 1 % 0", &table()).unwrap_err().code(), Code::DivisionByZero);
    assert_eq!(query("SELECT d / (d - d) FROM t", &table()).unwrap_err().code(), Code::DivisionByZero);
    assert_eq!(column("SELECT CAST(1 AS DOUBLE) / 0").unwrap(), ["inf"]);
}

#[test]
fn the_message_names_expression_and_type() {
    let message = |sql| query(sql, &table()).unwrap_err().message().to_string();
    assert_eq!(message("SELECT b + i FROM t"), "integer overflow in b + CAST(i AS Int64) (BIGINT)");
    assert_eq!(message("SELECT -(b * 2) FROM t"), "integer overflow in b * 2 (BIGINT)");
    assert_eq!(message("SELECT h + h FROM t"), "integer overflow in h + h (HUGEINT)");
}

#[test]
fn names_stay_as_they_were() {
    for sql in [
        "SELECT b + 1, -b, b * (i - 2), 1 + 2 FROM t",
        "SELECT sum(b + 1), i - 1 FROM t GROUP BY i - 1 HAVING sum(b + 1) > 5 + 5 ORDER BY sum(b + 1)",
        "SELECT b + 1 FROM t WHERE b + 1 IN (SELECT b + 1 FROM t WHERE i + 1 = 2)",
        "SELECT (SELECT max(u.b + 1) FROM t u WHERE u.i = t.i + 1) FROM t",
        "SELECT rank() OVER (ORDER BY b + 1) FROM t",
        "SELECT DISTINCT b * 2 FROM t UNION ALL SELECT b + 1 FROM t LIMIT 1 + 2",
    ] {
        let plan = analysed(sql, &table()).unwrap();
        let before = plan.schema().clone();
        let plan = fold_checked(plan).unwrap();
        assert_eq!(plan.schema(), &before, "{sql}");
        let plan = Optimizer::new().optimize(plan, &OptimizerContext::new(), |_, _| {}).unwrap();
        assert_eq!(plan.schema().field_names(), before.field_names(), "{sql}");
        let types = |schema: &datafusion_common::DFSchema| -> Vec<_> {
            schema.fields().iter().map(|field| field.data_type().clone()).collect()
        };
        assert_eq!(types(plan.schema()), types(&before), "{sql}");
    }
}

#[test]
fn now_is_one_value_per_query() {
    assert_eq!(column("SELECT now() = now() AND current_date() = current_date()").unwrap(), ["true"]);
    let batch = table();
    let schema = datafusion_common::DFSchema::try_from(batch.schema()).unwrap();
    let compiler = crate::expr::Compiler::starting_now();
    let now = datafusion_expr::Expr::ScalarFunction(datafusion_expr::expr::ScalarFunction::new_udf(
        crate::expr::functions().scalar["now"].clone(),
        Vec::new(),
    ));
    let first = compiler.compile(&now, &schema).unwrap().evaluate(&batch).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2));
    let second = compiler.compile(&now, &schema).unwrap().evaluate(&batch).unwrap();
    assert_eq!(&first, &second);
}

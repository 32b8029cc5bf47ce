//! Trees that come out of queries over small tables, whatever the order of their relations.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use chrono::Utc;
use datafusion_common::{Column, JoinType};
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};

use crate::batch::MemorySource;
use crate::plan::optimize;
use crate::plan::statistics::Estimator;
use crate::plan::table::StoredTable;

/// A table whose columns count modulo the given numbers.
fn table(name: &str, rows: i64, columns: &[(&str, i64)]) -> LogicalPlan {
    let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Int64, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let array = |modulus: i64| Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row % modulus))) as ArrayRef;
    let arrays = columns.iter().map(|(_, modulus)| array(*modulus)).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap();
    let source = StoredTable::new(Arc::new(MemorySource::new(schema, vec![batch])));
    LogicalPlanBuilder::scan(name, Arc::new(source), None).unwrap().build().unwrap()
}

/// A star with an arm of two.
fn star() -> Vec<LogicalPlan> {
    vec![
        table("fact", 4000, &[("fa", 1000), ("fb", 100), ("fc", 10)]),
        table("a", 1000, &[("ak", 1000), ("av", 50)]),
        table("b", 100, &[("bk", 100), ("bd", 20)]),
        table("c", 10, &[("ck", 10)]),
        table("d", 20, &[("dk", 20), ("dv", 4)]),
    ]
}

fn conditions() -> Expr {
    let pairs = [("fa", "ak"), ("fb", "bk"), ("fc", "ck"), ("bd", "dk")];
    let equal = pairs.iter().map(|(left, right)| col(*left).eq(col(*right)));
    equal.reduce(Expr::and).unwrap().and(col("av").eq(lit(7_i64)))
}

fn optimised(plan: LogicalPlan) -> String {
    let context = crate::ops::testing::context(1 << 24, 8192, 1);
    optimize(plan, Utc::now(), &context).unwrap().display_indent().to_string()
}

/// The product of the tables in that order, under the conditions, one column of each.
fn query(tables: Vec<LogicalPlan>) -> LogicalPlan {
    let product = tables
        .into_iter()
        .map(LogicalPlanBuilder::from)
        .reduce(|left, right| left.cross_join(right.build().unwrap()).unwrap());
    let columns = ["fa", "av", "bk", "ck", "dv"].map(col);
    product.unwrap().filter(conditions()).unwrap().project(columns).unwrap().build().unwrap()
}

#[test]
fn the_order_of_from_does_not_matter() {
    let expected = optimised(query(star()));
    assert!(!expected.contains("Cross"), "{expected}");
    for turn in 0..5 {
        let mut tables = star();
        tables.rotate_left(turn);
        assert_eq!(optimised(query(tables.clone())), expected, "turned by {turn}");
        tables.reverse();
        assert_eq!(optimised(query(tables)), expected, "turned by {turn}, reversed");
    }
}

#[test]
fn equalities_reach_from_one_relation_to_the_next_but_one() {
    // a = b and b = c: where b is the largest, a and c meet first.
    let tables = [table("x", 100, &[("xk", 100)]), table("y", 4000, &[("yk", 4000)]), table("z", 100, &[("zk", 100)])];
    let [x, y, z] = tables;
    let plan = LogicalPlanBuilder::from(x)
        .join_on(y, JoinType::Inner, [col("xk").eq(col("yk"))])
        .and_then(|builder| builder.join_on(z, JoinType::Inner, [col("yk").eq(col("zk"))]))
        .and_then(LogicalPlanBuilder::build)
        .unwrap();
    let text = optimised(plan);
    assert!(text.contains("x.xk = z.zk") || text.contains("z.zk = x.xk"), "{text}");
}

#[test]
fn a_semi_join_filters_before_the_relations_grow() {
    let many = table("many", 4000, &[("mk", 10), ("ma", 1000)]);
    let other = table("other", 4000, &[("ok", 10)]);
    let few = table("few", 3, &[("fk", 3)]);
    let plan = LogicalPlanBuilder::from(many)
        .join_on(other, JoinType::Inner, [col("mk").eq(col("ok"))])
        .and_then(|builder| builder.join_on(few, JoinType::LeftSemi, [col("ma").eq(col("fk"))]))
        .and_then(LogicalPlanBuilder::build)
        .unwrap();
    let text = optimised(plan);
    let (semi, inner) = (text.find("LeftSemi").unwrap(), text.find("Inner Join").unwrap());
    assert!(inner < semi, "{text}");
}

#[test]
fn a_left_join_keeps_its_left_side_and_the_conditions_above_it() {
    let [x, y, z] =
        [table("x", 1000, &[("xk", 1000)]), table("y", 100, &[("yk", 100)]), table("z", 10, &[("zk", 10), ("zv", 5)])];
    let plan = LogicalPlanBuilder::from(x)
        .join_on(y, JoinType::Left, [col("xk").eq(col("yk"))])
        .and_then(|builder| builder.join_on(z, JoinType::Inner, [col("xk").eq(col("zk"))]))
        .and_then(|builder| builder.filter(col("yk").is_null().or(col("zv").gt(lit(3_i64)))))
        .and_then(LogicalPlanBuilder::build)
        .unwrap();
    let schema = plan.schema().columns();
    let context = crate::ops::testing::context(1 << 24, 8192, 1);
    let optimised = optimize(plan, Utc::now(), &context).unwrap();
    let text = optimised.display_indent().to_string();
    assert_eq!(optimised.schema().columns(), schema);
    assert!(text.contains("Left Join: x.xk = y.yk"), "{text}");
    let (filter, left) = (text.find("y.yk IS NULL").unwrap(), text.find("Left Join").unwrap());
    assert!(filter < left, "{text}");
}

#[test]
fn more_relations_than_are_tried_out_are_joined_step_by_step() {
    let count = 15;
    let chain = |order: &[usize]| {
        let tables = order.iter().map(|index| {
            let rows = 10 + 10 * i64::try_from(*index % 4).unwrap();
            let (left, right) = (format!("l{index:02}"), format!("r{index:02}"));
            table(&format!("t{index:02}"), rows, &[(left.as_str(), rows), (right.as_str(), rows)])
        });
        let product =
            tables.map(LogicalPlanBuilder::from).reduce(|left, right| left.cross_join(right.build().unwrap()).unwrap());
        let link = |index: usize| {
            let name = |side: &str, index: usize| Expr::Column(Column::from_name(format!("{side}{index:02}")));
            name("r", index).eq(name("l", index + 1))
        };
        let links = (0..count - 1).map(link).reduce(Expr::and).unwrap();
        let columns = [col("l00"), col("r14")];
        product.unwrap().filter(links).unwrap().project(columns).unwrap().build().unwrap()
    };
    let order: Vec<usize> = (0..count).collect();
    let expected = optimised(chain(&order));
    assert!(!expected.contains("Cross"), "{expected}");
    let turned: Vec<usize> = (0..count).map(|index| (index * 4 + 3) % count).collect();
    assert_eq!(optimised(chain(&turned)), expected);
}

/// The product of `tables` under equalities of columns.
fn joined(tables: Vec<LogicalPlan>, equal: &[(&str, &str)], columns: &[&str]) -> LogicalPlan {
    let tables = tables.into_iter().map(LogicalPlanBuilder::from);
    let product = tables.reduce(|left, right| left.cross_join(right.build().unwrap()).unwrap());
    let condition = equal.iter().map(|(left, right)| col(*left).eq(col(*right))).reduce(Expr::and).unwrap();
    let columns = columns.iter().map(|column| col(*column));
    product.unwrap().filter(condition).unwrap().project(columns).unwrap().build().unwrap()
}

#[test]
fn a_relation_of_which_no_row_is_expected_is_crossed_with_nothing() {
    let fact = table("fact", 4000, &[("fa", 1000), ("fb", 100)]);
    let dates = table("dates", 1000, &[("ak", 1000)]);
    let none = LogicalPlanBuilder::from(table("b", 100, &[("bk", 100)]))
        .filter(col("bk").gt(lit(5000_i64)))
        .and_then(|builder| builder.aggregate([col("bk")], Vec::<Expr>::new()))
        .and_then(LogicalPlanBuilder::build)
        .unwrap();
    let text = optimised(joined(vec![dates, none, fact], &[("fa", "ak"), ("fb", "bk")], &["ak", "bk", "fb"]));
    assert!(!text.contains("Cross"), "{text}");
}

#[test]
fn what_is_connected_meets_before_a_cross_product() {
    let tables = vec![
        table("w", 2000, &[("wk", 2000)]),
        table("x", 2, &[("xk", 2)]),
        table("y", 2000, &[("yk", 2000)]),
        table("z", 2, &[("zk", 2)]),
    ];
    let text = optimised(joined(tables, &[("wk", "xk"), ("yk", "zk")], &["wk", "xk", "yk", "zk"]));
    let (cross, inner) = (text.find("Cross Join").unwrap(), text.find("Inner Join").unwrap());
    assert!(cross < inner && text.matches("Inner Join").count() == 2, "{text}");
}

#[test]
fn sums_over_groups_lie_around_their_mean() {
    // 40 rows a group with values from 0 to 9: sums of about 180.
    let plan = |least: i64| {
        LogicalPlanBuilder::from(table("x", 4000, &[("xk", 100), ("xv", 10)]))
            .aggregate([col("xk")], [datafusion_functions_aggregate::expr_fn::sum(col("xv"))])
            .and_then(|builder| builder.filter(col("sum(x.xv)").gt(lit(least))))
            .and_then(LogicalPlanBuilder::build)
            .unwrap()
    };
    let rows = |least: i64| {
        let plan = plan(least);
        let context = crate::ops::testing::context(1 << 24, 8192, 1);
        Estimator::new(&plan, context).estimate(&plan).rows
    };
    assert!(rows(100) > 90.0, "{}", rows(100));
    assert!((40.0..60.0).contains(&rows(180)), "{}", rows(180));
    assert!(rows(400) < 2.0, "{}", rows(400));
}

#[test]
fn a_semi_join_of_united_tables_keeps_their_share() {
    let name = |column: &str, name: &str| col(column).alias(name);
    let united = LogicalPlanBuilder::from(table("x", 3000, &[("xk", 100)]))
        .project([name("xk", "k")])
        .and_then(|builder| {
            let other = LogicalPlanBuilder::from(table("y", 1000, &[("yk", 100)])).project([name("yk", "k")])?;
            builder.union(other.build()?)
        })
        .and_then(|builder| {
            builder.join_on(table("z", 50, &[("zk", 50)]), JoinType::LeftSemi, [col("k").eq(col("zk"))])
        })
        .and_then(LogicalPlanBuilder::build)
        .unwrap();
    let context = crate::ops::testing::context(1 << 24, 8192, 1);
    let plan = optimize(united, Utc::now(), &context).unwrap();
    let rows = Estimator::new(&plan, context).estimate(&plan).rows;
    assert!((1900.0..2100.0).contains(&rows), "{rows} of {}", plan.display_indent());
}

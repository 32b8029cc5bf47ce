//! A tree of joins taken apart: relations, the predicates between them, and what the tree's columns are made of.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema, DFSchemaRef, JoinType, NullEquality, TableReference};
use datafusion_expr::logical_plan::Join;
use datafusion_expr::utils::split_conjunction_owned;
use datafusion_expr::{BinaryExpr, Expr, LogicalPlan, Operator, binary_expr};

/// A set of relations by their index.
pub(super) type Set = u64;

/// The set of one relation.
pub(super) fn only(index: usize) -> Set {
    1 << index
}

/// The indexes of a set, ascending.
pub(super) fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..64).filter(move |index| set >> index & 1 == 1)
}

/// What a tree is looked through for joins below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Through {
    /// Filters, projections and aliases.
    Everything,
    /// Only filters, which hide no names.
    Filters,
}

/// One input of the joins.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) plan: LogicalPlan,
    /// How it comes to the others, when not by an inner join.
    pub(super) attached: Option<Attached>,
    /// The columns that it brings.
    pub(super) brings: Vec<Column>,
}

/// A join that is not an inner one: its right side is a relation, its left side whatever is there when it comes.
#[derive(Debug, Clone)]
pub(super) struct Attached {
    /// `Left`, `LeftSemi`, `LeftAnti` or `LeftMark`.
    pub(super) join_type: JoinType,
    /// Left and right keys.
    pub(super) on: Vec<(Expr, Expr)>,
    pub(super) filter: Option<Expr>,
    pub(super) null_equality: NullEquality,
    pub(super) null_aware: bool,
    /// The relations that must be there before.
    pub(super) needs: Set,
}

/// A condition that holds for all rows of the result.
#[derive(Debug, Clone)]
pub(super) struct Predicate {
    pub(super) expr: Expr,
    /// The relations whose columns it names.
    pub(super) about: Set,
    /// Both sides of an equality between different relations.
    pub(super) sides: Option<[(Expr, Set); 2]>,
}

/// Columns that are equal in all rows of the result.
#[derive(Debug, Clone)]
pub(super) struct Class {
    /// By relation.
    pub(super) columns: Vec<(usize, Column)>,
}

impl Class {
    /// The relations with a column in it.
    pub(super) fn about(&self) -> Set {
        self.columns.iter().fold(0, |set, (relation, _)| set | only(*relation))
    }

    /// The column of the first of `relations` that has one.
    pub(super) fn column_in(&self, relations: Set) -> Option<&Column> {
        self.columns.iter().find(|(relation, _)| relations & only(*relation) != 0).map(|(_, column)| column)
    }
}

/// A tree of joins taken apart.
#[derive(Debug, Clone)]
pub(super) struct JoinGraph {
    pub(super) relations: Vec<Relation>,
    /// What is not in a class.
    pub(super) predicates: Vec<Predicate>,
    pub(super) classes: Vec<Class>,
    /// The columns of the tree, over those that the relations bring.
    pub(super) output: Vec<Output>,
    pub(super) schema: DFSchemaRef,
}

/// A column of the tree.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) qualifier: Option<TableReference>,
    pub(super) field: FieldRef,
    pub(super) expr: Expr,
}

/// Whether a join lies below `plan` with nothing between that cannot be looked through.
pub(super) fn leads_to_join(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(join) => is_ordered(join),
        LogicalPlan::Filter(filter) => leads_to_join(&filter.input),
        LogicalPlan::Projection(projection) => leads_to_join(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => leads_to_join(&alias.input),
        _ => false,
    }
}

/// Whether the join can take part in an order.
fn is_ordered(join: &Join) -> bool {
    let is_known = matches!(
        join.join_type,
        JoinType::Inner
            | JoinType::Left
            | JoinType::Right
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark
    );
    // Where NULL equals NULL the keys are no plain equalities.
    is_known
        && (join.join_type != JoinType::Inner
            || join.on.is_empty()
            || join.null_equality == NullEquality::NullEqualsNothing)
}

impl JoinGraph {
    /// Takes `plan` apart; `None` where names would clash or something in it must stay where it is.
    pub(super) fn of(plan: &LogicalPlan, through: Through) -> Option<Self> {
        let mut collector = Collector { relations: Vec::new(), conjuncts: Vec::new(), through };
        let scope = collector.collect(plan)?;
        let Collector { relations, conjuncts, .. } = collector;
        if !names_are_unique(&relations) {
            return None;
        }
        let schema = plan.schema().clone();
        let output = schema
            .iter()
            .zip(scope)
            .map(|((qualifier, field), expr)| Output { qualifier: qualifier.cloned(), field: field.clone(), expr })
            .collect();
        let mut graph = JoinGraph { relations, predicates: Vec::new(), classes: Vec::new(), output, schema };
        graph.find_needs()?;
        graph.sort_conjuncts(conjuncts)?;
        Some(graph)
    }

    /// The same with relations, predicates and classes in an order that does not depend on how the query was written.
    pub(super) fn in_canonical_order(self) -> Self {
        let mut order: Vec<_> =
            self.relations.iter().enumerate().map(|(index, relation)| (canonical_name(relation), index)).collect();
        order.sort();
        let mut place = vec![0; order.len()];
        for (new, (_, old)) in order.iter().enumerate() {
            if let Some(place) = place.get_mut(*old) {
                *place = new;
            }
        }
        let moved = |index: usize| place.get(index).copied().unwrap_or(index);
        let moved_set = |set: Set| members(set).fold(0, |all, index| all | only(moved(index)));
        let mut relations: Vec<(usize, Relation)> = self.relations.into_iter().enumerate().collect();
        relations.sort_by_key(|(old, _)| moved(*old));
        let relations = relations.into_iter().map(|(_, mut relation)| {
            if let Some(attached) = &mut relation.attached {
                attached.needs = moved_set(attached.needs);
            }
            relation
        });
        let mut predicates: Vec<Predicate> = self
            .predicates
            .into_iter()
            .map(|predicate| Predicate {
                about: moved_set(predicate.about),
                sides: predicate.sides.map(|sides| sides.map(|(expr, set)| (expr, moved_set(set)))),
                ..predicate
            })
            .collect();
        predicates.sort_by_cached_key(|predicate| predicate.expr.to_string());
        let mut classes: Vec<Class> = self
            .classes
            .into_iter()
            .map(|class| {
                let mut columns: Vec<_> =
                    class.columns.into_iter().map(|(relation, column)| (moved(relation), column)).collect();
                columns.sort();
                Class { columns }
            })
            .collect();
        classes.sort_by(|a, b| a.columns.cmp(&b.columns));
        JoinGraph { relations: relations.collect(), predicates, classes, ..self }
    }

    /// The relations by which of them conditions connect, over however many joins.
    pub(super) fn components(&self) -> Vec<Set> {
        let attached =
            self.relations.iter().enumerate().filter_map(|(index, relation)| {
                relation.attached.as_ref().map(|attached| attached.needs | only(index))
            });
        let predicates = self.predicates.iter().map(|predicate| predicate.about);
        let edges = self.classes.iter().map(Class::about).chain(predicates).chain(attached);
        let mut components: Vec<Set> = (0..self.relations.len()).map(only).collect();
        for edge in edges.filter(|edge| *edge != 0) {
            let (met, mut others): (Vec<Set>, Vec<Set>) =
                components.into_iter().partition(|component| component & edge != 0);
            others.push(met.into_iter().fold(edge, |all, component| all | component));
            components = others;
        }
        components
    }

    /// The relations whose columns `expr` names; `None` when some column is of none.
    pub(super) fn about(&self, expr: &Expr) -> Option<Set> {
        let owner = |column: &&Column| self.relations.iter().position(|relation| relation.brings.contains(column));
        expr.column_refs().iter().map(|column| owner(column).map(only)).try_fold(0, |set, one| Some(set | one?))
    }

    /// The relations that attached ones need before them.
    fn find_needs(&mut self) -> Option<()> {
        for index in 0..self.relations.len() {
            let Some(attached) = self.relations.get(index).and_then(|relation| relation.attached.clone()) else {
                continue;
            };
            let mut needs = 0;
            for (left, _) in &attached.on {
                needs |= self.about(left)?;
            }
            if let Some(filter) = &attached.filter {
                // The rest of its columns are of the relation itself, hidden ones among them.
                let own = self.relations.get(index)?.plan.schema().clone();
                let outer = filter.column_refs().into_iter().filter(|column| position(&own, column).is_none()).cloned();
                for column in outer {
                    needs |= self.about(&Expr::Column(column))?;
                }
            }
            needs &= !only(index);
            // Something must be there to be attached to.
            if needs == 0 {
                needs = only(self.relations.iter().position(|relation| relation.attached.is_none())?);
            }
            self.relations.get_mut(index)?.attached.as_mut()?.needs = needs;
        }
        Some(())
    }

    /// Conjuncts to classes, conditions of single relations and predicates.
    fn sort_conjuncts(&mut self, conjuncts: Vec<Expr>) -> Option<()> {
        let mut classes: Vec<Vec<(usize, Column)>> = Vec::new();
        for conjunct in conjuncts {
            let about = self.about(&conjunct)?;
            if let Some([left, right]) = self.equal_columns(&conjunct) {
                let touches = |class: &Vec<(usize, Column)>| class.contains(&left) || class.contains(&right);
                let (mut joined, others): (Vec<_>, Vec<_>) = classes.into_iter().partition(touches);
                joined.push(vec![left, right]);
                classes = others;
                let mut class: Vec<_> = joined.into_iter().flatten().collect();
                class.sort();
                class.dedup();
                classes.push(class);
                continue;
            }
            match members(about).collect::<Vec<_>>().as_slice() {
                [index] if self.relations.get(*index)?.attached.is_none() => self.push_down(*index, conjunct)?,
                _ => {
                    let sides = self.sides(&conjunct);
                    if !self.predicates.iter().any(|known| known.expr == conjunct) {
                        self.predicates.push(Predicate { expr: conjunct, about, sides });
                    }
                }
            }
        }
        for class in &classes {
            self.equate_within_relations(class)?;
        }
        self.classes = classes
            .into_iter()
            .map(|columns| Class { columns })
            .filter(|class| class.about().count_ones() > 1)
            .collect();
        Some(())
    }

    fn push_down(&mut self, index: usize, conjunct: Expr) -> Option<()> {
        let relation = self.relations.get_mut(index)?;
        let plan = std::mem::take(&mut relation.plan);
        relation.plan = with_filter(plan, conjunct)?;
        Some(())
    }

    /// Columns of one relation that equal the same column of another equal one another.
    fn equate_within_relations(&mut self, class: &[(usize, Column)]) -> Option<()> {
        let mut firsts: BTreeMap<usize, &Column> = BTreeMap::new();
        for (relation, column) in class {
            match firsts.get(relation) {
                Some(first) => {
                    let equal = Expr::Column((*first).clone()).eq(Expr::Column(column.clone()));
                    self.push_down(*relation, equal)?;
                }
                None => {
                    firsts.insert(*relation, column);
                }
            }
        }
        Some(())
    }

    /// `a = b` between columns that inner joins bring, of one type in which equality is transitive.
    fn equal_columns(&self, expr: &Expr) -> Option<[(usize, Column); 2]> {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return None };
        let (Expr::Column(left), Expr::Column(right)) = (left.as_ref(), right.as_ref()) else { return None };
        let find = |column: &Column| {
            let index = self.relations.iter().position(|relation| relation.brings.contains(column))?;
            let relation = self.relations.get(index)?;
            let (_, field) = relation.plan.schema().qualified_field_from_column(column).ok()?;
            relation.attached.is_none().then(|| (index, field.data_type().clone()))
        };
        let ((left_relation, left_type), (right_relation, right_type)) = (find(left)?, find(right)?);
        let is_transitive = left_type == right_type && !left_type.is_floating() && !left_type.is_nested();
        is_transitive.then(|| [(left_relation, left.clone()), (right_relation, right.clone())])
    }

    fn sides(&self, expr: &Expr) -> Option<[(Expr, Set); 2]> {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return None };
        let (of_left, of_right) = (self.about(left)?, self.about(right)?);
        let apart = of_left != 0 && of_right != 0 && of_left & of_right == 0;
        apart.then(|| [(left.as_ref().clone(), of_left), (right.as_ref().clone(), of_right)])
    }
}

/// `plan` with a condition, merged into one that stands on top.
fn with_filter(plan: LogicalPlan, conjunct: Expr) -> Option<LogicalPlan> {
    let (input, predicate) = match plan {
        LogicalPlan::Filter(filter) => (filter.input, binary_expr(filter.predicate, Operator::And, conjunct)),
        plan => (Arc::new(plan), conjunct),
    };
    datafusion_expr::logical_plan::Filter::try_new(predicate, input).ok().map(LogicalPlan::Filter)
}

/// What tells a relation from the others, whatever the order of the query: how it is attached and its columns, whose
/// names no other relation has.
fn canonical_name(relation: &Relation) -> (bool, Vec<Column>) {
    let mut columns = relation.plan.schema().columns();
    columns.sort();
    (relation.attached.is_some(), columns)
}

/// The position of exactly this column, qualifier and all.
pub(super) fn position(schema: &DFSchema, column: &Column) -> Option<usize> {
    schema.iter().position(|(qualifier, field)| qualifier == column.relation.as_ref() && *field.name() == column.name)
}

/// Whether every column of every relation, shown or hidden, has a name of its own.
fn names_are_unique(relations: &[Relation]) -> bool {
    let mut seen: HashMap<Column, ()> = HashMap::new();
    let mut bare: HashMap<String, bool> = HashMap::new();
    for relation in relations {
        let mark = relation.brings.iter().filter(|column| position(relation.plan.schema(), column).is_none());
        for column in relation.plan.schema().columns().iter().chain(mark) {
            if seen.insert(column.clone(), ()).is_some() {
                return false;
            }
            // An unqualified name must not meet a qualified one either.
            let is_bare = column.relation.is_none();
            match bare.get(&column.name) {
                Some(other) if *other || is_bare => return false,
                _ => {
                    bare.insert(column.name.clone(), is_bare);
                }
            }
        }
    }
    true
}

struct Collector {
    relations: Vec<Relation>,
    conjuncts: Vec<Expr>,
    through: Through,
}

/// A node's columns by position, over those that the relations bring.
type Scope = Vec<Expr>;

impl Collector {
    fn collect(&mut self, plan: &LogicalPlan) -> Option<Scope> {
        let everything = self.through == Through::Everything;
        match plan {
            LogicalPlan::Join(join) if is_ordered(join) => self.join(join),
            LogicalPlan::Filter(filter) if leads_to_join(&filter.input) && is_movable(&filter.predicate) => {
                let scope = self.collect(&filter.input)?;
                let over = Over::new(filter.input.schema(), &scope);
                let conjuncts = split_conjunction_owned(filter.predicate.clone());
                for conjunct in conjuncts {
                    self.conjuncts.push(over.rewrite(conjunct)?);
                }
                Some(scope)
            }
            LogicalPlan::Projection(projection)
                if everything && leads_to_join(&projection.input) && projection.expr.iter().all(is_movable) =>
            {
                let scope = self.collect(&projection.input)?;
                let over = Over::new(projection.input.schema(), &scope);
                projection.expr.iter().map(|expr| over.rewrite(expr.clone().unalias())).collect()
            }
            LogicalPlan::SubqueryAlias(alias) if everything && leads_to_join(&alias.input) => {
                self.collect(&alias.input)
            }
            other => Some(self.relation(other.clone(), None)),
        }
    }

    fn relation(&mut self, plan: LogicalPlan, attached: Option<Attached>) -> Scope {
        let brings = plan.schema().columns();
        let scope = brings.iter().cloned().map(Expr::Column).collect();
        self.relations.push(Relation { plan, attached, brings });
        scope
    }

    fn join(&mut self, join: &Join) -> Option<Scope> {
        let is_right = join.join_type == JoinType::Right;
        if join.join_type == JoinType::Inner {
            return self.inner(join);
        }
        let (kept, other) = if is_right { (&join.right, &join.left) } else { (&join.left, &join.right) };
        let scope = self.collect(kept)?;
        let over = Over::new(kept.schema(), &scope);
        let mut on = Vec::new();
        for (left, right) in &join.on {
            let (of_kept, of_other) = if is_right { (right, left) } else { (left, right) };
            on.push((over.rewrite(of_kept.clone())?, of_other.clone()));
        }
        let filter = match &join.filter {
            Some(filter) if !is_movable(filter) => return None,
            Some(filter) => {
                let own: Scope = other.schema().columns().into_iter().map(Expr::Column).collect();
                Some(Over::new(kept.schema(), &scope).and(other.schema(), &own).rewrite(filter.clone())?)
            }
            None => None,
        };
        let join_type = if is_right { JoinType::Left } else { join.join_type };
        let (null_equality, null_aware) = (join.null_equality, join.null_aware);
        let attached = Attached { join_type, on, filter, null_equality, null_aware, needs: 0 };
        let own = self.relation(other.as_ref().clone(), Some(attached));
        let brings = match join_type {
            JoinType::LeftMark => join.schema.columns().last().cloned().into_iter().collect(),
            JoinType::Left => other.schema().columns(),
            _ => Vec::new(),
        };
        let mark: Vec<Expr> = brings.iter().cloned().map(Expr::Column).collect();
        self.relations.last_mut()?.brings = brings;
        Some(match join_type {
            JoinType::LeftMark => scope.into_iter().chain(mark).collect(),
            JoinType::Left if is_right => own.into_iter().chain(scope).collect(),
            JoinType::Left => scope.into_iter().chain(own).collect(),
            _ => scope,
        })
    }

    fn inner(&mut self, join: &Join) -> Option<Scope> {
        let left = self.collect(&join.left)?;
        let right = self.collect(&join.right)?;
        let over_left = Over::new(join.left.schema(), &left);
        let over_right = Over::new(join.right.schema(), &right);
        for (of_left, of_right) in &join.on {
            let equal = over_left.rewrite(of_left.clone())?.eq(over_right.rewrite(of_right.clone())?);
            self.conjuncts.push(equal);
        }
        if let Some(filter) = &join.filter {
            if !is_movable(filter) {
                return None;
            }
            let over = Over::new(join.left.schema(), &left).and(join.right.schema(), &right);
            for conjunct in split_conjunction_owned(filter.clone()) {
                self.conjuncts.push(over.rewrite(conjunct)?);
            }
        }
        Some(left.into_iter().chain(right).collect())
    }
}

/// Whether an expression means the same wherever it is evaluated.
fn is_movable(expr: &Expr) -> bool {
    let holds_plan = |expr: &Expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        ))
    };
    !expr.is_volatile() && !expr.exists(holds_plan).unwrap_or(true)
}

/// The columns of a node, or of the two sides of a join, and what they stand for.
struct Over<'a> {
    schemas: Vec<(&'a DFSchemaRef, &'a [Expr])>,
}

impl<'a> Over<'a> {
    fn new(schema: &'a DFSchemaRef, scope: &'a [Expr]) -> Self {
        Over { schemas: vec![(schema, scope)] }
    }

    fn and(mut self, schema: &'a DFSchemaRef, scope: &'a [Expr]) -> Self {
        self.schemas.push((schema, scope));
        self
    }

    fn find(&self, column: &Column) -> Option<&'a Expr> {
        self.schemas.iter().find_map(|(schema, scope)| scope.get(position(schema, column)?))
    }

    /// The expression over what the relations bring; `None` when it names something else.
    fn rewrite(&self, expr: Expr) -> Option<Expr> {
        let known = expr.column_refs().into_iter().all(|column| self.find(column).is_some());
        if !known {
            return None;
        }
        let replaced = expr.transform_down(|expr| {
            let found = match &expr {
                Expr::Column(column) => self.find(column),
                _ => None,
            };
            Ok(match found {
                // What is put in must not be looked at again.
                Some(found) => Transformed::new(found.clone(), true, TreeNodeRecursion::Jump),
                None => Transformed::no(expr),
            })
        });
        replaced.ok().map(|replaced| replaced.data)
    }
}

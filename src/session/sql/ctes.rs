//! Common table expressions within others of the same name, which the planner refuses: the inner ones get names of their own.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    Ident, ObjectName, Query, Statement, TableAlias, TableFactor, VisitMut, VisitorMut,
};

/// Renames every CTE whose name one of a query around it has.
pub(super) fn rename(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Names::default());
}

#[derive(Default)]
struct Names {
    /// In lower case, those of the queries around, the innermost last.
    around: Vec<Vec<String>>,
    renamed: usize,
}

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.around.push(tables.map(|cte| cte.alias.name.value.to_lowercase()).collect());
        ControlFlow::Continue(())
    }

    /// Queries within this one have other names by now, so that each name in it that fits is that of its own CTE.
    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.around.pop();
        let count = query.with.as_ref().map_or(0, |with| with.cte_tables.len());
        for place in 0..count {
            self.rename_at(query, place);
        }
        ControlFlow::Continue(())
    }
}

impl Names {
    fn rename_at(&mut self, query: &mut Query, place: usize) {
        let Some(mut with) = query.with.take() else { return };
        let old = with.cte_tables.get(place).map(|cte| cte.alias.name.value.clone()).unwrap_or_default();
        if self.around.iter().flatten().any(|name| *name == old.to_lowercase()) {
            self.renamed += 1;
            let mut renaming = Renaming { new: format!("{old}#{}", self.renamed), old };
            // The first one that may read it: itself, or what follows it.
            let first = if with.recursive { place } else { place + 1 };
            for cte in with.cte_tables.iter_mut().skip(first) {
                let _: ControlFlow<()> = VisitMut::visit(&mut cte.query, &mut renaming);
            }
            let _: ControlFlow<()> = VisitMut::visit(query, &mut renaming);
            if let Some(cte) = with.cte_tables.get_mut(place) {
                cte.alias.name = renaming.named(&cte.alias.name);
            }
        }
        query.with = Some(with);
    }
}

struct Renaming {
    old: String,
    new: String,
}

impl Renaming {
    /// The new name in the place of the old one.
    fn named(&self, old: &Ident) -> Ident {
        Ident { value: self.new.clone(), quote_style: Some('"'), span: old.span }
    }
}

impl VisitorMut for Renaming {
    type Break = ();

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else { return ControlFlow::Continue(()) };
        let [part] = name.0.as_slice() else { return ControlFlow::Continue(()) };
        let Some(ident) = part.as_ident().filter(|ident| ident.value.eq_ignore_ascii_case(&self.old)).cloned() else {
            return ControlFlow::Continue(());
        };
        // Its columns may be named with the name that was written.
        let shown = TableAlias { explicit: true, name: ident.clone(), columns: Vec::new(), at: None };
        alias.get_or_insert(shown);
        *name = ObjectName::from(vec![self.named(&ident)]);
        ControlFlow::Continue(())
    }
}

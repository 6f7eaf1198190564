//! Expressions and queries as trees that can be printed as SQL and made smaller.

/// The class of an expression's type. DataFusion's coercion settles the type itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Float,
    Decimal,
    Date,
    Time,
    Span,
    Text,
}

/// An expression: a template with a `{}` for each child.
#[derive(Debug, Clone)]
pub struct Expr {
    pub kind: Kind,
    template: String,
    children: Vec<Expr>,
    /// Whether the operation can fail in a row or for a type, apart from its children.
    fallible: bool,
    /// Whether backends agree within an error bound only.
    inexact: bool,
}

impl Expr {
    pub fn new(kind: Kind, template: impl Into<String>, children: impl Into<Vec<Expr>>) -> Self {
        let (template, children) = (template.into(), children.into());
        assert_eq!(template.matches("{}").count(), children.len(), "{template}");
        // Operands of different types are converted, which can fail.
        let converted =
            |child: &&Self| matches!(child.kind, Kind::Int | Kind::Decimal | Kind::Date | Kind::Time);
        let fallible = children.iter().filter(converted).count() > 1;
        Self { kind, template, children, fallible, inexact: false }
    }

    pub fn leaf(kind: Kind, text: impl Into<String>) -> Self {
        Self::new(kind, text, [])
    }

    /// The same as an expression of another kind.
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    pub fn fallible(mut self) -> Self {
        self.fallible = true;
        self
    }

    pub fn inexact(mut self) -> Self {
        self.inexact = true;
        self
    }

    pub fn sql(&self) -> String {
        let mut parts = self.template.split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (child, part) in self.children.iter().zip(parts) {
            text += &child.sql();
            text += part;
        }
        text
    }

    /// The number of operations that can fail.
    pub fn fallible_operations(&self) -> usize {
        usize::from(self.fallible) + self.children.iter().map(Self::fallible_operations).sum::<usize>()
    }

    /// Whether an operand of AND or OR is not evaluated in rows that others decide. BETWEEN is a conjunction.
    fn short_circuits(&self) -> bool {
        let logical = [" AND ", " OR "].iter().any(|operator| self.template.contains(operator));
        logical || self.children.iter().any(Self::short_circuits)
    }

    pub fn is_inexact(&self) -> bool {
        self.inexact || self.children.iter().any(Self::is_inexact)
    }

    fn size(&self) -> usize {
        1 + self.children.iter().map(Self::size).sum::<usize>()
    }

    /// Smaller expressions of the same kind: a descendant, or the same with a smaller child.
    fn smaller(&self) -> Vec<Self> {
        let mut found = Vec::new();
        self.descendants(self.kind, &mut found);
        if !self.children.is_empty() {
            found.push(Self::leaf(self.kind, "NULL"));
        }
        for (position, child) in self.children.iter().enumerate() {
            for smaller in child.smaller() {
                let mut changed = self.clone();
                changed.children[position] = smaller;
                found.push(changed);
            }
        }
        found
    }

    fn descendants(&self, kind: Kind, found: &mut Vec<Self>) {
        for child in &self.children {
            if child.kind == kind {
                found.push(child.clone());
            }
            child.descendants(kind, found);
        }
    }
}

/// What a query reads.
#[derive(Debug, Clone)]
pub enum Source {
    Table(&'static str),
    /// A table's rows with these columns added, named c0, c1 and so on.
    Nested {
        table: &'static str,
        columns: Vec<Expr>,
        filter: Option<Expr>,
    },
    Join {
        how: &'static str,
        on: Expr,
    },
}

/// A query.
#[derive(Debug, Clone)]
pub struct Query {
    pub source: Source,
    /// Columns that tell the rows apart, if the query is not grouped: they are selected first.
    pub ids: &'static [&'static str],
    /// Selected columns, or aggregates of a grouped query.
    pub columns: Vec<Expr>,
    pub filter: Option<Expr>,
    /// The keys of a grouped query.
    pub group: Option<Vec<Expr>>,
    pub having: Option<Expr>,
    /// The rows are ordered by this and the ids.
    pub order: Option<Expr>,
}

impl Query {
    pub fn sql(&self) -> String {
        let keys = self.group.iter().flatten();
        let selected = self.ids.iter().map(|id| (*id).to_owned());
        let selected = selected.chain(keys.chain(&self.columns).map(Expr::sql));
        let selected = selected.enumerate().map(|(position, text)| format!("{text} AS r{position}"));
        let mut text = format!("SELECT {}", selected.collect::<Vec<_>>().join(", "));
        text += " FROM ";
        text += &match &self.source {
            Source::Table(table) => (*table).to_owned(),
            Source::Nested { table, columns, filter } => {
                let columns = columns.iter().enumerate();
                let columns: String =
                    columns.map(|(position, column)| format!(", {} AS c{position}", column.sql())).collect();
                let filter = filter.as_ref().map(|filter| format!(" WHERE {}", filter.sql()));
                format!("(SELECT *{columns} FROM {table}{}) AS q", filter.unwrap_or_default())
            }
            Source::Join { how, on } => format!("a {how} JOIN m ON {}", on.sql()),
        };
        if let Some(filter) = &self.filter {
            text += &format!(" WHERE {}", filter.sql());
        }
        if let Some(keys) = &self.group
            && !keys.is_empty()
        {
            text += &format!(" GROUP BY {}", keys.iter().map(Expr::sql).collect::<Vec<_>>().join(", "));
        }
        if let Some(having) = &self.having {
            text += &format!(" HAVING {}", having.sql());
        }
        if let Some(order) = &self.order {
            text += &format!(" ORDER BY {}", order.sql());
            for id in self.ids {
                text += &format!(", {id}");
            }
        }
        text
    }

    fn expressions(&self) -> Vec<&Expr> {
        let mut all: Vec<&Expr> = self.columns.iter().collect();
        match &self.source {
            Source::Table(_) => {}
            Source::Nested { columns, filter, .. } => all.extend(columns.iter().chain(filter)),
            Source::Join { on, .. } => all.push(on),
        }
        all.extend(self.group.iter().flatten());
        all.extend(self.filter.iter().chain(&self.having).chain(&self.order));
        all
    }

    fn expressions_mut(&mut self) -> Vec<&mut Expr> {
        let mut all: Vec<&mut Expr> = self.columns.iter_mut().collect();
        match &mut self.source {
            Source::Table(_) => {}
            Source::Nested { columns, filter, .. } => all.extend(columns.iter_mut().chain(filter)),
            Source::Join { on, .. } => all.push(on),
        }
        all.extend(self.group.iter_mut().flatten());
        all.extend(self.filter.iter_mut().chain(&mut self.having).chain(&mut self.order));
        all
    }

    /// The number of operations that can fail.
    pub fn fallible_operations(&self) -> usize {
        self.expressions().into_iter().map(Expr::fallible_operations).sum()
    }

    /// Whether rows are left out by a condition, also by an operand of AND or OR.
    pub fn leaves_out_rows(&self) -> bool {
        let by_source = matches!(&self.source, Source::Nested { filter: Some(_), .. } | Source::Join { .. });
        self.filter.is_some() || by_source || self.expressions().into_iter().any(Expr::short_circuits)
    }

    /// Whether each result column is inexact.
    pub fn inexact_columns(&self) -> Vec<bool> {
        let keys = self.ids.len() + self.group.as_ref().map_or(0, Vec::len);
        let mut inexact = vec![false; keys];
        inexact.extend(self.columns.iter().map(Expr::is_inexact));
        inexact
    }

    fn size(&self) -> usize {
        self.expressions().into_iter().map(Expr::size).sum()
    }

    /// The same query with one of its columns each.
    pub fn single_columns(&self) -> Vec<Self> {
        self.columns.iter().map(|column| Self { columns: vec![column.clone()], ..self.clone() }).collect()
    }

    /// Smaller queries, the smallest first.
    fn smaller(&self) -> Vec<Self> {
        let mut found = Vec::new();
        if self.columns.len() > 1 {
            found.extend(self.single_columns());
            for position in 0..self.columns.len() {
                let mut changed = self.clone();
                changed.columns.remove(position);
                found.push(changed);
            }
        }
        if let Source::Nested { table, columns, .. } = &self.source {
            found.push(Self { source: Source::Table(table), ..self.clone() });
            let last = columns.len().saturating_sub(1);
            let columns = columns[..last].to_vec();
            found.push(Self { source: Source::Nested { table, columns, filter: None }, ..self.clone() });
        }
        found.push(Self { filter: None, ..self.clone() });
        found.push(Self { having: None, ..self.clone() });
        found.push(Self { order: None, ..self.clone() });
        for position in 0..self.expressions().len() {
            for smaller in self.expressions()[position].smaller() {
                let mut changed = self.clone();
                *changed.expressions_mut()[position] = smaller;
                found.push(changed);
            }
        }
        found.retain(|query| query.size() < self.size());
        found.sort_by_key(Self::size);
        found
    }

    /// The smallest query found, in at most `attempts` attempts, for which `fails` holds as for this one.
    pub fn shrink(mut self, mut attempts: usize, mut fails: impl FnMut(&Self) -> bool) -> Self {
        loop {
            let candidates = self.smaller();
            let next = candidates.into_iter().take(attempts).find(|candidate| {
                attempts -= 1;
                fails(candidate)
            });
            match next {
                Some(smaller) => self = smaller,
                None => return self,
            }
        }
    }
}

//! Random queries over tables of small values whose meaning DuckDB shares: no division by zero or of integers, no
//! overflow, no NaN, infinity or conversion that can fail, and only exact functions.

use crate::expr::Kind::{self, Bool, Date, Decimal, Float, Int, Span, Text, Time};
use crate::expr::{Expr, Query, Source};
use crate::grammar::aggregate_function;
use crate::random::Random;

/// The columns and their classes. Other integers are too narrow for sums in DuckDB, which don't wrap there.
const COLUMNS: [(&str, Kind); 13] = [
    ("n", Int),
    ("i32", Int),
    ("i64", Int),
    ("CAST(i16 AS BIGINT)", Int),
    ("CAST(u8 AS INT)", Int),
    ("b", Bool),
    ("f64", Float),
    ("f32", Float),
    ("x", Float),
    ("dec", Decimal),
    ("d", Date),
    ("t", Time),
    ("s", Text),
];

/// Generates queries.
pub struct SharedGrammar {
    pub random: Random,
    columns: Vec<(String, Kind)>,
}

impl SharedGrammar {
    pub fn new(random: Random) -> Self {
        Self { random, columns: Vec::new() }
    }

    pub fn query(&mut self) -> Query {
        self.columns = COLUMNS.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        let mut ids: &[&str] = &["id"];
        let table = self.random.pick(&["a", "m"]);
        let source = match self.random.below(6) {
            0 => {
                ids = &["a.id", "m.id"];
                self.join()
            }
            1 => self.nested(table),
            _ => Source::Table(table),
        };
        // Both engines turn outer joins into inner ones where they take a condition for one that rejects nulls, and
        // take too many for it: there is no condition above a join.
        let filter = !matches!(source, Source::Join { .. }) && self.random.one_in(2);
        let filter = filter.then(|| self.expr(Bool, 3));
        if self.random.one_in(4) {
            let keys = (0..self.random.below(3)).map(|_| self.key()).collect();
            let columns = (0..=self.random.below(3)).map(|_| self.aggregate()).collect();
            return Query { source, ids: &[], columns, filter, group: Some(keys), having: None, order: None };
        }
        let columns = (0..=self.random.below(3)).map(|_| self.any(3)).collect();
        Query { source, ids, columns, filter, group: None, having: None, order: None }
    }

    fn nested(&mut self, table: &'static str) -> Source {
        let kind = self.random.pick(&[Bool, Int, Float]);
        let columns = vec![self.expr(kind, 1)];
        let filter = self.random.one_in(3).then(|| self.expr(Bool, 2));
        // An integer of a subquery counts as one operation, so that sums and products of it stay small.
        self.columns.extend(vec![("c0".to_owned(), kind); 4]);
        Source::Nested { table, columns, filter }
    }

    fn join(&mut self) -> Source {
        self.columns = Vec::new();
        for table in ["a", "m"] {
            let plain = COLUMNS.iter().filter(|(name, _)| !name.starts_with("CAST"));
            self.columns.extend(plain.map(|(name, kind)| (format!("{table}.{name}"), *kind)));
        }
        let key = self.random.pick(&["n", "i32", "b", "s", "d"]);
        let equal = Expr::leaf(Bool, format!("a.{key} = m.{key}"));
        let on = match self.random.below(3) {
            0 => equal,
            _ => Expr::new(Bool, "{} AND {}", [equal, self.expr(Bool, 2)]),
        };
        Source::Join { how: self.random.pick(&["INNER", "LEFT", "RIGHT", "FULL"]), on }
    }

    fn key(&mut self) -> Expr {
        let kind = self.random.pick(&[Bool, Int, Date, Text]);
        // A number alone would be the position of a column.
        match self.random.below(3) {
            0 => self.node(kind, "coalesce({}, {})", 1),
            _ => self.leaf_column(kind),
        }
    }

    fn aggregate(&mut self) -> Expr {
        let kind = self.random.pick(&[Int, Int, Float, Float, Decimal, Date, Time, Text]);
        let operand = self.expr(kind, 2);
        let function = aggregate_function(&mut self.random, kind, matches!(kind, Int | Float));
        if self.random.one_in(4) {
            let template = format!("{function} FILTER (WHERE {{}})");
            return Expr::new(kind, template, [operand, self.expr(Bool, 2)]);
        }
        Expr::new(kind, function, [operand])
    }

    fn any(&mut self, depth: usize) -> Expr {
        let kind = self
            .random
            .pick(&[Bool, Bool, Bool, Int, Int, Int, Float, Float, Float, Decimal, Date, Time, Text]);
        self.expr(kind, depth)
    }

    fn node(&mut self, kind: Kind, template: impl Into<String>, depth: usize) -> Expr {
        let template = template.into();
        let operands: Vec<Expr> =
            (0..template.matches("{}").count()).map(|_| self.expr(kind, depth)).collect();
        Expr::new(kind, template, operands)
    }

    fn leaf_column(&mut self, kind: Kind) -> Expr {
        let of_kind: Vec<&String> =
            self.columns.iter().filter(|(_, column)| *column == kind).map(|(name, _)| name).collect();
        Expr::leaf(kind, of_kind[self.random.below(of_kind.len())])
    }

    fn literal(&mut self, kind: Kind) -> Expr {
        let text = match kind {
            Bool => self.random.pick(&["TRUE", "FALSE"]).to_owned(),
            Int => self.random.between(0, 20).to_string(),
            // DuckDB's numbers without an exponent are decimals.
            Float => format!("{:e}", self.random.between(0, 80) as f64 / 8.0),
            Decimal => format!("CAST({} AS DECIMAL(10, 2))", self.random.between(0, 80) as f64 / 8.0),
            Date => format!("DATE '2024-01-{}'", self.random.between(10, 28)),
            Time => format!("TIMESTAMP '2024-01-{} 07:30:00'", self.random.between(10, 28)),
            Text => self.random.pick(&["'a'", "'ab'", "''", "'z'"]).to_owned(),
            Span => unreachable!("there are no intervals in this grammar"),
        };
        Expr::leaf(kind, text)
    }

    fn expr(&mut self, kind: Kind, depth: usize) -> Expr {
        if depth == 0 {
            return if self.random.one_in(4) { self.literal(kind) } else { self.leaf_column(kind) };
        }
        let depth = if self.random.one_in(4) { 0 } else { depth - 1 };
        match self.random.below(8) {
            0 => {
                let operands = [self.expr(Bool, depth), self.expr(kind, depth), self.expr(kind, depth)];
                Expr::new(kind, "CASE WHEN {} THEN {} ELSE {} END", operands)
            }
            1 => {
                let of = self.random.pick(&[Int, Text, Bool]);
                let operands =
                    [self.expr(of, depth), self.expr(of, 0), self.expr(kind, depth), self.expr(kind, depth)];
                Expr::new(kind, "CASE {} WHEN {} THEN {} WHEN NULL THEN {} END", operands)
            }
            2 => {
                // DataFusion's nullif distinguishes the zeros.
                let last = if kind == Float { "coalesce" } else { "nullif" };
                let function = self.random.pick(&["coalesce", "greatest", "least", last]);
                self.node(kind, format!("{function}({{}}, {{}})"), depth)
            }
            _ => match kind {
                Bool => self.predicate(depth),
                Int => self.integer(depth),
                Float => self.float(depth),
                Decimal => self.node(Decimal, "abs({})", depth),
                Date => Expr::new(Date, "CAST({} AS DATE)", [self.expr(Time, depth)]),
                Time if self.random.one_in(2) => {
                    Expr::new(Time, "CAST({} AS TIMESTAMP)", [self.expr(Date, depth)])
                }
                Time => self.node(Time, "date_trunc('hour', {})", depth),
                Text if self.random.one_in(3) => {
                    Expr::new(Text, "CAST({} AS VARCHAR)", [self.expr(Int, depth)])
                }
                Text => {
                    let template = self.random.pick(&["({} || {})", "upper({})", "substr({}, 1, 2)"]);
                    self.node(Text, template, depth)
                }
                Span => unreachable!("there are no intervals in this grammar"),
            },
        }
    }

    fn predicate(&mut self, depth: usize) -> Expr {
        let kind = self.random.pick(&[Int, Int, Int, Float, Float, Float, Decimal, Date, Time, Text, Bool]);
        match self.random.below(12) {
            0..=2 => {
                let other = if kind == Float && self.random.one_in(3) { Int } else { kind };
                let comparison = self.random.pick(&["=", "<>", "<", "<=", ">", ">="]);
                let operands = [self.expr(kind, depth), self.expr(other, depth)];
                Expr::new(Bool, format!("({{}} {comparison} {{}})"), operands)
            }
            3 => {
                let not = self.random.pick(&["", "NOT "]);
                self.node(kind, format!("({{}} {not}BETWEEN {{}} AND {{}})"), depth.min(1)).of_kind(Bool)
            }
            4 => {
                let not = self.random.pick(&["", "NOT "]);
                let count = 1 + self.random.below(5);
                let mut operands = vec![self.expr(kind, depth)];
                operands.extend((0..count).map(|_| self.literal(kind)));
                let mut list = vec!["{}"; count].join(", ");
                if self.random.one_in(4) {
                    list += ", NULL";
                }
                Expr::new(Bool, format!("({{}} {not}IN ({list}))"), operands)
            }
            5 | 6 => {
                let operator = self.random.pick(&["AND", "OR"]);
                self.node(Bool, format!("({{}} {operator} {{}})"), depth)
            }
            7 => self.node(Bool, "(NOT {})", depth),
            8 => {
                let test = self.random.pick(&["IS NULL", "IS NOT NULL"]);
                Expr::new(Bool, format!("({{}} {test})"), [self.expr(kind, depth)])
            }
            9 => {
                let test = self.random.pick(&["IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE"]);
                self.node(Bool, format!("({{}} {test})"), depth)
            }
            10 => {
                let test = self.random.pick(&["IS DISTINCT FROM", "IS NOT DISTINCT FROM"]);
                self.node(kind, format!("({{}} {test} {{}})"), depth).of_kind(Bool)
            }
            _ => {
                let pattern = self.random.pick(&["'%b%'", "'a%'", "'_'"]);
                Expr::new(Bool, format!("({{}} LIKE {pattern})"), [self.expr(Text, depth)])
            }
        }
    }

    fn integer(&mut self, depth: usize) -> Expr {
        match self.random.below(10) {
            0..=2 => {
                let operator = self.random.pick(&["+", "-"]);
                self.node(Int, format!("({{}} {operator} {{}})"), depth)
            }
            3 => Expr::new(Int, "({} * {})", [self.expr(Int, depth), self.expr(Int, 0)]),
            4 => {
                let divisor = Expr::leaf(Int, self.random.between(1, 9).to_string());
                Expr::new(Int, "({} % {})", [self.expr(Int, depth), divisor])
            }
            5 => {
                let operator = self.random.pick(&["&", "|"]);
                self.node(Int, format!("({{}} {operator} {{}})"), depth)
            }
            6 => {
                // Not `-x`: DataFusion distributes it over & and |, as if it were a bitwise NOT.
                let template = self.random.pick(&["(0 - {})", "abs({})"]);
                self.node(Int, template, depth)
            }
            7 => Expr::new(Int, "CAST({} AS INT)", [self.expr(Bool, depth)]),
            8 => {
                let part = self.random.pick(&["year", "month", "day"]);
                Expr::new(Int, format!("extract({part} FROM {{}})"), [self.expr(Date, depth)])
            }
            _ => Expr::new(Int, "CAST(floor({}) AS BIGINT)", [self.expr(Float, 0)]),
        }
    }

    fn float(&mut self, depth: usize) -> Expr {
        match self.random.below(8) {
            0..=2 => {
                let operator = self.random.pick(&["+", "-", "*"]);
                let other = if self.random.one_in(4) { Int } else { Float };
                let operands = [self.expr(Float, depth), self.expr(other, depth)];
                Expr::new(Float, format!("({{}} {operator} {{}})"), operands)
            }
            3 => self.node(Float, "({} / (abs({}) + 1e0))", depth),
            // DuckDB's square root of a REAL is a DOUBLE.
            4 => self.node(Float, "sqrt(abs(CAST({} AS DOUBLE)))", depth),
            5 => Expr::new(Float, "CAST({} AS DOUBLE)", [self.expr(Int, depth)]),
            _ => {
                let function = self.random.pick(&["abs", "floor", "ceil", "round", "- "]);
                self.node(Float, format!("({function}({{}}))"), depth)
            }
        }
    }
}

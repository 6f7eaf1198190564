//! Random queries over the tables, of everything that fusion may touch.

use crate::expr::Kind::{self, Bool, Date, Decimal, Float, Int, Span, Text, Time};
use crate::expr::{Expr, Query, Source};
use crate::random::Random;
use crate::tables::COLUMNS;

/// Generates queries.
pub struct Grammar {
    pub random: Random,
    /// Whether inexact functions may occur everywhere: the result then depends on their last bits.
    pub rough: bool,
    /// The names and classes of the columns that expressions may use.
    columns: Vec<(String, Kind)>,
}

const KINDS: [Kind; 11] = [Bool, Bool, Int, Int, Int, Float, Float, Float, Decimal, Date, Time];

const INTEGERS: [&str; 8] = [
    "TINYINT",
    "SMALLINT",
    "INT",
    "BIGINT",
    "TINYINT UNSIGNED",
    "SMALLINT UNSIGNED",
    "INT UNSIGNED",
    "BIGINT UNSIGNED",
];

const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

impl Grammar {
    pub fn new(random: Random, rough: bool) -> Self {
        Self { random, rough, columns: Vec::new() }
    }

    pub fn query(&mut self) -> Query {
        let table = self.random.pick(&["a", "a", "m"]);
        self.columns = COLUMNS.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        let mut ids: &[&str] = &["id"];
        let source = match self.random.below(8) {
            0 => {
                ids = &["a.id", "m.id"];
                self.join()
            }
            1 | 2 => self.nested(table),
            _ => Source::Table(table),
        };
        let filter = self.random.one_in(2).then(|| self.condition());
        if self.random.one_in(5) {
            let keys = (0..self.random.below(3)).map(|_| self.key()).collect();
            let columns = (0..=self.random.below(3)).map(|_| self.aggregate()).collect();
            let having = self.random.one_in(4).then(|| self.having());
            return Query { source, ids: &[], columns, filter, group: Some(keys), having, order: None };
        }
        let in_table = matches!(source, Source::Table(_));
        let columns = (0..=self.random.below(4)).map(|_| self.column(in_table)).collect();
        let order = self.random.one_in(8).then(|| self.any(2));
        Query { source, ids, columns, filter, group: None, having: None, order }
    }

    fn nested(&mut self, table: &'static str) -> Source {
        let columns: Vec<Expr> = (0..=self.random.below(2)).map(|_| self.any(3)).collect();
        let filter = self.random.one_in(3).then(|| self.condition());
        let added =
            columns.iter().enumerate().map(|(position, column)| (format!("c{position}"), column.kind));
        // The columns of the subquery are used more often than the others.
        for _ in 0..4 {
            self.columns.extend(added.clone());
        }
        Source::Nested { table, columns, filter }
    }

    fn join(&mut self) -> Source {
        self.columns = Vec::new();
        for table in ["a", "m"] {
            self.columns.extend(COLUMNS.iter().map(|(name, kind)| (format!("{table}.{name}"), *kind)));
        }
        let key = self.random.pick(&["i8", "i16", "n", "b", "u8", "f64", "d"]);
        let equal = Expr::leaf(Bool, format!("a.{key} = m.{key}"));
        let on = match self.random.below(4) {
            0 => equal,
            1 => self.condition(),
            _ => Expr::new(Bool, "{} AND {}", [equal, self.condition()]),
        };
        Source::Join { how: self.random.pick(&["INNER", "LEFT", "RIGHT", "FULL"]), on }
    }

    fn column(&mut self, in_table: bool) -> Expr {
        match self.random.below(12) {
            0 if in_table => {
                let (kind, function) =
                    self.random.pick(&[(Int, "sum"), (Float, "avg"), (Float, "max"), (Decimal, "min")]);
                let operands = [self.expr(kind, 2), self.leaf_column(Bool)];
                Expr::new(kind, format!("{function}({{}}) OVER (PARTITION BY {{}} ORDER BY id)"), operands)
                    .fallible()
            }
            1 if !self.rough => self.inexact(),
            2 => self.expr(Span, 2),
            3 => self.expr(Text, 3),
            _ => self.any(4),
        }
    }

    /// A function whose backends agree within an error bound, of exact operands.
    fn inexact(&mut self) -> Expr {
        let (function, operands) = self.inexact_function();
        let other = self.expr(Float, 2);
        // Of a REAL, so that the type of the result is that of the function: it settles the error bound.
        match self.random.below(4) {
            0 => {
                let template = format!("({function} * CAST({{}} AS REAL))");
                Expr::new(Float, template, [operands, vec![other]].concat())
            }
            1 => {
                let template = format!("CASE WHEN {{}} THEN {function} ELSE CAST({{}} AS REAL) END");
                Expr::new(Float, template, [vec![self.condition()], operands, vec![other]].concat())
            }
            _ => Expr::new(Float, function, operands),
        }
        .inexact()
    }

    fn inexact_function(&mut self) -> (&'static str, Vec<Expr>) {
        let function = self.random.pick(&[
            "ln({})",
            "exp({})",
            "log2({})",
            "log10({})",
            "cbrt({})",
            "atan({})",
            "tanh({})",
            "sin({})",
            "degrees({})",
            "power({}, {})",
            "atan2({}, {})",
        ]);
        let operands = function.matches("{}").count();
        // Where a result is near zero or the operand is huge, one bit of the operand is many of the result: the
        // operands are exact.
        let operands = (0..operands).map(|_| self.expr(Float, 1)).collect();
        (function, operands)
    }

    fn key(&mut self) -> Expr {
        match self.random.below(3) {
            0 => {
                let kind = self.random.pick(&KINDS);
                self.expr(kind, 2)
            }
            _ => self.leaf_column(Bool),
        }
    }

    fn aggregate(&mut self) -> Expr {
        let kind = self.random.pick(&[Int, Int, Float, Float, Decimal, Date, Time, Bool]);
        let operand = self.expr(kind, 3);
        let number = matches!(kind, Int | Float | Decimal);
        let function = aggregate_function(&mut self.random, kind, number);
        let aggregate = if self.random.one_in(5) {
            let template = format!("{function} FILTER (WHERE {{}})");
            Expr::new(kind, template, [operand, self.condition()])
        } else {
            Expr::new(kind, function, [operand])
        };
        aggregate.fallible()
    }

    fn having(&mut self) -> Expr {
        let aggregate = self.aggregate();
        let literal = self.literal(aggregate.kind);
        Expr::new(Bool, format!("{{}} {} {{}}", self.random.pick(&COMPARISONS)), [aggregate, literal])
            .fallible()
    }

    fn condition(&mut self) -> Expr {
        self.expr(Bool, 3)
    }

    fn any(&mut self, depth: usize) -> Expr {
        let kind = self.random.pick(&KINDS);
        self.expr(kind, depth)
    }

    /// A random expression of at most this depth.
    fn expr(&mut self, kind: Kind, depth: usize) -> Expr {
        if depth == 0 {
            return if self.random.one_in(4) { self.literal(kind) } else { self.leaf_column(kind) };
        }
        let depth = if self.random.one_in(4) { 0 } else { depth - 1 };
        match kind {
            Span => return self.span(depth),
            Bool if !self.random.one_in(4) => return self.predicate(depth),
            _ => {}
        }
        // What there is for all types.
        match self.random.below(10) {
            0 | 1 => self.case(kind, depth),
            2 => {
                let function = self.random.pick(&["coalesce", "nullif", "greatest", "least"]);
                match (function, kind) {
                    // DataFusion takes zeros of different signs for different.
                    ("nullif", Float) => self.node(kind, "nullif({} + 0e0, {} + 0e0)", depth),
                    _ => self.node(kind, format!("{function}({{}}, {{}})"), depth),
                }
            }
            3 => self.cast(kind, depth),
            _ => match kind {
                Bool => self.predicate(depth),
                Int => self.integer(depth),
                Float => self.float(depth),
                Decimal => self.decimal(depth),
                Date => self.date(depth),
                Time => self.time(depth),
                Span => self.span(depth),
                Text => self.text(depth),
            },
        }
    }

    /// An operation of operands of its own kind.
    fn node(&mut self, kind: Kind, template: impl Into<String>, depth: usize) -> Expr {
        let template = template.into();
        let operands: Vec<Expr> =
            (0..template.matches("{}").count()).map(|_| self.expr(kind, depth)).collect();
        Expr::new(kind, template, operands)
    }

    fn leaf_column(&mut self, kind: Kind) -> Expr {
        let of_kind = self.columns.iter().filter(|(_, column)| *column == kind);
        let of_kind: Vec<&String> = of_kind.map(|(name, _)| name).collect();
        if of_kind.is_empty() {
            return self.literal(kind);
        }
        Expr::leaf(kind, of_kind[self.random.below(of_kind.len())])
    }

    fn literal(&mut self, kind: Kind) -> Expr {
        if self.random.one_in(12) {
            return self.null(kind);
        }
        let text = match kind {
            Bool => self.random.pick(&["TRUE", "FALSE"]).to_owned(),
            Int => match self.random.below(4) {
                0 => self
                    .random
                    .pick(&[
                        "CAST('-128' AS TINYINT)",
                        "CAST('127' AS TINYINT)",
                        "CAST('-32768' AS SMALLINT)",
                        "CAST('-2147483648' AS INT)",
                        "CAST('2147483647' AS INT)",
                        "CAST('-9223372036854775808' AS BIGINT)",
                        "9223372036854775807",
                        "CAST('18446744073709551615' AS BIGINT UNSIGNED)",
                        "CAST(200 AS TINYINT UNSIGNED)",
                        "CAST(0 AS SMALLINT UNSIGNED)",
                        "0",
                    ])
                    .to_owned(),
                1 => format!("CAST({} AS {})", self.random.between(0, 20), self.random.pick(&INTEGERS)),
                _ => match self.random.between(-20, 20) {
                    number if number < 0 => format!("({number})"),
                    number => number.to_string(),
                },
            },
            Float => match self.random.below(4) {
                0 => self
                    .random
                    .pick(&[
                        "CAST('NaN' AS DOUBLE)",
                        "CAST('-0.0' AS DOUBLE)",
                        "CAST('inf' AS DOUBLE)",
                        "CAST('-inf' AS REAL)",
                        "1e308",
                        "9.3e18",
                        "0e0",
                    ])
                    .to_owned(),
                1 => format!("CAST({} AS REAL)", self.random.between(0, 80) as f64 / 8.0),
                _ => format!("{:e}", self.random.between(0, 80) as f64 / 8.0),
            },
            Decimal => match self.random.below(3) {
                0 => "CAST('12345678901234567890.5' AS DECIMAL(38, 10))".to_owned(),
                _ => format!("CAST({} AS DECIMAL(10, 2))", self.random.between(0, 800) as f64 / 8.0),
            },
            Date => format!("DATE '2024-0{}-{}'", self.random.between(1, 3), self.random.between(10, 28)),
            Time => format!(
                "TIMESTAMP '2024-01-{} 0{}:30:00'",
                self.random.between(10, 28),
                self.random.below(10)
            ),
            Span => self
                .random
                .pick(&["INTERVAL '1 day'", "INTERVAL '1 month'", "INTERVAL '90 minutes'"])
                .to_owned(),
            Text => self.random.pick(&["''", "'1'", "'-7'", "'abc'", "'2024-01-15'", "'1e3'"]).to_owned(),
        };
        Expr::leaf(kind, text)
    }

    fn null(&mut self, kind: Kind) -> Expr {
        let data_type = self.type_of(kind);
        Expr::leaf(kind, format!("CAST(NULL AS {data_type})"))
    }

    fn type_of(&mut self, kind: Kind) -> &'static str {
        match kind {
            Bool => "BOOLEAN",
            Int => self.random.pick(&INTEGERS),
            Float => self.random.pick(&["DOUBLE", "DOUBLE", "REAL"]),
            Decimal => self.random.pick(&["DECIMAL(10, 2)", "DECIMAL(38, 10)", "DECIMAL(5, 0)"]),
            Date => "DATE",
            Time => "TIMESTAMP",
            Span => "INTERVAL",
            Text => "VARCHAR",
        }
    }

    fn cast(&mut self, kind: Kind, depth: usize) -> Expr {
        let from: &[Kind] = match kind {
            Bool => &[Int, Int, Text],
            Int => &[Int, Int, Int, Float, Float, Bool, Decimal, Text],
            Float => &[Int, Int, Int, Float, Bool, Decimal, Text],
            Decimal => &[Int, Float, Decimal, Text],
            Date => &[Time, Text],
            Time => &[Date, Text],
            Text => &[Int, Float, Bool, Date, Decimal],
            Span => &[Span],
        };
        let from = self.random.pick(from);
        let function = if self.random.one_in(3) { "CAST" } else { "TRY_CAST" };
        let template = format!("{function}({{}} AS {})", self.type_of(kind));
        Expr::new(kind, template, [self.expr(from, depth)]).fallible()
    }

    fn case(&mut self, kind: Kind, depth: usize) -> Expr {
        match self.random.below(6) {
            0 => {
                let of = self.random.pick(&[Int, Float, Text]);
                let operands = [
                    self.expr(of, depth),
                    self.expr(of, 0),
                    self.expr(kind, depth),
                    self.expr(of, 0),
                    self.expr(kind, depth),
                    self.expr(kind, depth),
                ];
                // Likewise.
                let template = match of {
                    Float => "CASE {} + 0e0 WHEN {} + 0e0 THEN {} WHEN {} + 0e0 THEN {} ELSE {} END",
                    _ => "CASE {} WHEN {} THEN {} WHEN {} THEN {} ELSE {} END",
                };
                Expr::new(kind, template, operands)
            }
            1 => {
                let operands = [self.expr(Bool, depth), self.expr(kind, depth)];
                Expr::new(kind, "CASE WHEN {} THEN {} END", operands)
            }
            2 => self.guarded(kind, depth),
            3 => {
                let operands = [
                    self.expr(Bool, depth),
                    self.expr(kind, depth),
                    self.expr(Bool, depth),
                    self.expr(kind, depth),
                    self.expr(kind, depth),
                ];
                Expr::new(kind, "CASE WHEN {} THEN {} WHEN {} THEN {} ELSE {} END", operands)
            }
            _ => {
                let operands = [self.expr(Bool, depth), self.expr(kind, depth), self.expr(kind, depth)];
                Expr::new(kind, "CASE WHEN {} THEN {} ELSE {} END", operands)
            }
        }
    }

    /// An operation that would fail in some rows, in the branch of a CASE that these rows don't reach.
    fn guarded(&mut self, kind: Kind, depth: usize) -> Expr {
        let otherwise = self.expr(kind, 0);
        let (template, operands) = match kind {
            Int => {
                let (x, y) = (self.expr(Int, depth), self.leaf_column(Int));
                let (i, f, s) = (self.leaf_column(Int), self.leaf_column(Float), self.leaf_column(Text));
                match self.random.below(6) {
                    0 => ("CASE WHEN {} <> 0 THEN {} / {} ELSE {} END", vec![y.clone(), x, y, otherwise]),
                    1 => ("CASE WHEN {} = 0 THEN {} ELSE {} % {} END", vec![y.clone(), otherwise, x, y]),
                    2 => (
                        "CASE WHEN {} BETWEEN -100 AND 100 THEN CAST({} AS TINYINT) ELSE {} END",
                        vec![i.clone(), i, otherwise],
                    ),
                    3 => (
                        "CASE WHEN {} BETWEEN -100 AND 100 THEN CAST({} AS TINYINT) ELSE {} END",
                        vec![f.clone(), f, otherwise],
                    ),
                    4 => (
                        "CASE WHEN {} IN ('0', '1', '42', '12', '-7') THEN CAST({} AS INT) ELSE {} END",
                        vec![s.clone(), s, otherwise],
                    ),
                    _ => ("CASE WHEN {} > -100 THEN abs({}) ELSE {} END", vec![i.clone(), i, otherwise]),
                }
            }
            Float => {
                let x = self.expr(Float, depth.min(1));
                ("CASE WHEN {} >= 0 THEN sqrt({}) ELSE {} END", vec![x.clone(), x, otherwise])
            }
            Bool => {
                let (x, y, z) = (self.expr(Int, depth), self.leaf_column(Int), self.expr(Int, 0));
                let f = self.leaf_column(Float);
                match self.random.below(4) {
                    0 => ("({} <> 0 AND {} / {} > {})", vec![y.clone(), x, y, z]),
                    1 => ("({} = 0 OR {} % {} = {})", vec![y.clone(), x, y, z]),
                    2 => ("({} >= 0 AND sqrt({}) < {})", vec![f.clone(), f.clone(), f]),
                    _ => ("({} BETWEEN 0 AND 100 AND CAST({} AS TINYINT) > {})", vec![f.clone(), f, z]),
                }
            }
            Decimal => {
                let (x, y) = (self.leaf_column(Decimal), self.leaf_column(Decimal));
                ("CASE WHEN {} <> 0 THEN {} / {} ELSE {} END", vec![y.clone(), x, y, otherwise])
            }
            _ => return self.node(kind, "coalesce({}, {})", depth),
        };
        Expr::new(kind, template, operands).fallible()
    }

    fn predicate(&mut self, depth: usize) -> Expr {
        let kind = self.random.pick(&[Int, Int, Int, Float, Float, Float, Decimal, Date, Time, Text, Bool]);
        match self.random.below(17) {
            0..=3 => {
                let other = match (kind, self.random.below(3)) {
                    (Int, 0) => Float,
                    (Float, 0) => Int,
                    (Decimal, 0) => Int,
                    (Date, 0) => Time,
                    _ => kind,
                };
                let operands = [self.expr(kind, depth), self.expr(other, depth)];
                Expr::new(Bool, format!("({{}} {} {{}})", self.random.pick(&COMPARISONS)), operands)
            }
            4 => {
                let not = self.random.pick(&["", "NOT "]);
                let operands = [self.expr(kind, depth), self.expr(kind, 1), self.expr(kind, 1)];
                Expr::new(Bool, format!("({{}} {not}BETWEEN {{}} AND {{}})"), operands)
            }
            5 => {
                let not = self.random.pick(&["", "NOT "]);
                let count = if self.random.one_in(5) { 12 } else { 1 + self.random.below(5) };
                let mut operands = vec![self.expr(kind, depth)];
                for _ in 0..count {
                    operands.push(if self.random.one_in(6) {
                        self.expr(kind, 1)
                    } else {
                        self.literal(kind)
                    });
                }
                // Likewise.
                let operand = if kind == Float { "{} + 0e0" } else { "{}" };
                let list = vec![operand; count].join(", ");
                Expr::new(Bool, format!("({operand} {not}IN ({list}))"), operands)
            }
            6..=8 => {
                let operator = self.random.pick(&["AND", "OR"]);
                self.node(Bool, format!("({{}} {operator} {{}})"), depth)
            }
            9 => self.node(Bool, "(NOT {})", depth),
            10 => {
                let test = self.random.pick(&["IS NULL", "IS NOT NULL"]);
                Expr::new(Bool, format!("({{}} {test})"), [self.expr(kind, depth)])
            }
            11 => {
                let test = self.random.pick(&[
                    "IS TRUE",
                    "IS NOT TRUE",
                    "IS FALSE",
                    "IS NOT FALSE",
                    "IS UNKNOWN",
                    "IS NOT UNKNOWN",
                ]);
                self.node(Bool, format!("({{}} {test})"), depth)
            }
            12 => {
                let test = self.random.pick(&["IS DISTINCT FROM", "IS NOT DISTINCT FROM"]);
                Expr::new(
                    Bool,
                    format!("({{}} {test} {{}})"),
                    [self.expr(kind, depth), self.expr(kind, depth)],
                )
            }
            13 => Expr::new(Bool, "isnan({})", [self.expr(Float, depth)]),
            14 => {
                let pattern = self.random.pick(&["'%1%'", "'a%'", "'_'"]);
                Expr::new(Bool, format!("({{}} LIKE {pattern})"), [self.expr(Text, depth)])
            }
            15 => {
                let kind = self.random.pick(&[Date, Time]);
                let comparison = self.random.pick(&COMPARISONS);
                let template = format!("(({{}} - {{}}) {comparison} ({{}} - {{}}))");
                self.node(kind, template, depth.min(1)).of_kind(Bool).fallible()
            }
            _ => self.guarded(Bool, depth),
        }
    }

    fn integer(&mut self, depth: usize) -> Expr {
        match self.random.below(16) {
            0..=4 => {
                let operator = self.random.pick(&["+", "-", "*"]);
                self.node(Int, format!("({{}} {operator} {{}})"), depth)
            }
            5 | 6 => {
                let operator = self.random.pick(&["/", "%"]);
                let divisor = match self.random.below(3) {
                    0 => self.expr(Int, depth),
                    1 => Expr::leaf(Int, format!("{}", self.random.between(1, 9))),
                    _ => Expr::new(Int, "nullif({}, 0)", [self.expr(Int, depth)]),
                };
                Expr::new(Int, format!("({{}} {operator} {{}})"), [self.expr(Int, depth), divisor]).fallible()
            }
            7..=9 => {
                let operator = self.random.pick(&["&", "|", "^"]);
                self.node(Int, format!("({{}} {operator} {{}})"), depth)
            }
            10 => {
                let operator = self.random.pick(&["<<", ">>"]);
                let by = match self.random.below(3) {
                    0 => self.expr(Int, depth),
                    _ => Expr::leaf(Int, self.random.below(9).to_string()),
                };
                Expr::new(Int, format!("({{}} {operator} {{}})"), [self.expr(Int, depth), by]).fallible()
            }
            // Unsigned integers have no negative.
            11 => self.node(Int, "(- TRY_CAST({} AS BIGINT))", depth).fallible(),
            12 => self.node(Int, "abs({})", depth).fallible(),
            13 => {
                let part = self.random.pick(&["year", "month", "day", "dow"]);
                let kind = self.random.pick(&[Date, Time]);
                Expr::new(Int, format!("extract({part} FROM {{}})"), [self.expr(kind, depth)]).fallible()
            }
            14 => match self.random.below(4) {
                0 => Expr::new(Int, "CAST({} AS BIGINT)", [self.expr(Time, depth)]).fallible(),
                1 => Expr::new(Int, "CAST({} AS INT)", [self.expr(Date, depth)]).fallible(),
                _ => Expr::new(Int, "character_length({})", [self.expr(Text, depth)]),
            },
            _ => self.guarded(Int, depth),
        }
    }

    fn float(&mut self, depth: usize) -> Expr {
        match self.random.below(16) {
            0..=5 => {
                let operator = self.random.pick(&["+", "-", "*", "/", "%"]);
                let other = if self.random.one_in(4) { Int } else { Float };
                let operands = [self.expr(Float, depth), self.expr(other, depth)];
                Expr::new(Float, format!("({{}} {operator} {{}})"), operands)
            }
            6 => self.node(Float, "(- {})", depth),
            7..=10 => {
                let function = self
                    .random
                    .pick(&["abs", "floor", "ceil", "round", "trunc", "signum", "nanvl", "round2"]);
                match function {
                    "nanvl" => self.node(Float, "nanvl({}, {})", depth),
                    // DataFusion's result is not finite for greater numbers.
                    "round2" => self.node(Float, "round({} % 1e9, 2)", depth),
                    function => self.node(Float, format!("{function}({{}})"), depth),
                }
            }
            11 => self.node(Float, "sqrt(abs({}))", depth),
            12 if self.random.one_in(3) => self.node(Float, "sqrt({})", depth).fallible(),
            13 if self.rough => {
                let (template, _) = self.inexact_function();
                let expr = self.node(Float, template, depth).inexact();
                if template.starts_with("power") { expr.fallible() } else { expr }
            }
            13 | 14 => self.guarded(Float, depth),
            _ => Expr::new(Float, "({} / {})", [self.expr(Int, depth), self.expr(Float, depth)]),
        }
    }

    fn decimal(&mut self, depth: usize) -> Expr {
        match self.random.below(6) {
            0..=2 => {
                let operator = self.random.pick(&["+", "-", "*", "%"]);
                let other = if self.random.one_in(3) { Int } else { Decimal };
                let operands = [self.expr(Decimal, depth), self.expr(other, depth)];
                Expr::new(Decimal, format!("({{}} {operator} {{}})"), operands).fallible()
            }
            3 => self.node(Decimal, "(- {})", depth).fallible(),
            4 => self.node(Decimal, "abs({})", depth).fallible(),
            _ => self.guarded(Decimal, depth),
        }
    }

    fn date(&mut self, depth: usize) -> Expr {
        match self.random.below(4) {
            0 => Expr::new(Date, "CAST(TRY_CAST({} AS INT) AS DATE)", [self.expr(Int, depth)]).fallible(),
            1 => self.node(Date, "arrow_cast({}, 'Date64')", depth).fallible(),
            _ => {
                let operator = self.random.pick(&["+", "-"]);
                let operands = [self.expr(Date, depth), self.literal(Span)];
                Expr::new(Date, format!("({{}} {operator} {{}})"), operands).fallible()
            }
        }
    }

    fn time(&mut self, depth: usize) -> Expr {
        match self.random.below(6) {
            0 => {
                let unit = self.random.pick(&["hour", "day", "month"]);
                self.node(Time, format!("date_trunc('{unit}', {{}})"), depth).fallible()
            }
            1 => {
                let unit = self.random.pick(&["Second", "Millisecond", "Microsecond", "Nanosecond"]);
                self.node(Time, format!("arrow_cast({{}}, 'Timestamp({unit})')"), depth).fallible()
            }
            2 => Expr::new(Time, "CAST(TRY_CAST({} AS BIGINT) AS TIMESTAMP)", [self.expr(Int, depth)])
                .fallible(),
            _ => {
                let operator = self.random.pick(&["+", "-"]);
                let operands = [self.expr(Time, depth), self.literal(Span)];
                Expr::new(Time, format!("({{}} {operator} {{}})"), operands).fallible()
            }
        }
    }

    fn span(&mut self, depth: usize) -> Expr {
        let kind = self.random.pick(&[Date, Time]);
        Expr::new(Span, "({} - {})", [self.expr(kind, depth), self.expr(kind, depth)]).fallible()
    }

    fn text(&mut self, depth: usize) -> Expr {
        let template = self.random.pick(&["({} || {})", "upper({})", "lower({})", "substr({}, 1, 2)"]);
        self.node(Text, template, depth)
    }
}

/// The template of an aggregate function of values of a kind, which may have an average.
pub fn aggregate_function(random: &mut Random, kind: Kind, has_average: bool) -> &'static str {
    match random.below(7) {
        0 => "count({})",
        1 => "count(DISTINCT {})",
        2 | 3 if matches!(kind, Int | Float | Decimal) => "sum({})",
        4 if has_average => "avg({})",
        5 => "min({})",
        _ => "max({})",
    }
}

-- Functions defined in SQL are fused with the expressions around their calls.

CREATE FUNCTION distance(a DOUBLE, b DOUBLE) RETURNS DOUBLE RETURN sqrt(a * a + b * b);

-- Parameters may have defaults, calls may name their arguments, and functions may call functions.
CREATE FUNCTION sigmoid(v DOUBLE, steepness DOUBLE DEFAULT 1) RETURNS DOUBLE RETURN 1 / (1 + exp(-steepness * v));

CREATE FUNCTION closeness(a DOUBLE, b DOUBLE) RETURNS DOUBLE RETURN 2 * sigmoid(-distance(a, b), 0.1);

SELECT id, distance(x, y) AS d, distance(b => 3, a => x) AS named, closeness(x, y) AS c
FROM rows
LIMIT 5;

-- In aggregates and conditions.
SELECT count(*) AS near, sum(closeness(x, y)) AS total
FROM generate_rows(1000)
WHERE distance(x, y) < 100;

-- The plan shows the fused expression.
EXPLAIN SELECT closeness(x, y) FROM rows;

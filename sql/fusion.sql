-- A numeric expression is evaluated in a single pass over its columns: fused(...) in the plan.
EXPLAIN SELECT ln(x) * ln(y) * ln(z) AS r, sqrt(x * x + 1) * sin(x) AS s FROM rows WHERE x > 5;

-- The verbose plan gives the reason why an expression is not fused.
EXPLAIN VERBOSE SELECT x + 1 AS few, round(x, 2) * 2 AS places FROM rows;

SELECT id, ln(x) * ln(y) * ln(z) AS r, CASE WHEN x > 2 THEN sqrt(x - 2) ELSE 0 END AS c FROM rows LIMIT 5;

-- The same without fusion.
SET warpframe.fuse = false;

SELECT id, ln(x) * ln(y) * ln(z) AS r FROM rows LIMIT 5;

SET warpframe.fuse = true;

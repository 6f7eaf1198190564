-- The reference workload: the product of three logarithms in every row.
-- `rows` exists in every session: 10 million rows, generated while they are read.
SELECT id, x, log3(x, y, z) AS r
FROM rows
ORDER BY id
LIMIT 5;

-- The sum over all rows: 34986983045.743
SELECT sum(log3(x, y, z)) AS total FROM rows;

-- Arguments by name, and the results for null (null), zero (-inf) and a negative number (NaN).
SELECT log3(z => 4, x => 2, y => 3) AS named,
       log3(NULL, 2, 3) AS of_null,
       log3(0, 2, 3) AS of_zero,
       log3(-1, 2, 3) AS of_negative;

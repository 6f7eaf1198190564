-- generate_rows(n [, distribution [, seed]]) generates rows while a query reads them, in parallel.
-- 'sequence' (the default): x = y = z = 1, 2, 3, ...
SELECT count(*) AS n, sum(x) AS total FROM generate_rows(1000000);

-- 'uniform': independent numbers in (0, 1e6]; the same seed always gives the same rows.
SELECT round(avg(log3(x, y, z)), 3) AS average
FROM generate_rows(1000000, 'uniform', 42);

-- It is a table function, so its rows can be filtered, joined and grouped like those of a table.
SELECT CAST(floor(log3(x, y, z) / 500) AS BIGINT) * 500 AS bucket, count(*) AS n
FROM generate_rows(100000, 'uniform')
GROUP BY bucket
ORDER BY bucket;

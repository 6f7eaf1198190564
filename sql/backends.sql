-- The plan shows the backend that evaluates log3, and its instruction set.
EXPLAIN SELECT log3(x, y, z) FROM rows;

-- An option selects the backend. 'auto' (the default) estimates for each expression whether the CPU or a GPU is faster.
SET warpframe.backend = 'interpreted';
SHOW warpframe.backend;
EXPLAIN SELECT log3(x, y, z) FROM rows;

-- EXPLAIN ANALYZE adds the rows and the compute time of every operator.
SET warpframe.backend = 'auto';
EXPLAIN ANALYZE SELECT sum(log3(x, y, z)) FROM generate_rows(1000000);

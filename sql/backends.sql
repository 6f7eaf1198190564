-- Which backend evaluates log3: the plan says so, with the instruction set.
EXPLAIN SELECT log3(x, y, z) FROM rows;

-- Name one, and the plan follows. 'auto' (the default) takes the fastest of this machine.
SET warpframe.backend = 'interpreted';
SHOW warpframe.backend;
EXPLAIN SELECT log3(x, y, z) FROM rows;

-- What it cost: rows and compute time of every step.
SET warpframe.backend = 'auto';
EXPLAIN ANALYZE SELECT sum(log3(x, y, z)) FROM generate_rows(1000000);

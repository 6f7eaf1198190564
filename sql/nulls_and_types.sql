-- Integers and decimals are computed in f64 (DOUBLE). The result is f32 (REAL) if all three arguments are.
SELECT arrow_typeof(log3(1, 2, 3)) AS of_integers,
       arrow_typeof(log3(CAST(1 AS REAL), CAST(2 AS REAL), CAST(3 AS REAL))) AS of_floats;

-- A null argument gives a null result in its row.
CREATE TABLE measurements(id INT, a DOUBLE, b DOUBLE, c DOUBLE) AS VALUES
  (1, 2.0, 3.0, 4.0),
  (2, NULL, 3.0, 4.0),
  (3, 0.5, 3.0, 4.0);

SELECT id, log3(a, b, c) AS r FROM measurements ORDER BY id;

-- In filters and window functions.
SELECT id FROM measurements WHERE log3(a, b, c) < 0;
SELECT id, sum(log3(a, b, c)) OVER (ORDER BY id) AS running FROM measurements ORDER BY id;

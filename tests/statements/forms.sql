-- Statement forms that DuckDB documents. A line with family and name begins each, then come its statements, of which the last one's answer counts.
-- What every form starts from
CREATE TABLE t (a INTEGER, b VARCHAR, c DOUBLE); INSERT INTO t VALUES (1, 'x', 1.5), (2, 'y', 2.5), (3, 'x', NULL); CREATE TABLE u (a INTEGER, d VARCHAR); INSERT INTO u VALUES (1, 'one'), (3, 'three'), (4, 'four');
-- select: SELECT list FROM table
SELECT a, b FROM t ORDER BY a;
-- select: FROM first
FROM t SELECT a, b ORDER BY a;
-- select: FROM without SELECT
FROM t ORDER BY a;
-- select: FROM with WHERE and LIMIT
FROM t WHERE a > 1 ORDER BY a LIMIT 1;
-- select: SELECT without FROM
SELECT 1, 'a';
-- select: SELECT DISTINCT
SELECT DISTINCT b FROM t ORDER BY b;
-- select: SELECT DISTINCT ON
SELECT DISTINCT ON (b) b, a FROM t ORDER BY b, a DESC;
-- select: trailing comma in the select list
SELECT a, b, FROM t ORDER BY a;
-- select: trailing comma in a list
SELECT [1, 2,];
-- select: trailing comma in GROUP BY
SELECT b, count(*) FROM t GROUP BY b, ORDER BY b;
-- select: prefix alias
SELECT x: a + 1, y: b FROM t ORDER BY x;
-- select: prefix alias of a table
SELECT r.a FROM r: t ORDER BY r.a;
-- select: alias without AS
SELECT a x FROM t y ORDER BY x;
-- select: keyword as an alias with AS
SELECT a AS select FROM t ORDER BY 1;
-- select: alias reused in the select list
SELECT a + 1 AS x, x * 2 AS y FROM t ORDER BY y;
-- select: alias in WHERE
SELECT a + 1 AS x FROM t WHERE x > 2 ORDER BY x;
-- select: alias in GROUP BY
SELECT a % 2 AS x, count(*) FROM t GROUP BY x ORDER BY x;
-- select: alias in HAVING
SELECT b, count(*) AS n FROM t GROUP BY b HAVING n > 1;
-- select: alias in QUALIFY
SELECT a, row_number() OVER (ORDER BY a DESC) AS r FROM t QUALIFY r = 1;
-- select: position in ORDER BY and GROUP BY
SELECT b, sum(a) FROM t GROUP BY 1 ORDER BY 2 DESC, 1;
-- select: case-insensitive names
SELECT A, T.B FROM T ORDER BY A;
-- select: same name twice
SELECT a, a FROM t ORDER BY 1;
-- select: query in parentheses
(SELECT a FROM t) ORDER BY a;
-- select: TABLE name
TABLE t ORDER BY a;
-- select: method of a field
SELECT {'x': 'ab'}.x.upper() AS x;
-- star: *
SELECT * FROM t ORDER BY a;
-- star: table.*
SELECT t.* FROM t ORDER BY a;
-- star: * EXCLUDE
SELECT * EXCLUDE (c) FROM t ORDER BY a;
-- star: * EXCLUDE without parentheses
SELECT * EXCLUDE c FROM t ORDER BY a;
-- star: * EXCLUDE qualified
SELECT * EXCLUDE (u.a) FROM t JOIN u ON t.a = u.a ORDER BY t.a;
-- star: * REPLACE
SELECT * REPLACE (a * 10 AS a) FROM t ORDER BY a;
-- star: * RENAME
SELECT * RENAME (a AS z) FROM t ORDER BY z;
-- star: * LIKE
SELECT * LIKE 'a%' FROM t ORDER BY 1;
-- star: * NOT LIKE
SELECT * NOT LIKE 'a%' FROM t ORDER BY 1;
-- star: * SIMILAR TO
SELECT * SIMILAR TO '[ab]' FROM t ORDER BY 1;
-- star: COLUMNS(regular expression)
SELECT COLUMNS('[ab]') FROM t ORDER BY a;
-- star: COLUMNS(*) in a function
SELECT max(COLUMNS(*)) FROM t;
-- star: COLUMNS(lambda)
SELECT COLUMNS(lambda n: n < 'c') FROM t ORDER BY a;
-- star: COLUMNS(list)
SELECT COLUMNS(['a', 'b']) FROM t ORDER BY a;
-- star: COLUMNS(* EXCLUDE)
SELECT max(COLUMNS(* EXCLUDE (c))) FROM t;
-- star: COLUMNS with AS and groups
SELECT COLUMNS('(a|b)') AS 'new_\1' FROM t ORDER BY 1;
-- star: COLUMNS in an expression
SELECT COLUMNS(['a', 'c']) + 1 FROM t ORDER BY 1;
-- star: COLUMNS in WHERE
SELECT a FROM t WHERE COLUMNS(['a', 'c']) > 1 ORDER BY a;
-- star: *COLUMNS unpacked
SELECT coalesce(*COLUMNS(['c', 'a'])) FROM t ORDER BY a;
-- star: struct.*
SELECT s.* FROM (SELECT {'x': 1, 'y': 2} AS s);
-- star: count()
SELECT count() FROM t;
-- star: *COLUMNS in a list
SELECT [*COLUMNS(['a', 'c'])] AS l FROM t WHERE a < 3 ORDER BY a;
-- star: #1
SELECT #2, #1 FROM t ORDER BY #2;
-- from: table alias with columns
SELECT x FROM t AS r(x, y) ORDER BY x;
-- from: subquery without alias
SELECT a FROM (SELECT a FROM t) ORDER BY a;
-- from: VALUES
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) v(x, y) ORDER BY x;
-- from: VALUES without parentheses or alias
FROM VALUES (1), (2) v(x) ORDER BY x;
-- from: VALUES alone
VALUES (1, 'a'), (2, 'b') ORDER BY 1;
-- from: table function
SELECT * FROM range(3) ORDER BY 1;
-- from: table function with alias of columns
SELECT x FROM range(3) r(x) ORDER BY x;
-- from: generate_series
SELECT * FROM generate_series(1, 3) ORDER BY 1;
-- from: range of dates
SELECT * FROM range(DATE '2020-01-01', DATE '2020-01-04', INTERVAL 1 DAY) ORDER BY 1;
-- from: unnest
SELECT * FROM unnest([1, 2, 3]) r(x) ORDER BY x;
-- from: unnest WITH ORDINALITY
SELECT x, i FROM unnest(['a', 'b']) WITH ORDINALITY r(x, i) ORDER BY i;
-- from: unnest in SELECT
SELECT unnest([1, 2]) AS x, 'k' ORDER BY x;
-- from: unnest of a struct
SELECT unnest({'x': 1, 'y': 2});
-- from: unnest recursive
SELECT unnest([[1, 2], [3]], recursive := true) AS x ORDER BY x;
-- from: unnest max_depth
SELECT unnest([[[1], [2]], [[3]]], max_depth := 2);
-- from: LATERAL
SELECT t.a, x FROM t, LATERAL (SELECT t.a * 2 AS x) ORDER BY 1;
-- from: lateral without the word
SELECT t.a, x FROM t, (SELECT t.a * 2 AS x) ORDER BY 1;
-- from: unnest of a column
SELECT k, x FROM (SELECT 1 AS k, [1, 2] AS l), unnest(l) r(x) ORDER BY x;
-- from: schema-qualified
SELECT a FROM main.t ORDER BY a;
-- join: INNER JOIN ON
SELECT t.a, d FROM t INNER JOIN u ON t.a = u.a ORDER BY 1;
-- join: LEFT JOIN
SELECT t.a, d FROM t LEFT JOIN u ON t.a = u.a ORDER BY 1;
-- join: RIGHT JOIN
SELECT u.a, b FROM t RIGHT JOIN u ON t.a = u.a ORDER BY 1;
-- join: FULL OUTER JOIN
SELECT t.a, u.a FROM t FULL OUTER JOIN u ON t.a = u.a ORDER BY 1, 2;
-- join: USING
SELECT a, d FROM t JOIN u USING (a) ORDER BY a;
-- join: NATURAL JOIN
SELECT a, d FROM t NATURAL JOIN u ORDER BY a;
-- join: CROSS JOIN
SELECT count(*) FROM t CROSS JOIN u;
-- join: comma
SELECT count(*) FROM t, u WHERE t.a = u.a;
-- join: SEMI JOIN
SELECT a FROM t SEMI JOIN u USING (a) ORDER BY a;
-- join: ANTI JOIN
SELECT a FROM t ANTI JOIN u USING (a) ORDER BY a;
-- join: ASOF JOIN
SELECT t.a, u.d FROM t ASOF JOIN u ON t.a >= u.a ORDER BY 1;
-- join: ASOF LEFT JOIN USING
SELECT t.a, u.d FROM t ASOF LEFT JOIN u USING (a) ORDER BY 1;
-- join: POSITIONAL JOIN
SELECT t.a, u.a FROM t POSITIONAL JOIN u ORDER BY 1;
-- join: inequality
SELECT t.a, u.a FROM t JOIN u ON t.a < u.a ORDER BY 1, 2;
-- join: LEFT JOIN LATERAL
SELECT t.a, x FROM t LEFT JOIN LATERAL (SELECT u.d AS x FROM u WHERE u.a = t.a) ON true ORDER BY 1;
-- join: of subqueries in parentheses
SELECT count(*) FROM (t JOIN u ON t.a = u.a);
-- where: BETWEEN, IN, LIKE, IS NULL
SELECT a FROM t WHERE a BETWEEN 1 AND 2 AND b IN ('x', 'y') AND b LIKE '_' AND c IS NOT NULL ORDER BY a;
-- where: ILIKE, GLOB, SIMILAR TO
SELECT 'Ab' ILIKE 'a%', 'ab' GLOB 'a*', 'ab' SIMILAR TO 'a.';
-- where: NOT BETWEEN, NOT IN, NOT LIKE
SELECT a FROM t WHERE a NOT BETWEEN 2 AND 3 AND b NOT IN ('y') AND b NOT LIKE 'y%';
-- where: ISNULL and NOTNULL
SELECT count(*) FROM t WHERE c ISNULL OR a NOTNULL;
-- where: IS DISTINCT FROM
SELECT a FROM t WHERE c IS DISTINCT FROM 1.5 ORDER BY a;
-- where: IS TRUE, IS UNKNOWN
SELECT (1 = 1) IS TRUE, (NULL = 1) IS UNKNOWN;
-- where: row comparison
SELECT a FROM t WHERE (a, b) >= (2, 'x') ORDER BY a;
-- where: IN with rows
SELECT a FROM t WHERE (a, b) IN ((1, 'x'), (2, 'z'));
-- where: IN a list
SELECT a FROM t WHERE a IN [1, 3] ORDER BY a;
-- where: double equals
SELECT a FROM t WHERE a == 2;
-- groupby: GROUP BY
SELECT b, sum(a) FROM t GROUP BY b ORDER BY b;
-- groupby: GROUP BY ALL
SELECT b, sum(a) FROM t GROUP BY ALL ORDER BY b;
-- groupby: ORDER BY ALL
SELECT b, sum(a) FROM t GROUP BY ALL ORDER BY ALL;
-- groupby: ORDER BY ALL DESC
SELECT b, a FROM t ORDER BY ALL DESC;
-- groupby: GROUP BY *
SELECT b, sum(a) FROM t GROUP BY * ORDER BY b;
-- groupby: HAVING
SELECT b FROM t GROUP BY b HAVING count(*) > 1;
-- groupby: FILTER
SELECT sum(a) FILTER (WHERE b = 'x') FROM t;
-- groupby: FILTER without WHERE
SELECT sum(a) FILTER (b = 'x') FROM t;
-- groupby: ORDER BY in an aggregate
SELECT string_agg(b, '-' ORDER BY a DESC) FROM t;
-- groupby: DISTINCT in an aggregate
SELECT count(DISTINCT b) FROM t;
-- groupby: WITHIN GROUP
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t;
-- groupby: GROUPING SETS
SELECT b, sum(a) FROM t GROUP BY GROUPING SETS ((b), ()) ORDER BY b NULLS LAST;
-- groupby: ROLLUP
SELECT b, sum(a), grouping(b) FROM t GROUP BY ROLLUP (b) ORDER BY b NULLS LAST;
-- groupby: CUBE
SELECT b, a, count(*) FROM t GROUP BY CUBE (b, a) ORDER BY ALL NULLS LAST;
-- groupby: aggregate over a struct
SELECT max({'a': a, 'b': b}) FROM t;
-- order: NULLS FIRST
SELECT c FROM t ORDER BY c NULLS FIRST;
-- order: DESC
SELECT a FROM t ORDER BY a DESC;
-- order: expression not in the select list
SELECT b FROM t ORDER BY a * -1;
-- order: COLLATE NOCASE
SELECT x FROM (VALUES ('b'), ('A'), ('c')) v(x) ORDER BY x COLLATE NOCASE;
-- limit: LIMIT OFFSET
SELECT a FROM t ORDER BY a LIMIT 1 OFFSET 1;
-- limit: LIMIT percent
SELECT a FROM t ORDER BY a LIMIT 40%;
-- limit: LIMIT expression
SELECT a FROM t ORDER BY a LIMIT 1 + 1;
-- limit: LIMIT subquery
SELECT a FROM t ORDER BY a LIMIT (SELECT min(a) FROM t);
-- limit: FETCH FIRST
SELECT a FROM t ORDER BY a FETCH FIRST 2 ROWS ONLY;
-- sample: USING SAMPLE rows
SELECT count(*) FROM (SELECT * FROM range(100) USING SAMPLE 10);
-- sample: TABLESAMPLE
SELECT count(*) FROM range(10) TABLESAMPLE reservoir(5 ROWS);
-- sample: USING SAMPLE percent
SELECT count(*) <= 100 FROM (SELECT * FROM range(100) USING SAMPLE 10 PERCENT (bernoulli));
-- window: OVER
SELECT a, sum(a) OVER (PARTITION BY b ORDER BY a) FROM t ORDER BY a;
-- window: named
SELECT a, sum(a) OVER w FROM t WINDOW w AS (ORDER BY a) ORDER BY a;
-- window: frame
SELECT a, sum(a) OVER (ORDER BY a ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM t ORDER BY a;
-- window: IGNORE NULLS
SELECT a, last_value(c IGNORE NULLS) OVER (ORDER BY a) FROM t ORDER BY a;
-- window: QUALIFY
SELECT a FROM t QUALIFY row_number() OVER (PARTITION BY b ORDER BY a) = 1 ORDER BY a;
-- window: DISTINCT and FILTER
SELECT a, count(DISTINCT b) FILTER (WHERE a > 1) OVER (ORDER BY a) FROM t ORDER BY a;
-- window: ORDER BY in the call
SELECT a, string_agg(b, '' ORDER BY a DESC) OVER () FROM t ORDER BY a;
-- window: arg_max
SELECT a, arg_max(b, a) OVER (ORDER BY a) FROM t ORDER BY a;
-- window: lag of a computed distance
SELECT a, lag(a, a - 1) OVER (ORDER BY a) FROM t ORDER BY a;
-- window: ORDER BY ALL
SELECT a, row_number() OVER (ORDER BY a DESC) AS r FROM t ORDER BY ALL;
-- window: ORDER BY in a ranking call
SELECT a, rank(ORDER BY c DESC) OVER (PARTITION BY b) AS r FROM t ORDER BY a;
-- window: computed bounds of a frame
SELECT a, sum(a) OVER (ORDER BY a ROWS BETWEEN 1 + 1 PRECEDING AND CURRENT ROW) AS s FROM t ORDER BY a;
-- window: bounds of a frame that are columns
SELECT a, sum(a) OVER (ORDER BY a ROWS BETWEEN a PRECEDING AND CURRENT ROW) AS s FROM t ORDER BY a;
-- subquery: scalar
SELECT (SELECT max(a) FROM t);
-- subquery: EXISTS
SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a = t.a) ORDER BY a;
-- subquery: IN
SELECT a FROM t WHERE a IN (SELECT a FROM u) ORDER BY a;
-- subquery: ANY and ALL
SELECT a FROM t WHERE a >= ALL (SELECT a FROM t) OR a = ANY (SELECT 1);
-- subquery: ARRAY
SELECT ARRAY(SELECT a FROM t ORDER BY a);
-- subquery: correlated in SELECT
SELECT a, (SELECT count(*) FROM u WHERE u.a >= t.a) FROM t ORDER BY a;
-- subquery: row IN
SELECT a FROM t WHERE (a, b) IN (SELECT 1, 'x');
-- subquery: table as a struct
SELECT t FROM t ORDER BY a LIMIT 1;
-- subquery: merged column of a join
SELECT a FROM t JOIN u USING (a) WHERE EXISTS (SELECT 1 FROM (SELECT 1 AS k) w WHERE k = a) ORDER BY a;
-- subquery: aggregate of the query around it
SELECT (SELECT sum(t.a)) AS s FROM t;
-- cte: WITH
WITH x AS (SELECT 1 AS n) SELECT n FROM x;
-- cte: WITH columns
WITH x(k) AS (SELECT 1) SELECT k FROM x;
-- cte: MATERIALIZED
WITH x AS MATERIALIZED (SELECT 1 AS n) SELECT n FROM x;
-- cte: RECURSIVE
WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x WHERE n < 3) SELECT n FROM x ORDER BY n;
-- cte: USING KEY
WITH RECURSIVE x(k, n) USING KEY (k) AS (SELECT 1, 1 UNION SELECT k, n + 1 FROM x WHERE n < 3) SELECT k, n FROM x;
-- cte: behind FROM
WITH x AS (SELECT 1 AS n) FROM x;
-- cte: within another of its name
WITH x AS (SELECT 1 AS n), y AS (WITH x AS (SELECT 2 AS n) FROM x) SELECT x.n, y.n FROM x, y;
-- setops: UNION
SELECT b FROM t UNION SELECT d FROM u ORDER BY 1;
-- setops: UNION ALL
SELECT a FROM t UNION ALL SELECT a FROM u ORDER BY 1;
-- setops: UNION BY NAME
SELECT a, b FROM t UNION BY NAME SELECT d, a FROM u ORDER BY ALL;
-- setops: UNION ALL BY NAME
SELECT a FROM t UNION ALL BY NAME SELECT d FROM u ORDER BY ALL;
-- setops: INTERSECT
SELECT a FROM t INTERSECT SELECT a FROM u ORDER BY a;
-- setops: EXCEPT ALL
SELECT a FROM t EXCEPT ALL SELECT a FROM u;
-- pivot: PIVOT ON USING
PIVOT t ON b USING sum(a) ORDER BY ALL;
-- pivot: PIVOT GROUP BY
PIVOT (SELECT a % 2 AS k, b, a FROM t) ON b USING sum(a) GROUP BY k ORDER BY k;
-- pivot: PIVOT IN
PIVOT t ON b IN ('x', 'y') USING count(*) ORDER BY ALL;
-- pivot: PIVOT of several aggregates
PIVOT t ON b USING sum(a) AS s, count(*) AS n ORDER BY ALL;
-- pivot: SQL standard PIVOT
SELECT * FROM (SELECT a, b FROM t) PIVOT (sum(a) FOR b IN ('x', 'y')) ORDER BY ALL;
-- pivot: UNPIVOT
UNPIVOT (SELECT a, a * 2 AS k FROM t) ON a, k INTO NAME n VALUE v ORDER BY ALL;
-- pivot: UNPIVOT COLUMNS
UNPIVOT (SELECT b, a, a * 2 AS k FROM t) ON COLUMNS(* EXCLUDE (b)) INTO NAME n VALUE v ORDER BY ALL;
-- pivot: SQL standard UNPIVOT
SELECT * FROM (SELECT a, a * 2 AS k FROM t) UNPIVOT (v FOR n IN (a, k)) ORDER BY ALL;
-- pivot: UNPIVOT INCLUDE NULLS
SELECT * FROM (SELECT a, c FROM (SELECT a::DOUBLE AS a, c FROM t)) UNPIVOT INCLUDE NULLS (v FOR n IN (a, c)) ORDER BY ALL;
-- expression: CASE
SELECT CASE WHEN a > 2 THEN 'big' ELSE 'small' END, CASE a WHEN 1 THEN 'one' END FROM t ORDER BY a;
-- expression: CAST and ::
SELECT CAST('1' AS INTEGER), '2'::INTEGER;
-- expression: TRY_CAST
SELECT TRY_CAST('x' AS INTEGER);
-- expression: TRY
SELECT TRY(1 / 0), TRY(CAST('x' AS INTEGER));
-- expression: integer division
SELECT 7 // 2, 7 / 2, 7 % 2;
-- expression: power
SELECT 2 ** 3, 2 ^ 3;
-- expression: bit operators
SELECT 6 & 3, 6 | 3, ~6, 1 << 3, 8 >> 1, xor(6, 3);
-- expression: factorial operator
SELECT 4 !;
-- expression: concatenation
SELECT 'a' || 'b', [1] || [2];
-- expression: numeric underscores
SELECT 1_000, 0xFF, 1e3;
-- expression: method call
SELECT 'abc'.upper(), b.upper().lower() FROM t ORDER BY a LIMIT 1;
-- expression: method call on a column of a table
SELECT t.b.upper() FROM t ORDER BY a LIMIT 1;
-- expression: list literal
SELECT [1, 2, 3], ARRAY[1, 2];
-- expression: struct literal
SELECT {'a': 1, 'b': 'x'};
-- expression: row literal
SELECT row(1, 'x');
-- expression: map literal
SELECT MAP {'k': 1}, MAP(['a'], [2]);
-- expression: list index
SELECT ([1, 2, 3])[1], ([1, 2, 3])[-1];
-- expression: slice
SELECT ([1, 2, 3])[2:], ([1, 2, 3])[:2], ([1, 2, 3])[-2:];
-- expression: slice with a step
SELECT ([1, 2, 3, 4])[1:4:2];
-- expression: slice of text
SELECT 'DuckDB'[2:4], 'DuckDB'[1];
-- expression: struct field
SELECT s.x, s['x'] FROM (SELECT {'x': 1} AS s);
-- expression: nested struct field
SELECT r.s.x.y FROM (SELECT {'x': {'y': 1}} AS s) r;
-- expression: map value
SELECT m['k'] FROM (SELECT MAP {'k': 1} AS m);
-- expression: list comprehension
SELECT [x + 1 FOR x IN [1, 2, 3]];
-- expression: list comprehension with IF
SELECT [x FOR x IN [1, 2, 3] IF x > 1];
-- expression: lambda
SELECT list_transform([1, 2], lambda x: x + 1);
-- expression: lambda with index
SELECT list_transform([5, 6], lambda x, i: x + i);
-- expression: dollar quoting
SELECT $$it's$$, $q$a$q$;
-- expression: E string
SELECT E'a\tb\n';
-- expression: adjacent strings
SELECT 'a'
'b';
-- expression: DATE, TIME, TIMESTAMP literals
SELECT DATE '2020-01-02', TIME '01:02:03', TIMESTAMP '2020-01-02 03:04:05';
-- expression: INTERVAL literals
SELECT INTERVAL 1 DAY, INTERVAL '2 hours', INTERVAL (1 + 1) MONTH;
-- expression: date arithmetic
SELECT DATE '2020-01-31' + INTERVAL 1 MONTH, DATE '2020-01-03' - DATE '2020-01-01', DATE '2020-01-01' + 3;
-- expression: AT TIME ZONE
SELECT TIMESTAMP '2020-01-01 12:00:00' AT TIME ZONE 'America/New_York' AT TIME ZONE 'UTC';
-- expression: EXTRACT
SELECT EXTRACT(year FROM DATE '2020-02-03'), date_part('month', DATE '2020-02-03');
-- expression: POSITION, SUBSTRING, TRIM, OVERLAY
SELECT POSITION('b' IN 'abc'), SUBSTRING('abc' FROM 2 FOR 1), TRIM(BOTH 'x' FROM 'xax');
-- expression: comparison chain with NULL
SELECT NULL = 1, NULL IS NULL, 1 <> 2, 1 != 2;
-- expression: IS NOT DISTINCT FROM
SELECT NULL IS NOT DISTINCT FROM NULL;
-- expression: COLLATE
SELECT 'a' COLLATE NOCASE = 'A';
-- expression: regular expression operators
SELECT 'abc' ~ 'a.c', 'abc' !~ 'x.*';
-- expression: JSON arrows
SELECT '{"a": {"b": 1}}'::JSON -> 'a' ->> 'b';
-- expression: GROUPING in an expression
SELECT b, grouping(b) + 1 FROM t GROUP BY ROLLUP (b) ORDER BY ALL NULLS LAST;
-- expression: IN with an expression list of columns
SELECT a FROM t WHERE 'x' IN (b, 'q') ORDER BY a;
-- expression: typed NULL
SELECT NULL::INTEGER, CAST(NULL AS VARCHAR);
-- expression: default of a comment
SELECT 1 -- one
 + /* two */ 2;
-- expression: boolean literals
SELECT true, FALSE, NOT true AND false OR true;
-- type: integers
SELECT 1::TINYINT, 1::SMALLINT, 1::INTEGER, 1::BIGINT, 1::HUGEINT, 1::UTINYINT, 1::USMALLINT, 1::UINTEGER, 1::UBIGINT, 1::UHUGEINT;
-- type: names of integers
SELECT 1::INT1, 1::INT2, 1::INT4, 1::INT8, 1::INT, 1::LONG, 1::SHORT, 1::SIGNED;
-- type: DECIMAL
SELECT 1.5::DECIMAL(10, 2), 1::DECIMAL, 1.25::NUMERIC(3, 1);
-- type: FLOAT and DOUBLE
SELECT 1.5::FLOAT, 1.5::REAL, 1.5::DOUBLE, 1.5::FLOAT8, 'inf'::DOUBLE;
-- type: text
SELECT 'a'::VARCHAR, 'a'::TEXT, 'a'::STRING, 'a'::CHAR, 'a'::BPCHAR, 'abc'::VARCHAR(2);
-- type: BLOB
SELECT '\xAA'::BLOB, 'a'::BYTEA;
-- type: BOOLEAN
SELECT 'true'::BOOLEAN, 1::BOOL, 'f'::LOGICAL;
-- type: DATE and TIME
SELECT '2020-01-02'::DATE, '01:02:03.5'::TIME;
-- type: TIMESTAMP_S, _MS, _NS
SELECT '2020-01-02 03:04:05.123456789'::TIMESTAMP_NS, '2020-01-02 03:04:05'::TIMESTAMP_S, '2020-01-02 03:04:05.123'::TIMESTAMP_MS, '2020-01-02'::DATETIME;
-- type: TIMESTAMPTZ
SELECT ('2020-01-02 03:04:05+01'::TIMESTAMPTZ AT TIME ZONE 'UTC');
-- type: INTERVAL
SELECT '1 year 2 days'::INTERVAL;
-- type: UUID
SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID;
-- type: LIST
SELECT [1, 2]::VARCHAR[], '[1, 2]'::INTEGER[], [[1]]::DOUBLE[][];
-- type: ARRAY
SELECT [1, 2, 3]::INTEGER[3];
-- type: STRUCT
SELECT {'a': 1}::STRUCT(a VARCHAR), row(1, 2)::STRUCT(x INTEGER, y INTEGER);
-- type: MAP
SELECT MAP {'a': 1}::MAP(VARCHAR, DOUBLE);
-- type: ENUM
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); SELECT 'happy'::mood, 'sad'::mood < 'ok'::mood;
-- type: UNION
SELECT union_value(k := 1);
-- type: BIT
SELECT '101'::BIT::VARCHAR;
-- type: literal of BIT
SELECT B'101' AS b;
-- type: JSON
SELECT '{"a": 1}'::JSON;
-- type: NULL
SELECT NULL;
-- type: typeof
SELECT typeof(1::SMALLINT), typeof('a'), typeof([1::INTEGER]), typeof(1.5);
-- dml: MERGE INTO with conditions
MERGE INTO t USING u ON t.a = u.a WHEN MATCHED AND t.a = 1 THEN DELETE WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED AND u.a > 9 THEN INSERT VALUES (u.a, u.d, 0) WHEN NOT MATCHED THEN INSERT (a) VALUES (-u.a); SELECT a, b FROM t ORDER BY a;
-- dml: MERGE INTO with NOT MATCHED BY SOURCE
MERGE INTO t USING u USING (a) WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED BY TARGET THEN INSERT (a) VALUES (u.a); SELECT a FROM t ORDER BY a;
-- dml: MERGE INTO by name
MERGE INTO t USING (SELECT a, d AS b FROM u) AS s USING (a) WHEN MATCHED THEN UPDATE BY NAME WHEN NOT MATCHED THEN INSERT BY NAME; SELECT a, b FROM t ORDER BY a;
-- dml: MERGE INTO with RETURNING
MERGE INTO t USING u USING (a) WHEN MATCHED AND u.a = 1 THEN UPDATE SET b = u.d RETURNING merge_action, *;
-- ddl: CREATE TABLE
CREATE TABLE n (x INTEGER, y VARCHAR); INSERT INTO n VALUES (1, 'a'); SELECT * FROM n;
-- ddl: CREATE OR REPLACE TABLE
CREATE OR REPLACE TABLE t (x INTEGER); SELECT count(*) FROM t;
-- ddl: CREATE TABLE IF NOT EXISTS
CREATE TABLE IF NOT EXISTS t (x INTEGER); SELECT count(*) FROM t;
-- ddl: CREATE TEMP TABLE
CREATE TEMP TABLE n (x INTEGER); SELECT count(*) FROM n;
-- ddl: CREATE TABLE AS
CREATE TABLE n AS SELECT a * 2 AS x FROM t; SELECT * FROM n ORDER BY x;
-- ddl: CREATE TABLE AS with columns
CREATE TABLE n (k, l) AS SELECT a, b FROM t; SELECT k FROM n ORDER BY k;
-- ddl: CREATE TABLE AS FROM first
CREATE TABLE n AS FROM t; SELECT count(*) FROM n;
-- ddl: CREATE TABLE with DEFAULT
CREATE TABLE n (x INTEGER DEFAULT 7, y VARCHAR); INSERT INTO n (y) VALUES ('a'); SELECT * FROM n;
-- ddl: CREATE TABLE with NOT NULL
CREATE TABLE n (x INTEGER NOT NULL); INSERT INTO n VALUES (1); SELECT * FROM n;
-- ddl: CREATE TABLE with CHECK
CREATE TABLE n (x INTEGER CHECK (x > 0)); INSERT INTO n VALUES (1); SELECT * FROM n;
-- ddl: CREATE TABLE with a generated column
CREATE TABLE n (x INTEGER, y AS (x * 2)); INSERT INTO n VALUES (1); SELECT * FROM n;
-- ddl: CREATE TABLE with a PRIMARY KEY
CREATE TABLE n (x INTEGER PRIMARY KEY); INSERT INTO n VALUES (1); SELECT * FROM n;
-- ddl: CREATE VIEW
CREATE VIEW v AS SELECT a FROM t; SELECT * FROM v ORDER BY a;
-- ddl: CREATE OR REPLACE VIEW
CREATE VIEW v AS SELECT 1; CREATE OR REPLACE VIEW v AS SELECT 2 AS x; SELECT * FROM v;
-- ddl: CREATE VIEW with columns
CREATE VIEW v (x) AS SELECT a FROM t; SELECT x FROM v ORDER BY x;
-- ddl: CREATE TEMP VIEW
CREATE TEMP VIEW v AS SELECT 1 AS x; SELECT x FROM v;
-- ddl: CREATE MACRO
CREATE MACRO twice(x) AS x * 2; SELECT twice(4);
-- ddl: CREATE MACRO with a default
CREATE MACRO add(x, y := 10) AS x + y; SELECT add(1), add(1, y := 2);
-- ddl: CREATE FUNCTION
CREATE FUNCTION twice(x) AS x * 2; SELECT twice(4);
-- ddl: CREATE MACRO AS TABLE
CREATE MACRO first_of(n) AS TABLE SELECT a FROM t ORDER BY a LIMIT n; SELECT * FROM first_of(2) ORDER BY a;
-- ddl: CREATE SCHEMA
CREATE SCHEMA s; CREATE TABLE s.n AS SELECT 1 AS x; SELECT x FROM s.n;
-- ddl: CREATE TYPE alias
CREATE TYPE amount AS DECIMAL(10, 2); SELECT 1.5::amount;
-- ddl: CREATE TYPE ENUM of a query
CREATE TYPE letters AS ENUM (SELECT DISTINCT b FROM t ORDER BY b); SELECT 'x'::letters;
-- ddl: DROP TABLE
DROP TABLE t; CREATE TABLE t AS SELECT 1 AS z; SELECT z FROM t;
-- ddl: DROP IF EXISTS
DROP TABLE IF EXISTS nothing; DROP VIEW IF EXISTS nothing; SELECT 1;
-- ddl: DROP VIEW, MACRO, SCHEMA, TYPE
CREATE VIEW v AS SELECT 1; CREATE MACRO m(x) AS x; CREATE SCHEMA s; CREATE TYPE k AS INTEGER; DROP VIEW v; DROP MACRO m; DROP SCHEMA s; DROP TYPE k; SELECT 1;
-- ddl: DROP SCHEMA CASCADE
CREATE SCHEMA s; CREATE TABLE s.n AS SELECT 1 AS x; DROP SCHEMA s CASCADE; SELECT 1;
-- ddl: ALTER TABLE ADD COLUMN
ALTER TABLE t ADD COLUMN k INTEGER DEFAULT 5; SELECT a, k FROM t ORDER BY a;
-- ddl: ALTER TABLE DROP COLUMN
ALTER TABLE t DROP COLUMN c; SELECT * FROM t ORDER BY a;
-- ddl: ALTER TABLE RENAME COLUMN
ALTER TABLE t RENAME COLUMN a TO z; SELECT z FROM t ORDER BY z;
-- ddl: ALTER TABLE RENAME
ALTER TABLE t RENAME TO t2; SELECT count(*) FROM t2;
-- ddl: ALTER TABLE ALTER TYPE
ALTER TABLE t ALTER a TYPE VARCHAR; SELECT a || '!' FROM t ORDER BY a;
-- ddl: ALTER TABLE ALTER TYPE USING
ALTER TABLE t ALTER a SET DATA TYPE VARCHAR USING concat('n', a); SELECT a FROM t ORDER BY a;
-- ddl: ALTER TABLE SET and DROP DEFAULT
ALTER TABLE t ALTER b SET DEFAULT 'q'; INSERT INTO t (a) VALUES (9); ALTER TABLE t ALTER b DROP DEFAULT; SELECT b FROM t WHERE a = 9;
-- ddl: ALTER TABLE SET and DROP NOT NULL
ALTER TABLE t ALTER a SET NOT NULL; ALTER TABLE t ALTER a DROP NOT NULL; SELECT count(*) FROM t;
-- ddl: ALTER VIEW RENAME
CREATE VIEW v AS SELECT 1 AS x; ALTER VIEW v RENAME TO w; SELECT x FROM w;
-- ddl: COMMENT ON
COMMENT ON TABLE t IS 'three rows'; SELECT count(*) FROM t;
-- ddl: COMMENT ON a macro and a type
CREATE MACRO m(x) AS x + 1; CREATE TYPE k AS ENUM ('a'); COMMENT ON MACRO m IS 'adds'; COMMENT ON TYPE k IS 'kinds'; SELECT comment FROM duckdb_types() WHERE type_name = 'k';
-- ddl: COMMENT ON COLUMN
COMMENT ON COLUMN t.b IS 'a text'; SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 't';
-- ddl: ALTER TABLE of a table with CHECK and generated columns
CREATE TABLE n (x INTEGER CHECK (x > 0), y AS (x * 2), z AS (y + 1)); ALTER TABLE n ADD COLUMN w VARCHAR; ALTER TABLE n RENAME x TO v; INSERT INTO n VALUES (1, 'a'); SELECT v, y, z, w FROM n;
-- ddl: CREATE TABLE AS SUMMARIZE
CREATE TABLE s AS SUMMARIZE t; SELECT column_name, min, max FROM s;
-- ddl: TRUNCATE
TRUNCATE t; SELECT count(*) FROM t;
-- dml: INSERT VALUES
INSERT INTO t VALUES (4, 'z', 0.5); SELECT count(*) FROM t;
-- dml: INSERT with columns
INSERT INTO t (b, a) VALUES ('z', 4); SELECT * FROM t WHERE a = 4;
-- dml: INSERT SELECT
INSERT INTO t SELECT a + 10, d, NULL FROM u; SELECT count(*) FROM t;
-- dml: INSERT FROM
INSERT INTO u FROM (SELECT 7, 'seven'); SELECT count(*) FROM u;
-- dml: INSERT BY NAME
INSERT INTO t BY NAME SELECT 'z' AS b, 4 AS a; SELECT * FROM t WHERE a = 4;
-- dml: INSERT DEFAULT VALUES
INSERT INTO t DEFAULT VALUES; SELECT count(*) FROM t WHERE a IS NULL;
-- dml: INSERT DEFAULT
CREATE TABLE n (x INTEGER DEFAULT 3, y INTEGER); INSERT INTO n VALUES (DEFAULT, 1); SELECT * FROM n;
-- dml: INSERT RETURNING
INSERT INTO t VALUES (4, 'z', 0.5) RETURNING a, b;
-- dml: INSERT of a WITH query
INSERT INTO u WITH x AS (SELECT 9 AS a, 'nine' AS d) SELECT * FROM x; SELECT count(*) FROM u;
-- dml: UPDATE
UPDATE t SET b = 'w', c = a * 2 WHERE a = 1; SELECT * FROM t ORDER BY a;
-- dml: UPDATE FROM
UPDATE t SET b = u.d FROM u WHERE t.a = u.a; SELECT a, b FROM t ORDER BY a;
-- dml: UPDATE with a subquery
UPDATE t SET c = (SELECT count(*) FROM u) WHERE a IN (SELECT a FROM u); SELECT a, c FROM t ORDER BY a;
-- dml: UPDATE RETURNING
UPDATE t SET b = 'w' WHERE a = 1 RETURNING a, b;
-- dml: DELETE
DELETE FROM t WHERE b = 'x'; SELECT a FROM t;
-- dml: DELETE all
DELETE FROM t; SELECT count(*) FROM t;
-- dml: DELETE USING
DELETE FROM t USING u WHERE t.a = u.a; SELECT a FROM t;
-- dml: DELETE RETURNING
DELETE FROM t WHERE a = 1 RETURNING a, b;
-- dml: MERGE INTO
MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = u.d WHEN NOT MATCHED THEN INSERT VALUES (u.a, u.d, 0); SELECT a, b FROM t ORDER BY a;
-- prepared: PREPARE and EXECUTE with ?
PREPARE p AS SELECT a FROM t WHERE a > ? ORDER BY a; EXECUTE p(1);
-- prepared: with $1
PREPARE p AS SELECT $1 + $2; EXECUTE p(1, 2);
-- prepared: with names
PREPARE p AS SELECT $x - $y; EXECUTE p(y := 1, x := 3);
-- prepared: DEALLOCATE
PREPARE p AS SELECT 1; DEALLOCATE p; SELECT 1;
-- setting: SET and RESET
SET threads = 2; RESET threads; SELECT 1;
-- setting: SET VARIABLE
SET VARIABLE k = 5; SELECT getvariable('k') + 1;
-- setting: RESET VARIABLE
SET VARIABLE k = 5; RESET VARIABLE k; SELECT getvariable('k');
-- setting: current_setting
SELECT current_setting('threads') IS NOT NULL;
-- setting: PRAGMA
PRAGMA threads = 2; SELECT 1;
-- setting: USE
CREATE SCHEMA s; USE s; CREATE TABLE n AS SELECT 3 AS x; SELECT x FROM n;
-- describe: DESCRIBE table
DESCRIBE t;
-- describe: DESCRIBE query
DESCRIBE SELECT a, c FROM t;
-- describe: SHOW TABLES
SHOW TABLES;
-- describe: SHOW table
SHOW t;
-- describe: SUMMARIZE table
SELECT column_name, column_type, min, max, count FROM (SUMMARIZE t);
-- describe: SUMMARIZE query
SELECT column_name, null_percentage FROM (SUMMARIZE SELECT a, c FROM t);
-- describe: DESCRIBE in FROM
SELECT column_name FROM (DESCRIBE t);
-- describe: information_schema.tables
SELECT table_name FROM information_schema.tables ORDER BY 1;
-- describe: information_schema.columns
SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position;
-- describe: duckdb_tables
SELECT table_name FROM duckdb_tables() ORDER BY 1;
-- describe: EXPLAIN
EXPLAIN SELECT 1; SELECT 1;
-- describe: EXPLAIN ANALYZE
EXPLAIN ANALYZE SELECT 1; SELECT 1;
-- describe: EXPLAIN with options
EXPLAIN (FORMAT json) SELECT 1; SELECT 1;
-- copy: COPY query TO csv
COPY (SELECT a, b FROM t ORDER BY a) TO '{tmp}/a.csv'; SELECT * FROM '{tmp}/a.csv' ORDER BY a;
-- copy: COPY table TO parquet
COPY t TO '{tmp}/a.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100000); SELECT a FROM '{tmp}/a.parquet' ORDER BY a;
-- copy: COPY TO json
COPY t TO '{tmp}/a.json' (FORMAT json); SELECT a FROM '{tmp}/a.json' ORDER BY a;
-- copy: COPY with options
COPY t TO '{tmp}/b.csv' (HEADER false, DELIMITER '|', NULLSTR '-', QUOTE '"', FORCE_QUOTE (b)); SELECT column2 FROM read_csv('{tmp}/b.csv', delim = '|', header = false) ORDER BY 1;
-- copy: COPY with WITH
COPY t TO '{tmp}/w.csv' WITH (FORMAT csv, HEADER); SELECT count(*) FROM '{tmp}/w.csv';
-- copy: COPY PARTITION_BY
COPY t TO '{tmp}/part' (FORMAT parquet, PARTITION_BY (b)); SELECT a, b FROM read_parquet('{tmp}/part/*/*.parquet', hive_partitioning = true) ORDER BY a;
-- copy: COPY PARTITION_BY of csv, WRITE_PARTITION_COLUMNS
COPY t TO '{tmp}/partc' (FORMAT csv, PARTITION_BY (b), WRITE_PARTITION_COLUMNS true); SELECT a, b FROM read_csv('{tmp}/partc/*/*.csv') ORDER BY a;
-- copy: COPY OVERWRITE_OR_IGNORE
COPY t TO '{tmp}/part2' (FORMAT parquet, PARTITION_BY (b)); COPY t TO '{tmp}/part2' (FORMAT parquet, PARTITION_BY (b), OVERWRITE_OR_IGNORE); SELECT count(*) FROM '{tmp}/part2/*/*.parquet';
-- copy: COPY OVERWRITE
COPY t TO '{tmp}/part3' (FORMAT parquet, PARTITION_BY (b)); COPY (SELECT * FROM t WHERE a = 1) TO '{tmp}/part3' (FORMAT parquet, PARTITION_BY (b), OVERWRITE); SELECT count(*) FROM '{tmp}/part3/*/*.parquet';
-- copy: COPY APPEND
COPY t TO '{tmp}/part4' (FORMAT parquet, PARTITION_BY (b)); COPY t TO '{tmp}/part4' (FORMAT parquet, PARTITION_BY (b), APPEND); SELECT count(*) FROM '{tmp}/part4/*/*.parquet';
-- copy: COPY FILE_SIZE_BYTES
COPY (SELECT * FROM range(100000)) TO '{tmp}/sized' (FORMAT parquet, FILE_SIZE_BYTES '100kb', ROW_GROUP_SIZE 10000); SELECT count(*) FROM '{tmp}/sized/*.parquet';
-- copy: COPY PER_THREAD_OUTPUT
COPY (SELECT * FROM range(1000)) TO '{tmp}/threads' (FORMAT parquet, PER_THREAD_OUTPUT); SELECT count(*) FROM '{tmp}/threads/*.parquet';
-- copy: COPY FILENAME_PATTERN
COPY t TO '{tmp}/named' (FORMAT csv, PARTITION_BY (b), FILENAME_PATTERN 'rows_{i}'); SELECT count(*) FROM '{tmp}/named/*/rows_0.csv';
-- copy: COPY FROM csv
COPY (SELECT a, d FROM u) TO '{tmp}/u.csv'; COPY u FROM '{tmp}/u.csv'; SELECT count(*) FROM u;
-- copy: COPY FROM with columns
COPY (SELECT a FROM u) TO '{tmp}/ua.csv'; COPY u (a) FROM '{tmp}/ua.csv' (HEADER true); SELECT count(*) FROM u WHERE d IS NULL;
-- copy: COPY FROM parquet
COPY u TO '{tmp}/u.parquet'; COPY u FROM '{tmp}/u.parquet' (FORMAT parquet); SELECT count(*) FROM u;
-- copy: COPY RETURN_FILES
COPY t TO '{tmp}/r.parquet' (RETURN_FILES); SELECT 1;
-- copy: COPY RETURN_STATS
COPY t TO '{tmp}/stats.parquet' (RETURN_STATS); SELECT 1;
-- copy: COPY TO json ARRAY
COPY (SELECT a, b FROM t ORDER BY a) TO '{tmp}/array.json' (ARRAY true); SELECT content FROM read_text('{tmp}/array.json');
-- copy: COPY PREFIX and SUFFIX
COPY (SELECT a FROM t ORDER BY a) TO '{tmp}/framed.csv' (HEADER false, PREFIX '[', SUFFIX ']'); SELECT content FROM read_text('{tmp}/framed.csv');
-- copy: COPY DATEFORMAT and TIMESTAMPFORMAT
COPY (SELECT DATE '2020-01-02' AS d, TIMESTAMP '2020-01-02 03:04:05' AS t) TO '{tmp}/times.csv' (DATEFORMAT '%d/%m/%Y', TIMESTAMPFORMAT '%H.%M'); SELECT content FROM read_text('{tmp}/times.csv');
-- copy: COPY COMPRESSION_LEVEL, PARQUET_VERSION and KV_METADATA
COPY t TO '{tmp}/level.parquet' (COMPRESSION zstd, COMPRESSION_LEVEL 10, PARQUET_VERSION 'V2', KV_METADATA {author: 'me'}); SELECT a FROM '{tmp}/level.parquet' ORDER BY a;
-- copy: COPY FIELD_IDS
COPY t TO '{tmp}/ids.parquet' (FIELD_IDS {a: 7, b: 9}); SELECT name, field_id FROM parquet_schema('{tmp}/ids.parquet') WHERE name IN ('a', 'b', 'c') ORDER BY 1;
-- copy: COPY of INTERVALs to parquet
COPY (SELECT INTERVAL '2 days 3 seconds' AS i) TO '{tmp}/interval.parquet'; SELECT i FROM '{tmp}/interval.parquet';
-- copy: EXPORT DATABASE
EXPORT DATABASE '{tmp}/exported'; SELECT 1;
-- copy: IMPORT DATABASE
EXPORT DATABASE '{tmp}/exported2' (FORMAT parquet); DROP TABLE t; DROP TABLE u; IMPORT DATABASE '{tmp}/exported2'; SELECT a, b FROM t ORDER BY a;
-- session: BEGIN and COMMIT
BEGIN TRANSACTION; COMMIT; SELECT 1;
-- session: CREATE INDEX
CREATE INDEX i ON t (a); SELECT 1;
-- session: CREATE SEQUENCE
CREATE SEQUENCE q; SELECT nextval('q');
-- session: ATTACH
ATTACH ':memory:' AS other; CREATE TABLE other.n AS SELECT 1 AS x; SELECT x FROM other.n;
-- session: ANALYZE
ANALYZE t; SELECT 1;
-- session: CHECKPOINT
CHECKPOINT; SELECT 1;
-- session: VACUUM
VACUUM; SELECT 1;
-- session: CALL
CALL range(2);
-- session: INSTALL and LOAD
LOAD json; SELECT 1;

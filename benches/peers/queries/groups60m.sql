SELECT count(*) AS groups, sum(q) AS quantity, max(c) AS most
FROM (SELECT l_orderkey, l_partkey, l_suppkey, sum(l_quantity) AS q, count(*) AS c
      FROM ${lineitem}
      GROUP BY l_orderkey, l_partkey, l_suppkey) AS grouped

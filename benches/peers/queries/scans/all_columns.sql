SELECT sum(l_orderkey) AS a, sum(l_partkey) AS b, sum(l_suppkey) AS c, sum(l_linenumber) AS d, sum(l_quantity) AS e,
       sum(l_extendedprice) AS f, sum(l_discount) AS g, sum(l_tax) AS h, max(l_returnflag) AS i, max(l_linestatus) AS j,
       max(l_shipdate) AS k, max(l_commitdate) AS l, max(l_receiptdate) AS m, max(l_shipinstruct) AS n, max(l_shipmode) AS o,
       max(l_comment) AS p
FROM lineitem

SELECT * FROM lineitem WHERE l_orderkey = 1000001 ORDER BY l_linenumber

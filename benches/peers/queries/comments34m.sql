SELECT count(*) AS groups, sum(q) AS quantity, max(c) AS most
FROM (SELECT l_comment, sum(l_quantity) AS q, count(*) AS c
      FROM ${lineitem}
      GROUP BY l_comment) AS grouped

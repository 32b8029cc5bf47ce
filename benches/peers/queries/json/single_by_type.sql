SELECT type, count(*) AS n FROM whole GROUP BY type ORDER BY type

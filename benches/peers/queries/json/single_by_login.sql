SELECT actor.login AS login, count(*) AS n FROM whole GROUP BY actor.login ORDER BY n DESC, login LIMIT 10

SELECT actor.login AS login, count(*) AS n FROM events GROUP BY actor.login ORDER BY n DESC, login LIMIT 10

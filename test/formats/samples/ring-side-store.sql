-- What stands beside the tables of ring-store.sql, as this version writes it.
CREATE TABLE drain_terms (origin TEXT PRIMARY KEY, ordered_at_ms INTEGER NOT NULL, mode TEXT NOT NULL, deadline_ms INTEGER, who TEXT NOT NULL);
CREATE TABLE departures (origin TEXT PRIMARY KEY, leaving_at_ms INTEGER NOT NULL, who TEXT NOT NULL);
CREATE TABLE leases (origin TEXT PRIMARY KEY, url TEXT NOT NULL, weight REAL NOT NULL, ttl_ms INTEGER NOT NULL, instance TEXT, who TEXT NOT NULL, lapsed_at_ms INTEGER);
CREATE TABLE births (origin TEXT PRIMARY KEY, fence INTEGER NOT NULL);
CREATE TABLE given (key_hash TEXT PRIMARY KEY, region TEXT NOT NULL, until_ms INTEGER NOT NULL);
CREATE TABLE strays (key_hash TEXT PRIMARY KEY, home TEXT NOT NULL, origin TEXT NOT NULL, region TEXT NOT NULL, fence INTEGER NOT NULL);

INSERT INTO drain_terms VALUES ('weur-2', 1800000000000, 'finish', 60000, 'ann');
INSERT INTO departures VALUES ('weur-3', 1800000050000, 'config'), ('weur-4', 1800000000000, 'bob');
INSERT INTO leases VALUES ('weur-5', 'https://weur-5.example.com', 0.5, 30000, 'pod-7', 'pods', 1800000070000), ('weur-6', 'https://weur-6.example.com', 1.0, 10000, NULL, 'pods', NULL);
INSERT INTO births VALUES ('weur-5', 460800000000040);
INSERT INTO given VALUES ('08799791fbbcd916edb2a6332d3030ad', 'apac', 1800000240000);
INSERT INTO strays VALUES ('08799791fbbcd916edb2a6332d3030ad', 'enam', 'enam-1', 'enam', 460800000000041);
INSERT INTO meta VALUES ('regions', '{"now":[{"id":"enam","weight":2},{"id":"weur","weight":1}],"before":[{"regions":[{"id":"weur","weight":1}],"untilMs":1800086400000}],"untold":["apac"]}');

-- A ring object's database as this version writes it.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE drains (origin TEXT PRIMARY KEY, ordered_at_ms INTEGER NOT NULL, closed_at_ms INTEGER, closed_epoch INTEGER, published_at_ms INTEGER, drained_at_ms INTEGER);
CREATE TABLE down (origin TEXT PRIMARY KEY);
CREATE TABLE pins (key_hash TEXT PRIMARY KEY, position INTEGER NOT NULL, lot INTEGER NOT NULL, origin TEXT NOT NULL, region TEXT NOT NULL, fence INTEGER NOT NULL);
CREATE TABLE orders (key_hash TEXT PRIMARY KEY, until_ms INTEGER NOT NULL);
CREATE TABLE quarantine (key_hash TEXT PRIMARY KEY, origin TEXT NOT NULL, until_ms INTEGER NOT NULL);
CREATE TABLE members (origin TEXT PRIMARY KEY, url TEXT, weight REAL, salt INTEGER, backup INTEGER, leaving_at_ms INTEGER, gone_at_ms INTEGER);
CREATE TABLE observed (origin TEXT PRIMARY KEY, facts TEXT NOT NULL);

INSERT INTO meta VALUES ('schema', '1'), ('name', 'v1:collab@weur#g1'), ('epoch', '12'), ('hintsVersion', '4'), ('fenceMark', '460800002560031'), ('published', '12.4');
INSERT INTO meta VALUES ('kept', '{"from":0.7,"to":1,"startAtMs":1800000030000,"endAtMs":1800000060000}'), ('regionDown', '[["weur-2",1800000000000]]');
INSERT INTO meta VALUES ('config', '{"revision":3,"content":"[256,[{\"id\":\"weur-1\",\"url\":\"https://weur-1.example.com\",\"weight\":1,\"salt\":0,\"backup\":false}]]","virtualNodes":256,"origins":[{"id":"weur-1","url":"https://weur-1.example.com","weight":1,"salt":0,"backup":false}]}');
INSERT INTO drains VALUES ('weur-2', 1800000000000, 1800000060000, 11, 1800000061000, NULL);
INSERT INTO down VALUES ('weur-2');
INSERT INTO pins VALUES ('320eec8987125e2172380785d4f87f98', 4274171406, 3300804743, 'enam-2', 'enam', 460800000000032);
INSERT INTO orders VALUES ('320eec8987125e2172380785d4f87f98', 1800000180000);
INSERT INTO members VALUES ('weur-1', NULL, 2.0, NULL, NULL, NULL, NULL), ('weur-3', 'https://weur-3.example.com', 0.5, 4294967295, 1, 1800000050000, NULL), ('weur-4', NULL, NULL, NULL, 0, 1800000000000, 1800000040000);
INSERT INTO observed VALUES ('weur-1', '{"joining":true,"fellAtMs":1800000000000,"share":{"from":0,"to":0.75,"startAtMs":1800000120000,"endAtMs":1800000150000},"ejection":{"why":"errors","times":2,"untilMs":1800000060000,"boundAtMs":1800000211000,"endedAtMs":1800000060100},"word":{"down":false,"maintenance":true,"drain":true,"share":0.75}}'), ('weur-3', '{"joining":true}');

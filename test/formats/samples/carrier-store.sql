-- What a carrier object has written down of parked sessions, as this version writes it.
CREATE TABLE parked_sessions (key_hash TEXT PRIMARY KEY, ref TEXT NOT NULL, placement TEXT NOT NULL, began_at_ms INTEGER NOT NULL, busy_at_ms INTEGER NOT NULL);
CREATE TABLE parked_connections (id TEXT PRIMARY KEY, key_hash TEXT NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX parked_connections_of ON parked_connections (key_hash);
INSERT INTO parked_sessions VALUES ('08799791fbbcd916edb2a6332d3030ad', '{"keyHash":"08799791fbbcd916edb2a6332d3030ad","position":2165697722,"lot":2442616083,"keyed":true}', '{"keyHash":"08799791fbbcd916edb2a6332d3030ad","origin":"weur-2","region":"weur","fence":460800000000032,"url":"https://weur-2.example.com","epoch":12,"reason":"next","replicas":["weur-3"]}', 1800000000000, 1800000060000);
INSERT INTO parked_connections VALUES ('c-1', '08799791fbbcd916edb2a6332d3030ad', x'010203');
